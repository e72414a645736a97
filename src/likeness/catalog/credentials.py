"""Content credentials: pictures of a release, signed as C2PA says, by a certificate of the person who publishes them.

Source: C2PA 2.2, actions `c2pa.created`; c2pa-python's documentation of signers.
"""

import io
import json
from collections.abc import Callable
from pathlib import Path

from likeness import __version__
from likeness.errors import MissingExtra, PublishError
from likeness.recipe import PublishConfig

__all__ = ["DRAWN", "Sign", "signing"]

Sign = Callable[[bytes], bytes]
"""A PNG in, the same with credentials out."""

DRAWN = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
"""IPTC's word for what a trained program drew."""


def signing(config: PublishConfig) -> Sign | None:
    """What signs pictures; None where no certificate is named.

    Raises:
        PublishError: where only one of certificate and key is named, or one cannot be read.
        MissingExtra: where c2pa-python is not installed.
    """
    if not config.certificate and not config.private_key:
        return None
    if not (config.certificate and config.private_key):
        raise PublishError("publish.certificate and publish.private_key go together: set both, or none.")
    try:
        import c2pa
    except ModuleNotFoundError as missing:
        raise MissingExtra(missing.name or "c2pa", "c2pa", why="by publish.certificate") from missing
    chain, key = _read(config.certificate, "publish.certificate"), _read(config.private_key, "publish.private_key")
    action = {"action": "c2pa.created", "digitalSourceType": DRAWN}
    manifest = {
        "claim_generator_info": [{"name": "likeness", "version": __version__}],
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [action]}}],
    }

    def sign(data: bytes) -> bytes:
        signed = io.BytesIO()
        info = c2pa.C2paSignerInfo(config.signature.encode(), chain, key, None)
        try:
            with c2pa.Signer.from_info(info) as signer, c2pa.Builder(json.dumps(manifest)) as builder:
                builder.sign(signer, "image/png", io.BytesIO(data), signed)
        except c2pa.C2paError as fault:
            raise PublishError(
                f"publish.certificate and publish.private_key cannot sign ({fault}). The certificate has to be one for "
                f"signing, its key one of {config.signature}, and the chain behind it in the same file."
            ) from fault
        return signed.getvalue()

    return sign


def _read(place: str, field: str) -> bytes:
    try:
        return Path(place).expanduser().read_bytes()
    except OSError as fault:
        raise PublishError(f"{field} = {place!r} cannot be read: {fault.strerror or fault}.") from fault

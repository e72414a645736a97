"""Downloads: a model's file brought into the models folder, whole and as it must be, or not at all."""

import os
import secrets
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import closing
from hashlib import sha256
from http.client import HTTPException
from pathlib import Path
from typing import BinaryIO, cast

from likeness.errors import LikenessError, WorkspaceError
from likeness.events import Event, Report, silent
from likeness.images import sha256_of
from likeness.perception.models import Model
from likeness.records import make_folder, write_atomically

__all__ = ["fetch", "https"]

_PART = 1 << 20  # bytes between two events: a bar that moves, without a flood of lines
_SECONDS = 60.0  # without a byte until a server counts as gone
_SWITCHES = ("LIKENESS_OFFLINE", "HF_HUB_OFFLINE")


class _OnlyHttps(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req, fp, code, msg, headers, newurl):  # urllib's own names
        if not newurl.startswith("https://"):
            raise urllib.error.URLError(f"it leads on to {newurl}, which is not https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def https(url: str) -> BinaryIO:
    """The body of an address, to be read and closed; https all the way, also where it leads on to another.

    Raises:
        OSError: where there is no answer, or one that says no.
    """
    if not url.startswith("https://"):
        raise urllib.error.URLError(f"{url} is not https")
    request = urllib.request.Request(url, headers={"User-Agent": "likeness"})
    return cast(BinaryIO, urllib.request.build_opener(_OnlyHttps).open(request, timeout=_SECONDS))


def fetch(
    model: Model, folder: Path, *, open_url: Callable[[str], BinaryIO] = https, report: Report = silent
) -> tuple[Path, str]:
    """Path and sha256 of a model's file, downloaded unless it is there and as it must be.

    A file that is not what it must be is not kept. Of a model whose sha256 nobody stated, the first one seen is written
    beside it as NAME.sha256, and from then on any other is refused.

    Args:
        open_url: what opens an address for reading.

    Raises:
        LikenessError: offline, without an answer, or where what came is of another size or sha256.
        WorkspaceError: on a full disk or in a read-only folder.
    """
    path, expected = model.path(folder), model.expected(folder)
    if path.is_file() and expected and sha256_of(path) == expected:
        report(Event(stage=model.name, done=model.size, total=model.size, note="already there"))
        return path, expected
    _refuse_offline(model, path)
    make_folder(folder)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        found = _download(model, partial, open_url, report)
        if expected and found != expected:
            raise LikenessError(
                f"{model.url} is not the model {model.name}: its sha256 is {found}, and must be {expected}. It was not "
                "kept. Try again; if it stays so, the file was changed there: do not use it."
            )
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    if not expected:
        write_atomically(model.recorded(folder), f"{found}\n")
        report(Event(stage=model.name, done=model.size, total=model.size, note=f"sha256 on first sight: {found}"))
    return path, found


def _refuse_offline(model: Model, path: Path) -> None:
    for switch in _SWITCHES:
        if os.environ.get(switch, "").lower() in ("1", "true", "yes", "on"):
            raise LikenessError(
                f"{model.name} is not here, and {switch} is set: nothing is downloaded. Unset it, or put the file, "
                f"which {model.page} describes, at {path}."
            )


def _download(model: Model, partial: Path, open_url: Callable[[str], BinaryIO], report: Report) -> str:
    """The sha256 of what came; it lies in `partial`."""
    digest, done = sha256(), 0
    told = f"licence {model.terms}, from {model.url}{model.note and f'. {model.note}'}"
    report(Event(stage=model.name, done=0, total=model.size, note=told))
    try:
        body = open_url(model.url)
    except (OSError, HTTPException) as fault:
        raise _unreachable(model, fault) from fault
    with closing(body), _opened(partial) as file:
        while part := _next_part(model, body):
            done += len(part)
            if done > model.size:
                break
            digest.update(part)
            _write(file, part, partial)
            report(Event(stage=model.name, done=done, total=model.size))
    if done != model.size:
        more = "more than " if done > model.size else f"{done:,} of "
        raise LikenessError(f"{model.url} gave {more}{model.size:,} bytes of {model.name}. It was not kept. Try again.")
    return digest.hexdigest()


def _opened(partial: Path) -> BinaryIO:
    try:
        return partial.open("xb")
    except OSError as fault:
        raise WorkspaceError.of(partial, fault) from fault


def _write(file: BinaryIO, part: bytes, partial: Path) -> None:
    try:
        file.write(part)
    except OSError as fault:
        raise WorkspaceError.of(partial, fault) from fault


def _next_part(model: Model, body: BinaryIO) -> bytes:
    try:
        return body.read(_PART)
    except (OSError, HTTPException) as fault:
        raise _unreachable(model, fault) from fault


def _unreachable(model: Model, fault: Exception) -> LikenessError:
    return LikenessError(
        f"{model.name} cannot be downloaded from {model.url}: {fault}. Check the network and try again, or get it by "
        f"hand from {model.page}."
    )

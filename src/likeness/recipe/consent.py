"""Consent: who may be trained, and of whom a LoRA may be published."""

import datetime

from likeness.errors import ConsentError
from likeness.recipe.page import CharacterConfig, Consent
from likeness.records import HASH_OF_NOTHING

__all__ = ["check_may_publish", "check_may_train"]

NEEDED = ("who", "basis", "scope", "date", "evidence_sha256", "adult")
"""Fields without which there is no consent."""


def check_may_train(character: CharacterConfig) -> None:
    """Nothing, for a character that may be trained: an invented one, or a real person whose consent is on record.

    Raises:
        ConsentError: for a real person, with all that is missing from the record.
    """
    if character.kind == "real-person":
        _refuse(character, "trained", NEEDED)


def check_may_publish(character: CharacterConfig) -> None:
    """Nothing, for a character of which a LoRA may be published: as for training, and the consent covers it.

    Raises:
        ConsentError: for a real person, with all that is missing from the record; and for who is unknown.
    """
    if character.kind == "unknown":
        raise ConsentError(
            f"character.kind = 'unknown': nothing of {character.name} is published before it is known who that is. Set "
            "it to 'original', 'fictional', or 'real-person' with [character.consent]."
        )
    if character.kind == "real-person":
        _refuse(character, "published", (*NEEDED, "publishing"))


def _refuse(character: CharacterConfig, done: str, needed: tuple[str, ...]) -> None:
    consent, today = character.consent or Consent(), datetime.date.today()
    faults = {name: Consent.model_fields[name].description for name in needed if not getattr(consent, name)}
    if consent.evidence_sha256.startswith(HASH_OF_NOTHING):
        faults["evidence_sha256"] = "it is that of an empty file. Write the one of the paper, as sha256sum prints it."
    if consent.date and consent.date > today:
        faults["date"] = f"{consent.date} is yet to come."
    if consent.expires and consent.expires < today:
        faults["expires"] = f"it ended on {consent.expires}. Ask again, and put the new paper on record."
    if consent.revoked:
        faults["revoked"] = f"it was taken back on {consent.revoked}. Withdraw what is published: likeness withdraw"
    if faults:
        lines = [f"  character.consent.{name}: {fault}" for name, fault in faults.items()]
        raise ConsentError(
            f"character.kind = 'real-person': {character.name} is not {done} without a full consent record. "
            "To be filled in, in [character.consent]:\n" + "\n".join(lines)
        )

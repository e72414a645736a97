"""Consent: who may be trained."""

import datetime

from likeness.errors import ConsentError
from likeness.recipe.page import CharacterConfig, Consent

__all__ = ["check_may_train"]


def check_may_train(character: CharacterConfig) -> None:
    """Nothing, for a character that may be trained: an invented one, or a real person whose consent is on record.

    Raises:
        ConsentError: for a real person, with all that is missing from the record.
    """
    if character.kind != "real-person":
        return
    consent = character.consent or Consent()
    faults = {name: field.description for name, field in Consent.model_fields.items() if not getattr(consent, name)}
    if consent.date and consent.date > datetime.date.today():
        faults["date"] = f"{consent.date} is yet to come."
    if faults:
        lines = [f"  character.consent.{name}: {fault}" for name, fault in faults.items()]
        raise ConsentError(
            f"character.kind = 'real-person': {character.name} is not trained without a full consent record. "
            "To be filled in, in [character.consent]:\n" + "\n".join(lines)
        )

"""Claims: what a person's words say of the scene, in the terms of a reading, and where the two contradict."""

import re
from collections.abc import Mapping

from likeness.records import Reading

__all__ = ["contradiction"]

SURE = 0.8  # least confidence of a reading that is held against a person's words

CLAIMS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "view": {
        "from behind": ("back",),
        "back view": ("back",),
        "facing away": ("back",),
        "front view": ("front",),
        "from the front": ("front",),
        "facing viewer": ("front", "three-quarter"),
        "facing the viewer": ("front", "three-quarter"),
        "from side": ("profile", "three-quarter"),
        "from the side": ("profile", "three-quarter"),
        "side view": ("profile", "three-quarter"),
        "profile": ("profile",),
        "three-quarter view": ("three-quarter",),
    },
    "framing": {
        "close-up": ("face",),
        "portrait": ("face", "upper body"),
        "upper body": ("upper body",),
        "from the waist up": ("upper body",),
        "full body": ("full body",),
        "full-body": ("full body",),
    },
    "expression": {
        "smile": ("smile", "laughing"),
        "smiling": ("smile", "laughing"),
        "grin": ("smile", "laughing"),
        "laughing": ("laughing", "smile"),
        "sad": ("sad",),
        "crying": ("sad",),
        "frown": ("sad", "angry"),
        "angry": ("angry",),
        "surprised": ("surprised",),
        "expressionless": ("neutral",),
        "neutral expression": ("neutral",),
    },
}
"""For each field of a reading: words of a caption, and the values that they may mean; of a view, without the side."""


def contradiction(text: str, reading: Reading) -> str:
    """Where a caption says something else than a sure reading: "says 'from behind', the reading says front (0.97)".

    Empty where they agree, and where the reading is not sure or says how sure it is of nothing.
    """
    for field, words in CLAIMS.items():
        value, confidence = getattr(reading, field), reading.confidence.get(field, 0.0)
        known = {meaning for meanings in words.values() for meaning in meanings}
        coarse = value.split()[0] if value and field == "view" else value
        said = [word for word in words if re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", text.lower())]
        if coarse in known and confidence >= SURE and said and not any(coarse in words[word] for word in said):
            return f"says {said[0]!r}, the reading says {value} ({confidence:.2f})"
    return ""

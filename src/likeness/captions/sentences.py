"""One sentence in plain English for what a caption says in tags."""

import re
from collections.abc import Sequence

from likeness.captions.words import COLOURS, kind_of

__all__ = ["sentence"]

PEOPLE = {"1girl": "a girl", "1boy": "a boy", "1other": "a character"}
VIEWS = {
    "front view": "from the front",
    "back view": "from behind",
    "side view": "from the side",
    "from side": "from the side",
    "profile": "in profile",
    "profile left": "in profile facing left",
    "profile right": "in profile facing right",
    "profile facing left": "in profile facing left",
    "profile facing right": "in profile facing right",
    "looking at viewer": "looking at the viewer",
    "facing viewer": "facing the viewer",
    "dutch angle": "at a tilt",
    "turned left": "in three-quarter view facing left",
    "turned right": "in three-quarter view facing right",
}
FRAMINGS = {
    "portrait": "in a portrait",
    "close-up": "in a close-up",
    "full body": "in full-body view",
    "upper body": "from the waist up",
    "lower body": "from the waist down",
    "cowboy shot": "from the thighs up",
    "bust": "from the chest up",
    "wide shot": "from afar",
    "very wide shot": "from afar",
}
EXPRESSIONS = {
    "smile": "smiling",
    "grin": "grinning",
    "frown": "frowning",
    "blush": "blushing",
    "pout": "pouting",
    "smirk": "smirking",
    "tears": "in tears",
    "wink": "winking",
    "tongue out": "with the tongue out",
    "neutral": "with a neutral expression",
    "neutral face": "with a neutral expression",
    "expressionless": "without expression",
}
ADJECTIVES = {"tall", "short", "slim", "stout", "muscular", "fat", "chubby", "petite", "furry", "dark-skinned"}
LOOKS = {"angry", "sad", "surprised", "happy", "embarrassed", "scared", "nervous", "annoyed", "sleepy", "serious"}
PLACES = {
    "outdoors": "outdoors",
    "indoors": "indoors",
    "night": "at night",
    "day": "in daylight",
    "sunset": "at sunset",
    "sunrise": "at sunrise",
    "evening": "in the evening",
    "beach": "on a beach",
    "street": "in a street",
    "road": "on a road",
    "snow": "in snow",
    "rain": "in rain",
    "water": "in water",
    "grass": "on grass",
    **{place: f"in a {place}" for place in ("meadow", "field", "forest", "room", "garden", "park", "city", "cave")},
    **{place: f"in a {place}" for place in ("bedroom", "classroom", "kitchen", "bathroom", "desert")},
}
UNCOUNTED = {"hair", "skin", "armor", "clothing", "underwear", "footwear", "eyewear", "headwear", "jewelry", "fur"}


def sentence(front: Sequence[str], tags: Sequence[str], worn: Sequence[str] = ()) -> str:
    """A caption's tags as one sentence: "mira, a girl, is shown from behind, smiling and waving, in a meadow."

    Args:
        front: the trigger, then the class words; the sentence begins with them.
        tags: the rest of the caption, in any order.
        worn: those of them that are words for outfits.
    """
    by_kind: dict[str, list[str]] = {}
    for tag in (tag for tag in tags if tag not in worn):
        by_kind.setdefault(kind_of(tag), []).append(tag)
    adjectives = [tag for tag in by_kind.get("trait", []) if tag in ADJECTIVES]
    traits = [tag for tag in by_kind.get("trait", []) if tag not in adjectives]
    acts = [_expression(tag) for tag in by_kind.get("expression", [])]
    acts += [_pose(tag) for tag in by_kind.get("pose", [])]
    clothes = [*worn, *(_with_article(tag) for tag in by_kind.get("clothing", []))]
    others = by_kind.get("other", [])
    parts = [
        _joined([VIEWS.get(tag, tag) for tag in by_kind.get("view", [])]),
        _joined([FRAMINGS.get(tag, f"in {_with_article(tag)} view") for tag in by_kind.get("framing", [])]),
        f"with {_joined([_with_article(tag) for tag in traits])}" if traits else "",
        f"wearing {_joined(clothes)}" if clothes else "",
        _joined(acts),
        _joined([_place(tag) for tag in by_kind.get("background", [])]),
        f"with {_joined([_with_article(tag) for tag in others])}" if others else "",
    ]
    return f"{_who(front, adjectives)} is shown {', '.join(filter(None, parts))}".rstrip().rstrip(",") + "."


def _who(front: Sequence[str], adjectives: Sequence[str]) -> str:
    trigger, *classes = front
    what = _joined([PEOPLE.get(word, _with_article(word)) for word in classes if word != "solo"])
    how = f" who is {_joined(adjectives)}" if adjectives else ""
    return f"{trigger}, {what}{how}," if what else f"{trigger}{',' + how + ',' if how else ''}"


def _expression(tag: str) -> str:
    if tag in EXPRESSIONS or tag.endswith("ing"):
        return EXPRESSIONS.get(tag, tag)
    return f"looking {tag}" if tag in LOOKS else f"with {_with_article(tag)}"


def _pose(tag: str) -> str:
    verb, _, held = tag.partition(" ")
    if verb == "holding" and held:
        return f"holding {_with_article(held)}"
    return tag if verb.endswith("ing") or tag.startswith(("on ", "in ")) else f"with {_with_article(tag)}"


def _place(tag: str) -> str:
    if tag in PLACES:
        return PLACES[tag]
    rest, _, noun = tag.rpartition(" ")
    if noun == "background":
        return f"on {_with_article(tag)}" if set(rest.split()) <= COLOURS else f"in front of {_with_article(tag)}"
    return f"with {_with_article(tag)} in the background"


def _with_article(words: str) -> str:
    """ "a red dress", "an apron"; what is plural or cannot be counted has no article, and a name has none."""
    noun = re.split(r" (?:on|in|of|with|up|over) ?", words)[0].split()[-1]
    is_plural = noun.endswith("s") and not noun.endswith("ss")
    if is_plural or noun in UNCOUNTED or not noun.replace("-", "").isalpha() or words.endswith(" up"):
        return words
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def _joined(parts: Sequence[str]) -> str:
    """ "a, b and c"."""
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + (f" and {parts[-1]}" if parts else "")

"""The audit of captions before training: what would be baked in, what contradicts, what is too long or says nothing."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

from likeness.captions.claims import contradiction
from likeness.captions.files import Written
from likeness.captions.seen import group_of, scene_seen
from likeness.captions.tags import SCENE
from likeness.captions.traits import TraitPlan
from likeness.captions.variety import NOTHING
from likeness.captions.words import kind_of
from likeness.messages import listed
from likeness.records import Caption, Picture, Record

__all__ = ["WINDOW", "Finding", "audit"]

WINDOW = 75
"""Tokens that a text encoder of the CLIP kind reads at once: 77 with start and end."""

BAKED = 0.8  # share of the pictures; with four of five alike, a LoRA draws it unasked
FEWEST = 5  # pictures that a share is worth telling of
SURE = 0.5  # of a reading, to be counted among the others
LISTED = 8  # tags in a line
FREE = ("clothing", "expression", "pose", "view", "framing", "background", "other")

ADVICE = {
    "view": "Add pictures from other sides; what is shown from one side only is drawn from that side only.",
    "framing": "Add pictures closer or farther away, or let crops make some.",
    "expression": "Add pictures with other expressions; keep the word in the captions, so that it stays apart.",
    "pose": "Add pictures in other poses; keep the word in the captions, so that it stays apart.",
    "background": "Add pictures in front of something else, or cut the character out of some.",
    "clothing": "Add pictures without it, or accept that it comes with the character.",
    "other": "Add pictures without it; or drop the word (caption.drop) if it is part of the character.",
}


class Finding(Record):
    """Something about a word or a set of captions that a person may want to change.

    Attributes:
        kind: in a word or two, for lists.
        found: what was found, with its numbers.
        advice: what to do about it.
        pictures: paths of those that it is about; none where it is about all.
    """

    kind: str
    found: str
    advice: str
    pictures: tuple[str, ...] = ()


def audit(
    pictures: Sequence[Picture],
    captions: Sequence[Caption],
    *,
    plan: TraitPlan,
    front: Sequence[str],
    written: Mapping[str, Written] | None = None,
    count_tokens: Callable[[str], int] | None = None,
    added: Sequence[str] = (),
) -> list[Finding]:
    """What to know before training on these captions; the weightiest first. Nothing of it stops anybody.

    Args:
        pictures: records; only those that are trained on count.
        captions: of the pictures.
        plan: that the captions were made by.
        front: the trigger, then the class words.
        written: a person's files, by picture.
        count_tokens: how many tokens of the base a text has; None where there is no tokenizer at hand.
        added: tags that the recipe puts into every caption: they are meant to be everywhere.
    """
    said = {caption.picture: caption for caption in captions}
    told = [(picture, said[picture.id]) for picture in pictures if picture.use == "train" and picture.id in said]
    own = {picture.path: written[picture.id] for picture, _ in told if written and picture.id in written}
    return [
        *_baked(told, front=front, added=added),
        *_worn(plan),
        *_contradictions(told),
        *_mute(told, front),
        *_identity(told, plan, front),
        *_long(told, count_tokens),
        *_uncalled(own, front[0]),
        *_once(told, front),
    ]


Told = Sequence[tuple[Picture, Caption]]


def _baked(told: Told, *, front: Sequence[str], added: Sequence[str]) -> Iterator[Finding]:
    """Scenes that nearly all pictures share: by the readings, and where there are none by the captions."""
    read: set[str] = set()
    for field in SCENE:
        seen = [scene_seen(picture.reading, SURE).get(field) for picture, _ in told if picture.reading]
        values = Counter(value for value in seen if value is not None)
        if values:
            read.add(field)
            yield from _common(field, *values.most_common(1)[0], values.total())
    counts = Counter(tag for _, caption in told for tag in caption.tags if tag not in (*front, *added))
    for tag, count in counts.most_common():
        kind = kind_of(tag)
        if kind in FREE and kind not in read:
            yield from _common(kind, tag, count, len(told))


def _common(kind: str, value: str, count: int, of: int) -> Iterator[Finding]:
    if of >= FEWEST and count >= BAKED * of:
        share = f"{count / of:.0%} of the pictures ({count} of {of})"
        name = "" if kind == "other" else f"{kind} "
        yield Finding(kind="baked in", found=f"{name}{value!r} in {share}", advice=ADVICE[kind])


def _worn(plan: TraitPlan) -> Iterator[Finding]:
    for trait in plan.traits:
        is_bound = trait.decision == "absorb" and trait.decided_by == "rule" and trait.value not in NOTHING
        if is_bound and group_of(trait.name) in ("outfit", "removable") and trait.told >= FEWEST:
            share = f"{trait.share:.0%} of the pictures where it can be told ({trait.pictures} of {trait.told})"
            advice = (
                "It becomes part of the character. To keep it free, add pictures without it, and set "
                f"caption.plan.{trait.name} = 'expose'."
            )
            if trait.share >= BAKED:
                yield Finding(kind="baked in", found=f"{_spaced(trait.name)} {trait.value!r} in {share}", advice=advice)


def _contradictions(told: Told) -> Iterator[Finding]:
    by_person = [(picture, caption) for picture, caption in told if caption.written_by == "person"]
    found = {
        picture.path: words
        for picture, caption in by_person
        if picture.reading and (words := contradiction(f"{caption.text}, {caption.sentence}", picture.reading))
    }
    if found:
        shown = listed([f"{path} {words}" for path, words in found.items()])
        yield Finding(
            kind="contradiction",
            found=f"another thing than was read is said in {len(found)} of {len(by_person)} captions of yours: {shown}",
            advice="Look at these pictures; mend the caption where it is wrong, and leave it where the reader is.",
            pictures=tuple(found),
        )


def _mute(told: Told, front: Sequence[str]) -> Iterator[Finding]:
    mute = [picture.path for picture, caption in told if not _rest(caption, front) and not caption.sentence]
    if mute:
        yield Finding(
            kind="only the trigger",
            found=f"nothing but the trigger and class words in {len(mute)} of {len(told)} captions: {listed(mute)}",
            advice="All that these pictures show is bound to the trigger. Say view, pose, expression and background.",
            pictures=tuple(mute),
        )


def _identity(told: Told, plan: TraitPlan, front: Sequence[str]) -> Iterator[Finding]:
    """Words for who the character is, in a person's captions, that other captions leave out."""
    free = [trait for trait in plan.traits if trait.decision != "absorb"]
    values = [set(value.split()) for trait in free for value in trait.values if value]
    theirs = {tag for _, caption in told if caption.written_by == "person" for tag in _rest(caption, front)}
    for tag in sorted(tag for tag in theirs if kind_of(tag) == "trait"):
        saying = [picture.path for picture, caption in told if tag in caption.tags]
        if len(saying) < len(told) and not any(value <= set(tag.split()) for value in values):
            yield Finding(
                kind="said by halves",
                found=f"{tag!r} in {len(saying)} of {len(told)} captions",
                advice="Leave it out everywhere, so that the trigger takes it (caption.drop does that); or, if it "
                "really varies, say in every caption what is seen.",
                pictures=tuple(saying),
            )


def _long(told: Told, count_tokens: Callable[[str], int] | None) -> Iterator[Finding]:
    if count_tokens is None:
        yield Finding(
            kind="not checked",
            found="how many tokens the captions have: the base's tokenizer is not at hand",
            advice="Install likeness[train] and set base.path to the base's folder.",
        )
        return
    counts = {
        picture.path: max(count_tokens(caption.text), count_tokens(caption.sentence)) for picture, caption in told
    }
    long = {path: count for path, count in counts.items() if count > WINDOW}
    if long:
        longest = max(long, key=lambda path: long[path])
        yield Finding(
            kind="long",
            found=f"more than {WINDOW} tokens in {len(long)} of {len(told)} captions; the longest, of {longest}, has "
            f"{long[longest]} and fills {-(-long[longest] // WINDOW)} windows",
            advice="It is trained on whole, but what stands in the second window is bound less. Shorten it, or put "
            "first what matters.",
            pictures=tuple(long),
        )


def _uncalled(own: Mapping[str, Written], trigger: str) -> Iterator[Finding]:
    paths = [path for path, written in own.items() if not written.has_trigger]
    if paths:
        yield Finding(
            kind="no trigger",
            found=f"no trigger in {len(paths)} of {len(own)} caption files: {listed(paths)}",
            advice=f"It is put in front. Where it should stand elsewhere, write {trigger!r} or [trigger] there.",
            pictures=tuple(paths),
        )


def _once(told: Told, front: Sequence[str]) -> Iterator[Finding]:
    counts = Counter(tag for _, caption in told for tag in _rest(caption, front))
    once = sorted(tag for tag, count in counts.items() if count == 1)
    if once and len(told) >= FEWEST:
        yield Finding(
            kind="said once",
            found=f"in one caption only, {len(once)} of {len(counts)} tags: {listed(once, LISTED)}",
            advice="Look for misspellings and for two words for one thing; a thing seen once is fine to be said once.",
        )


def _rest(caption: Caption, front: Sequence[str]) -> list[str]:
    return [tag for tag in caption.tags if tag not in front]


def _spaced(name: str) -> str:
    return name.replace("_", " ")

"""Who is measured: the character, its outfits and its real pictures, as a workspace tells them."""

from collections import Counter
from collections.abc import Mapping, Sequence

from likeness.captions.seen import group_of, is_hidden_from_behind, traits_seen
from likeness.captions.tags import SCENE, split_tags
from likeness.captions.traits import TraitPlan
from likeness.evaluation.instruments import Real
from likeness.evaluation.shots import Subject, Worn
from likeness.images import cropped
from likeness.maquette.world import KINDS
from likeness.pipeline.captions import read_plan
from likeness.recipe import Recipe
from likeness.records import Caption, Picture, Reading, read_records
from likeness.workspace import Workspace

__all__ = ["part_of", "real_pictures", "subject_of", "traits_of"]

OFTEN, SELDOM = 0.8, 0.5  # of an outfit's captions, and of the others: words that are said so are the outfit's
FEWEST = 3  # pictures of an outfit, for one that is worth asking for


def traits_of(reading: Reading, recipe: Recipe) -> dict[str, str]:
    """What a reading says of the character: as its instrument names it, or by its tags."""
    return traits_seen(reading, recipe.caption, 0.0)


def part_of(trait: str) -> str:
    """Which part of a character a trait belongs to: "face", "body", "clothing" or "attributes"."""
    for part, names in KINDS.items():
        if trait in names:
            return part
    if group_of(trait) != "body":
        return "clothing"
    return "face" if is_hidden_from_behind(trait) else "attributes"


def real_pictures(workspace: Workspace) -> Real:
    """The pictures that were held out, and those that were trained on, as they were cropped."""
    pictures = read_records(workspace.images_jsonl, Picture)
    used = {
        use: [cropped(workspace.images / one.path, one.crop) for one in pictures if one.use == use]
        for use in ("held-out", "train")
    }
    return Real(used["held-out"], used["train"], trained_on=used["train"])


def subject_of(workspace: Workspace, recipe: Recipe) -> Subject:
    """Who is asked for, as its captions and its plan say."""
    captions = read_records(workspace.captions_jsonl, Caption)
    plan, named = read_plan(workspace), recipe.character
    readings = {one.id: one.reading for one in read_records(workspace.images_jsonl, Picture) if one.reading}
    told = [
        (set(caption.tags), traits_of(readings[caption.picture], recipe))
        for caption in captions
        if caption.picture in readings
    ]
    front = {*split_tags(named.trigger), *split_tags(named.class_words)}
    return Subject(
        trigger=named.trigger,
        class_words=named.class_words,
        traits={trait.name: trait.value for trait in plan.traits if trait.decision == "absorb"},
        captions=[", ".join(tag for tag in caption.tags if tag not in front) for caption in captions],
        outfits=_outfits(plan, told),
    )


def _outfits(plan: TraitPlan, told: Sequence[tuple[set[str], Mapping[str, str]]]) -> list[Worn]:
    """Each outfit that captions have words for: what nearly all captions of one say, and few of the others."""
    varying = [trait for trait in plan.traits if trait.decision != "absorb" and part_of(trait.name) == "clothing"]
    if not varying:
        return []
    leading = max(varying, key=lambda trait: (trait.decision == "trigger", trait.told))
    found = []
    for value in leading.values:
        with_it = [pair for pair in told if pair[1].get(leading.name) == value]
        without = [pair for pair in told if pair[1].get(leading.name, value) != value]
        words = _said_of(with_it, without)
        if len(with_it) >= FEWEST and words:
            names = [trait.name for trait in varying]
            found.append(Worn(_common(with_it, names), ", ".join(words)))
    return found if len(found) > 1 else []


def _said_of(
    with_it: Sequence[tuple[set[str], Mapping[str, str]]], without: Sequence[tuple[set[str], Mapping[str, str]]]
) -> list[str]:
    counts, others = (Counter(tag for tags, _ in some for tag in tags) for some in (with_it, without))
    return [
        tag
        for tag, count in counts.items()
        if count >= OFTEN * len(with_it) and others[tag] < SELDOM * len(without) and tag not in SCENE
    ]


def _common(with_it: Sequence[tuple[set[str], Mapping[str, str]]], names: Sequence[str]) -> dict[str, str]:
    """The value that each trait has in nearly all pictures of an outfit."""
    common = {}
    for name in names:
        counts = Counter(traits[name] for _, traits in with_it if name in traits)
        value, count = counts.most_common(1)[0] if counts else ("", 0)
        if count >= FEWEST and count >= OFTEN * counts.total():
            common[name] = value
    return common

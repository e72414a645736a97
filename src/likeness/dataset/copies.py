"""Copies in a pool: which picture is the best of those that show the same, and what the others are."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from likeness.dataset.coverage import cell_of
from likeness.dataset.duplicates import Match
from likeness.dataset.looks import Look, Looks
from likeness.dataset.sides import rightness, surroundings
from likeness.records import Picture

__all__ = ["Copies", "Copy", "find_copies"]

_AS_GOOD = 0.97  # of the best: a copy as good as this is told from it by something else than quality
_BY_PERSON = {"train": 0, "held-out": 1}  # a lock outweighs what a person holds out, and both what instruments found


@dataclass(frozen=True, slots=True)
class Copy:
    """One picture that repeats another.

    Attributes:
        kept: id of the copy that stays, or that a person rejected: then none stays.
        kept_path: of that.
        is_banned: a person rejected it.
        kind: what it is: "rescaled duplicate", "recompressed duplicate", "mirrored duplicate", "cropped duplicate", or
            "near duplicate" where none of these says it, as with other colours.
        left_over: as `likeness.dataset.duplicates.Match` has it.
    """

    kept: str
    kept_path: str
    is_banned: bool
    kind: str
    left_over: float


@dataclass(frozen=True, slots=True)
class Copies:
    """What repeats what.

    Attributes:
        of: by the id of each picture that is to go.
        scenes: by id, the path of the first picture of the same scene, for pictures that are not alone in theirs.
    """

    of: Mapping[str, Copy] = field(default_factory=dict)
    scenes: Mapping[str, str] = field(default_factory=dict)

    def marked(self, pictures: Sequence[Picture]) -> list[Picture]:
        """The pictures, copies rejected and scenes named; what a person decided stays."""
        return [self._marked(picture) for picture in pictures]

    def _marked(self, picture: Picture) -> Picture:
        picture = picture.model_copy(update={"group": self.scenes.get(picture.id, "")})
        copy = self.of.get(picture.id)
        if copy is None or picture.use == "rejected" or picture.decided_by == "person":
            return picture
        why = "which you rejected" if copy.is_banned else "which is the better one"
        return picture.rejected(copy.kind, f"{copy.kind.removesuffix(' duplicate')} copy of {copy.kept_path}, {why}")


def find_copies(pictures: Sequence[Picture], looks: Looks) -> Copies:
    """Which of `pictures` repeat others of them, and which show one scene.

    Args:
        pictures: all that can be read and are usable, or that a person rejected: what repeats those goes with them.
        looks: at them.
    """
    once = {picture.id: picture for picture in pictures}
    matches = [match for match in looks.matches if match.whole in once and match.part in once]
    of: dict[str, Copy] = {}
    for members in _together(once, [match for match in matches if match.is_copy]):
        for kept, gone in _verdicts(members, once, looks, matches):
            for id in gone:
                kind, left_over = _kind(kept, id, matches, looks)
                of[id] = Copy(kept, once[kept].path, once[kept].use == "rejected", kind, left_over)
    scenes = {id: min(once[one].path for one in members) for members in _together(once, matches) for id in members}
    return Copies(of, scenes)


def _verdicts(
    members: Sequence[str], pictures: Mapping[str, Picture], looks: Looks, matches: Sequence[Match]
) -> Iterator[tuple[str, list[str]]]:
    """Of copies of one picture, what each decision takes away: a person's ban those that are no better than what was
    banned, then the best of the others the rest."""
    banned = [id for id in members if pictures[id].use == "rejected"]
    others = [id for id in members if id not in banned]
    if banned:
        worst = max(banned, key=lambda id: _detail(looks.looks[id]))
        most = _detail(looks.looks[worst]) / _AS_GOOD
        gone = [id for id in others if _detail(looks.looks[id]) <= most]
        yield worst, gone
        others = [id for id in others if id not in gone or pictures[id].decided_by == "person"]
    if len(others) > 1:
        best = _best(others, pictures, looks, matches)
        yield best, [id for id in others if id != best]


def _together(pictures: Mapping[str, Picture], matches: Sequence[Match]) -> list[list[str]]:
    """Ids that matches connect, those that are alone left out."""
    matched = {id for match in matches for id in (match.whole, match.part)}
    ids = [id for id in pictures if id in matched]
    if not ids:
        return []
    at = {id: index for index, id in enumerate(ids)}
    ends = [at[match.whole] for match in matches], [at[match.part] for match in matches]
    pairs = coo_array((numpy.ones(len(matches)), ends), shape=(len(ids),) * 2)
    count, names = connected_components(pairs, directed=False)
    return [[id for id, name in zip(ids, names, strict=True) if name == group] for group in range(count)]


def _best(members: Sequence[str], pictures: Mapping[str, Picture], looks: Looks, matches: Sequence[Match]) -> str:
    """The copy to keep: one that a person or an earlier curation decided on; else the one with most detail, in the part
    of the scene that it shows, at its JPEG quality.

    Of equals, which mirror images are: the one whose scar is on the right cheek, that shows what fewer others do, or
    whose surroundings are the right way round; then the first by path.
    """
    extent = dict.fromkeys(members, 1.0)
    for match in matches:
        if match.is_copy and match.is_crop and match.part in extent:
            extent[match.part] = min(extent[match.part], match.window[2] * match.window[3])
    worth = {id: extent[id] * _detail(looks.looks[id]) for id in members}
    good = [id for id in members if worth[id] >= _AS_GOOD * max(worth.values())]
    others = [picture for id, picture in pictures.items() if id not in members]
    readings = [picture.reading for picture in others if picture.reading]
    cells = Counter(map(cell_of, readings))
    is_pair_mirrored = any(one.is_mirrored for one in matches if {one.whole, one.part} <= set(good))
    views = [looks.thumbnails[picture.id] for picture in others] if is_pair_mirrored else []

    def rank(id: str) -> tuple[object, ...]:
        picture, is_good = pictures[id], id in good
        decided = _BY_PERSON[picture.use] if picture.decided_by == "person" else len(_BY_PERSON)
        right = round(rightness(picture.reading, readings), 1) if is_pair_mirrored else 0.0
        near = surroundings(looks.thumbnails[id], views) if is_pair_mirrored else 0.0
        rarity = cells[cell_of(picture.reading)]
        return decided, picture.use != "held-out", not is_good, -right, rarity, -near, picture.path

    return min(members, key=rank)


def _detail(look: Look) -> float:
    return look.measures["detail"] * look.measures["jpeg"] / 100


def _kind(kept: str, copy: str, matches: Sequence[Match], looks: Looks) -> tuple[str, float]:
    """What a copy is, beside the one that is kept."""
    match = next((one for one in matches if {one.whole, one.part} == {kept, copy}), None)
    if match is None:  # each is a copy of a third
        return "near duplicate", min(one.left_over for one in matches if copy in (one.whole, one.part))
    first, second = looks.looks[kept], looks.looks[copy]
    sizes = (second.width / first.width, second.height / first.height)
    if match.is_mirrored:
        return "mirrored duplicate", match.left_over
    if match.is_crop:
        return "cropped duplicate", match.left_over
    if any(abs(size - 1) > 0.01 for size in sizes):
        return "rescaled duplicate", match.left_over
    if second.measures["jpeg"] < first.measures["jpeg"]:
        return "recompressed duplicate", match.left_over
    return "near duplicate", match.left_over

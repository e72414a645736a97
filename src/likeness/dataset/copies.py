"""Copies in a pool: which picture is the best of those that show the same, and what the others are."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from likeness.dataset.coverage import cell_of
from likeness.dataset.duplicates import Match, find_matches
from likeness.dataset.looks import Look, Looks
from likeness.dataset.sides import rightness, surroundings
from likeness.records import Picture

__all__ = ["Copies", "Copy", "find_copies"]

_AS_GOOD = 0.97  # of the best: a copy as good as this is told from it by something else than quality


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
    once = list({picture.id: picture for picture in pictures}.values())
    matches = find_matches([looks.thumbnails[picture.id] for picture in once])
    of: dict[str, Copy] = {}
    for members in _together(len(once), [match for match in matches if match.is_copy]):
        for kept, gone in _verdicts(members, once, looks, matches):
            for member in gone:
                kind, left_over = _kind(kept, member, matches, once, looks)
                is_banned = once[kept].use == "rejected"
                of[once[member].id] = Copy(once[kept].id, once[kept].path, is_banned, kind, left_over)
    scenes = {
        once[member].id: once[min(members, key=lambda index: once[index].path)].path
        for members in _together(len(once), matches)
        for member in members
    }
    return Copies(of, scenes)


def _verdicts(
    members: Sequence[int], pictures: Sequence[Picture], looks: Looks, matches: Sequence[Match]
) -> Iterator[tuple[int, list[int]]]:
    """Of copies of one picture, what each decision takes away: a person's ban those that are no better than what was
    banned, then the best of the others the rest."""
    banned = [member for member in members if pictures[member].use == "rejected"]
    others = [member for member in members if member not in banned]
    if banned:
        worst = max(banned, key=lambda member: _detail(looks.looks[pictures[member].id]))
        most = _detail(looks.looks[pictures[worst].id]) / _AS_GOOD
        gone = [member for member in others if _detail(looks.looks[pictures[member].id]) <= most]
        yield worst, gone
        others = [member for member in others if member not in gone or pictures[member].decided_by == "person"]
    if len(others) > 1:
        best = _best(others, pictures, looks, matches)
        yield best, [member for member in others if member != best]


_BY_PERSON = {"train": 0, "held-out": 1}
"""A lock outweighs what a person holds out, and both what instruments found."""


def _together(count: int, matches: Sequence[Match]) -> list[list[int]]:
    """Indices that matches connect, those that are alone left out."""
    if not matches:
        return []
    ends = [match.whole for match in matches], [match.part for match in matches]
    _, names = connected_components(coo_array((numpy.ones(len(matches)), ends), shape=(count, count)), directed=False)
    return [numpy.flatnonzero(names == name).tolist() for name in numpy.flatnonzero(numpy.bincount(names) > 1)]


def _best(members: Sequence[int], pictures: Sequence[Picture], looks: Looks, matches: Sequence[Match]) -> int:
    """The copy to keep: one that a person or an earlier curation decided on; else the one with most detail, in the part
    of the scene that it shows, at its JPEG quality.

    Of equals, which mirror images are: the one whose scar is on the right cheek, that shows what fewer others do, or
    whose surroundings are the right way round; then the first by path.
    """
    extent = dict.fromkeys(members, 1.0)
    for match in matches:
        if match.is_copy and match.is_crop and match.part in extent:
            extent[match.part] = min(extent[match.part], match.window[2] * match.window[3])
    worth = {member: extent[member] * _detail(looks.looks[pictures[member].id]) for member in members}
    good = [member for member in members if worth[member] >= _AS_GOOD * max(worth.values())]
    others = [picture for index, picture in enumerate(pictures) if index not in members]
    readings = [picture.reading for picture in others if picture.reading]
    cells = Counter(map(cell_of, readings))
    is_pair_mirrored = any(one.is_mirrored for one in matches if {one.whole, one.part} <= set(good))
    views = [looks.thumbnails[picture.id] for picture in others] if is_pair_mirrored else []

    def rank(member: int) -> tuple[object, ...]:
        picture, is_good = pictures[member], member in good
        decided = _BY_PERSON[picture.use] if picture.decided_by == "person" else len(_BY_PERSON)
        right = round(rightness(picture.reading, readings), 1) if is_pair_mirrored else 0.0
        near = surroundings(looks.thumbnails[picture.id], views) if is_pair_mirrored else 0.0
        rarity = cells[cell_of(picture.reading)]
        return decided, picture.use != "held-out", not is_good, -right, rarity, -near, picture.path

    return min(members, key=rank)


def _detail(look: Look) -> float:
    return look.measures["detail"] * look.measures["jpeg"] / 100


def _kind(
    kept: int, copy: int, matches: Sequence[Match], pictures: Sequence[Picture], looks: Looks
) -> tuple[str, float]:
    """What a copy is, beside the one that is kept."""
    match = next((one for one in matches if {one.whole, one.part} == {kept, copy}), None)
    if match is None:  # each is a copy of a third
        return "near duplicate", min(one.left_over for one in matches if copy in (one.whole, one.part))
    first, second = looks.looks[pictures[kept].id], looks.looks[pictures[copy].id]
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

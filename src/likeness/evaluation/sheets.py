"""Sheets of a scorecard: the pictures that let a person see what its figures mean."""

import base64
import io
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from PIL import Image

from likeness.evaluation.calibration import bin_of
from likeness.evaluation.evaluate import BASE
from likeness.evaluation.known import Seen
from likeness.evaluation.measure import is_as_asked
from likeness.evaluation.scorecard import KINDS, Judged, Round
from likeness.evaluation.shots import CALLED, Shot
from likeness.images import Pixels
from likeness.records import Reading

__all__ = ["Pictured", "Shown", "Suspect", "name_of", "pairs_of", "png_address", "strips_of", "suspects_of", "worst_of"]

LONGEST = 256  # px of a picture's longer side: two for each that a page has room for
EXACT = 128  # px, up to which a picture is kept as PNG: in small ones JPEG's blocks of 8 px are seen
SCENES = 6  # prompts of the strips: as many as stand beside each other
SUSPECTS = 12  # copies that are shown: more of them say no more
WORST = 3  # pictures of an axis


@dataclass(frozen=True, slots=True)
class Pictured:
    """A picture that was judged; `pixels` is None where it was not kept."""

    judged: Judged
    pixels: Pixels | None


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture as a page shows it.

    Attributes:
        image: a data address; empty where it was not kept.
        who: what drew it, in a person's words.
        prompt: what it was asked for.
        value: what is told of it.
    """

    image: str
    who: str
    prompt: str
    value: float | None = None


@dataclass(frozen=True, slots=True)
class Suspect:
    """A picture that copies one that was trained on.

    Attributes:
        drawn: the copy, with how alike the two are.
        original: what it copies, as a data address; empty where that is not here.
        name: of what it copies.
    """

    drawn: Shown
    original: str
    name: str


def name_of(who: str) -> str:
    """What a person calls an adapter: "step 250" for "step-000250", any other by its own name."""
    step = re.fullmatch(r"step-0*(\d+)", who)
    return f"step {step[1]}" if step else who


def suspects_of(pictures: Sequence[Pictured]) -> list[Pictured]:
    """Pictures that copy a training picture, each once, the most alike first."""
    in_full = {one.judged.who for one in pictures if one.judged.round == "full"}  # those of the first look among them
    each = [one for one in pictures if one.judged.round != "first" or one.judged.who not in in_full]
    copies = [one for one in each if one.judged.values.get("memorisation") == 1]
    return sorted(copies, key=lambda one: -one.judged.raws.get("memorisation", 0))


def pairs_of(suspects: Sequence[Pictured], trained_on: Sequence[str], originals: Mapping[int, Pixels]) -> list[Suspect]:
    """The first suspects, each with the training picture that it is nearest to.

    Args:
        suspects: the most alike first.
        trained_on: names of the training pictures, in the order in which `nearest` counts them.
        originals: those that are here, by their place.
    """
    found = []
    for one in suspects[:SUSPECTS]:
        place = -1 if one.judged.nearest is None else one.judged.nearest
        name = trained_on[place] if 0 <= place < len(trained_on) else f"training picture {place + 1}"
        drawn = _shown(one, one.judged.raws.get("memorisation"))
        found.append(Suspect(drawn, _address(originals.get(place)), name))
    return found


def strips_of(
    pictures: Sequence[Pictured], finalists: Sequence[str], real: Sequence[Seen] = ()
) -> tuple[list[str], list[tuple[str, list[Shown | None]]]]:
    """The first scenes of the character, and of the base and each finalist the pictures of them, from equal noise.

    Args:
        real: pictures of the character, of which one that is like each scene stands above the others.

    Returns:
        Prompts, and by what drew them a picture of each; None where there is none.
    """
    rows = (BASE, *finalists)
    full = {
        (one.judged.who, one.judged.shot.prompt, one.judged.shot.seed): one
        for one in pictures
        if one.judged.round == "full" and one.judged.who in rows and one.pixels is not None
    }
    called = [one.judged.shot for one in full.values() if one.judged.shot.kind in CALLED]
    first: dict[str, Shot] = {}
    for shot in sorted(called, key=lambda shot: CALLED.index(shot.kind)):
        first.setdefault(shot.prompt, shot)
    shots = list(first.values())[:SCENES]
    strips: list[tuple[str, list[Shown | None]]] = [("real", [*_real_like(shots, real)])]
    for who in rows:
        drawn = [full.get((who, shot.prompt, shot.seed)) for shot in shots]
        strips.append((name_of(who), [_shown(one) if one else None for one in drawn]))
    return [shot.prompt for shot in shots], [strip for strip in strips if any(strip[1])]


def _real_like(shots: Sequence[Shot], real: Sequence[Seen]) -> Iterator[Shown]:
    """For each shot the real picture that is most like what it asks for; of equals one that stands above no other."""
    times = Counter[int]()
    for shot in shots if real else ():
        fits = [(*_fit(one.reading, shot), -times[place]) for place, one in enumerate(real)]
        best = fits.index(max(fits))
        times[best] += 1
        reading = real[best].reading
        words = ", ".join(filter(None, (reading.view, reading.framing)))
        yield Shown(_address(real[best].pixels), "real", words or "of a view that nobody told")


def _fit(reading: Reading, shot: Shot) -> tuple[bool, bool, bool]:
    """Whether a picture is of the view that is asked for, of that view from either side, and of its framing."""
    view, framing = shot.asked.get("view"), shot.asked.get("framing")
    if reading.view is None or view is None:
        return False, False, framing is not None and reading.framing == framing
    return is_as_asked(reading.view, view), bin_of(reading.view) == bin_of(view), reading.framing == framing


def worst_of(pictures: Sequence[Pictured], rounds: Mapping[str, Round]) -> dict[str, list[Shown]]:
    """By axis of likeness, the pictures with the least of it.

    Args:
        rounds: whose pictures are meant, and of which round.
    """
    drawn = [one for one in pictures if one.pixels is not None and rounds.get(one.judged.who) == one.judged.round]
    found = {}
    for axis in (axis for axis, kind in KINDS.items() if kind == "likeness"):
        told = sorted((one.judged.values[axis], place) for place, one in enumerate(drawn) if axis in one.judged.values)
        if told:
            found[axis] = [_shown(drawn[place], value) for value, place in told[:WORST]]
    return found


def _shown(one: Pictured, value: float | None = None) -> Shown:
    return Shown(_address(one.pixels), name_of(one.judged.who), one.judged.shot.prompt, value)


def _address(pixels: Pixels | None) -> str:
    """A picture as a data address, made smaller where it is large; empty for none."""
    if pixels is None:
        return ""
    image, file = Image.fromarray(pixels), io.BytesIO()
    image.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
    if max(image.size) <= EXACT:
        image.save(file, "PNG")
        return png_address(file.getvalue())
    image.save(file, "JPEG", quality=88)  # from there on no fault is seen in it that is not the picture's own
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


def png_address(png: bytes) -> str:
    """A PNG file as a data address."""
    return "data:image/png;base64," + base64.b64encode(png).decode()

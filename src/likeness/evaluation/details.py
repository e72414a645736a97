"""Details: what an axis is made of, so that a low score says what is wrong."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from math import log

from likeness.evaluation.calibration import Mark
from likeness.evaluation.measure import SCENE, Drawn, Measure, asked_otherwise, is_as_asked, seen_of
from likeness.evaluation.shots import CALLED
from likeness.records import Record
from likeness.statistics import wilson

__all__ = ["Detail", "details_of", "mirrored"]


class Detail(Record):
    """One part of an axis.

    Attributes:
        name: of the trait, the view, the outfit.
        wanted: the value that it should have; empty where there is none.
        share: of the pictures that could be told, or the mean of what they reach.
        low: lower end of the 95% interval of a share; of a mean, the share itself.
        high: upper end.
        samples: pictures; 0 where nothing could be told in any, and then the share says nothing.
        instead: what is seen most often of what is not wanted; empty where nothing is.
        instead_share: how often.
        base_share: how often the base shows that instead, on the same prompts: what it would draw anyway.
    """

    name: str
    wanted: str = ""
    share: float
    low: float
    high: float
    samples: int
    instead: str = ""
    instead_share: float = 0.0
    base_share: float = 0.0


def details_of(axis: str, drawn: Drawn, marks: Sequence[Mark | None], measure: Measure) -> tuple[Detail, ...]:
    """What an axis is made of: traits, views, what was asked for; nothing where it is one thing."""
    if axis in ("face", "body", "clothing", "attributes"):
        return (*_traits(axis, drawn, measure), *(_outfits(drawn, measure) if axis == "clothing" else ()))
    if axis in TOLD:
        return tuple(TOLD[axis](drawn, marks, measure))
    return ()


def _traits(part: str, drawn: Drawn, measure: Measure) -> list[Detail]:
    """How often each trait of a part is right, and what is there instead."""
    known, found = measure.known, []
    for name in known.names(part):
        asking = [
            (shot, reading)
            for shot, reading in zip(drawn.shots, drawn.readings, strict=True)
            if shot.kind in CALLED and name not in asked_otherwise(shot, known)
        ]
        rows = [(value, s.asked) for s, reading in asking if (value := known.told(name, reading)) is not None]
        wanted = known.traits.get(name) or " or ".join(known.varying[name])
        if not rows:
            found += [Detail(name=name, wanted=wanted, share=0, low=0, high=1, samples=0)] if asking else []
            continue
        wrong = Counter(value for value, asked in rows if not known.is_own(name, value, asked))
        other = mirrored(wanted)
        if other and (sided := sum(value in (wanted, other) for value, _ in rows)):
            found.append(_share(f"{name} side", sided - wrong[other], sided, Counter({other: wrong[other]}), wanted))
        found.append(
            _share(name, len(rows) - wrong.total(), len(rows), wrong, wanted, _base_values(drawn, measure, name))
        )
    return found


def _outfits(drawn: Drawn, measure: Measure) -> list[Detail]:
    """Of several outfits that are asked for, how often each is worn then, whole; and which of the others instead."""
    known = measure.known
    asked = [
        {name: value for name, value in shot.asked.items() if known.parts.get(name) == "clothing"}
        if shot.kind == "own"
        else {}
        for shot in drawn.shots
    ]
    outfits = {_outfit(worn): worn for worn in asked if worn}
    if len(outfits) < 2:
        return []
    worn: dict[str, list[str]] = {name: [] for name in outfits}
    for wanted, reading in zip(asked, drawn.readings, strict=True):
        told = {name: value for name in wanted if (value := known.told(name, reading)) is not None}
        if told:
            alike = [name for name, one in outfits.items() if all(told[at] == one.get(at) for at in told)]
            own = _outfit(wanted)
            worn[own].append(own if own in alike else next(iter(alike), ""))
    return [
        _share(
            f"outfit {name}", seen.count(name), len(seen), Counter(one for one in seen if one not in (name, "")), name
        )
        for name, seen in worn.items()
        if seen
    ]


def _outfit(worn: Mapping[str, str]) -> str:
    """Its name: what it is made of, but for what is not there."""
    return ", ".join(value for value in worn.values() if value != "none")


def mirrored(value: str) -> str:
    """The value on the other side, as "right scar" of "left scar"; empty for one that has no side."""
    side, _, rest = value.partition(" ")
    return f"{MIRRORED[side]} {rest}" if side in MIRRORED else ""


MIRRORED = {"left": "right", "right": "left"}


def _base_values(drawn: Drawn, measure: Measure, name: str) -> Counter[str]:
    """What the base shows of a trait on the same prompts."""
    numbers = {shot.number for shot in drawn.shots if shot.kind in CALLED}
    return Counter(
        reading.traits[name]
        for shot, reading in zip(measure.base.shots, measure.base.readings, strict=True)
        if shot.number in numbers and name in reading.traits
    )


def _share(
    name: str, right: int, of: int, wrong: Counter[str], wanted: str = "", base: Counter[str] | None = None
) -> Detail:
    low, high = wilson(right, of)
    instead, times = wrong.most_common(1)[0] if wrong else ("", 0)
    by_base = base[instead] / base.total() if base and base.total() else 0.0
    return Detail(
        name=name,
        wanted=wanted,
        share=right / of,
        low=low,
        high=high,
        samples=of,
        instead=instead,
        instead_share=times / of,
        base_share=by_base,
    )


def _by_view(drawn: Drawn, marks: Sequence[Mark | None], measure: Measure) -> list[Detail]:
    """How alike it is in each view that was asked for."""
    by_view: dict[str, list[float]] = {}
    for shot, mark in zip(drawn.shots, marks, strict=True):
        if mark and mark.value is not None and "view" in shot.asked:
            by_view.setdefault(shot.asked["view"], []).append(mark.value)
    means = {view: (sum(values) / len(values), len(values)) for view, values in by_view.items()}
    return [Detail(name=view, share=mean, low=mean, high=mean, samples=n) for view, (mean, n) in means.items()]


def _followed(names: Sequence[str] | None) -> Callable[[Drawn, Sequence[Mark | None], Measure], list[Detail]]:
    def of(drawn: Drawn, marks: Sequence[Mark | None], measure: Measure) -> list[Detail]:
        """How often each thing that was asked for is there, and for a scene how evenly its values come."""
        rows: dict[str, list[tuple[str, str]]] = {}
        for shot, reading, mark in zip(drawn.shots, drawn.readings, marks, strict=True):
            for name, value in shot.asked.items() if mark else ():
                seen = seen_of(reading, name)
                is_named = name in names if names else name not in (*SCENE, "background")
                if is_named and seen is not None:
                    rows.setdefault(name, []).append((value, seen))
        found = []
        for name, pairs in rows.items():
            wrong = Counter(seen for value, seen in pairs if not is_as_asked(seen, value))
            found.append(_share(name, len(pairs) - wrong.total(), len(pairs), wrong))
            evenness = _evenness(pairs)
            if name in SCENE and evenness is not None:
                found.append(
                    Detail(name=f"{name} entropy", share=evenness, low=evenness, high=evenness, samples=len(pairs))
                )
        return found

    return of


def _evenness(pairs: Sequence[tuple[str, str]]) -> float | None:
    """The entropy of what was achieved over that of what was asked; below 1 something is drawn again and again."""
    asked, seen = (_entropy(Counter(some)) for some in zip(*pairs, strict=True))
    return min(seen / asked, 1.0) if asked > 0 else None


def _entropy(counts: Counter[str]) -> float:
    shares = [count / counts.total() for count in counts.values()]
    return -sum(share * log(share) for share in shares)


def _left_open(drawn: Drawn, marks: Sequence[Mark | None], measure: Measure) -> list[Detail]:
    """What is drawn most often where nothing is said, and how often the base draws it then."""
    found = []
    for name in measure.known.open_names:
        here, there = (_bare_values(one, name) for one in (drawn, measure.base))
        if here:
            value, times = here.most_common(1)[0]
            by_base = there[value] / there.total() if there else 0.0
            others = Counter({value: times})
            one = _share(name, here.total() - times, here.total(), others)
            found.append(one.model_copy(update={"base_share": by_base}))
    return found


def _bare_values(drawn: Drawn, name: str) -> Counter[str]:
    pairs = zip(drawn.shots, drawn.readings, strict=True)
    return Counter(seen for shot, reading in pairs if shot.kind == "bare" and (seen := seen_of(reading, name)))


def _nearest(drawn: Drawn, marks: Sequence[Mark | None], measure: Measure) -> list[Detail]:
    """How many pictures are nearest to one and the same training picture."""
    places = Counter(mark.nearest for mark in marks if mark and mark.nearest is not None)
    if not places:
        return []
    place, times = places.most_common(1)[0]
    low, high = wilson(times, places.total())
    name = f"nearest to training picture {place + 1}"
    return [Detail(name=name, share=times / places.total(), low=low, high=high, samples=places.total())]


TOLD: Mapping[str, Callable[[Drawn, Sequence[Mark | None], Measure], list[Detail]]] = {
    "identity": _by_view,
    "freedom": _followed(SCENE),
    "adherence": _followed(("background",)),
    "override": _followed(None),
    "variety": _left_open,
    "memorisation": _nearest,
}

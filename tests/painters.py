"""A character that is drawn without any model: who draws it rightly or wrongly, and a reader that never errs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache

import numpy

from likeness.evaluation.artefacts import Usual
from likeness.evaluation.instruments import Instruments, Real
from likeness.evaluation.known import Seen, know
from likeness.evaluation.languages import LANGUAGES
from likeness.evaluation.measure import Drawn, Measure
from likeness.evaluation.shots import Shot, Subject, Worn, plan_shots
from likeness.images import Pixels
from likeness.maquette.draw import draw
from likeness.maquette.world import (
    KINDS,
    SCENE_AXES,
    TRAITS,
    Drawing,
    Identity,
    random_identity,
    random_scene,
    trait_tags,
    visible_axes,
    visible_traits,
    with_view,
)
from likeness.perception.encoders import PlainEncoder
from likeness.recipe import EvaluateConfig
from likeness.records import Reading
from likeness.seeds import stream

OUTFITS = ({"garment": "robe", "garment_colour": "black"}, {"garment": "coat", "garment_colour": "orange"})
WHO = Identity(
    {
        **{"eye_shape": "narrow", "left_eye": "gold", "right_eye": "gold", "mark": "left star", "nose": "muzzle"},
        **{"skin": "tan", "head_ratio": "big", "height": "tall", "build": "slim", "pattern": "plain"},
        **{"ears": "cat", "horns": "ram", "tail": "fox", "hair_style": "spiky", "hair_colour": "teal"},
        **{"streak": "pink", "accessory": "scarf", **OUTFITS[0]},
    }
)
"""The character that the tests of evaluation are about. It has two outfits."""

SUBJECT = Subject(
    trigger="mirachar",
    class_words="1girl",
    traits={name: value for name, value in WHO.traits.items() if name not in OUTFITS[0]},
    outfits=[Worn(outfit, ", ".join(trait_tags(outfit))) for outfit in OUTFITS],
)
FLAT: Pixels = numpy.full((8, 8, 3), 128, numpy.uint8)
ENTIRE = [name for name in TRAITS if name not in KINDS["clothing"]]
"""What makes a character: its clothes do not."""

Painter = Callable[[Shot], Drawing]


def part_of(trait: str) -> str:
    return next(part for part, names in KINDS.items() if trait in names)


def reading_of(one: Drawing) -> Reading:
    """What a reader sees that never errs: what the scene shows, and as embedding who it is."""
    row = [float(one.identity[name] == value) / len(ENTIRE) ** 0.5 for name in ENTIRE for value in TRAITS[name]]
    seen: dict[str, object] = {axis: getattr(one.scene, axis) for axis in visible_axes(one.scene)}
    seen["traits"] = {name: one.identity[name] for name in visible_traits(one.identity, one.scene)}
    return Reading.model_validate({**seen, "embedding": row, "instrument": "truth", "instrument_sha256": "0" * 64})


def being(one: Drawing, **traits: str) -> Drawing:
    return replace(one, identity=replace(one.identity, traits={**one.identity.traits, **traits}))


def seen_in(one: Drawing, **axes: str) -> Drawing:
    scene = replace(one.scene, **{axis: value for axis, value in axes.items() if axis != "view"})
    return replace(one, scene=with_view(scene, axes["view"]) if "view" in axes else scene)


def base(shot: Shot) -> Drawing:
    """Somebody, as is asked for; of the same noise the same one."""
    return _as_asked(shot, random_identity(stream(shot.seed, "somebody")))


def good(shot: Shot) -> Drawing:
    """The character where it is called, in one of its outfits, and otherwise what the base draws."""
    if shot.kind in ("class", "others"):
        return base(shot)
    outfit = OUTFITS[int(stream(shot.seed, "outfit").integers(len(OUTFITS)))]
    return _as_asked(shot, replace(WHO, traits={**WHO.traits, **outfit}))


def strangers(shot: Shot) -> Drawing:
    """Others than the base draws, whatever is asked for but the scene."""
    return replace(base(shot), identity=random_identity(stream(shot.seed, "strangers")))


def with_fault(fault: Callable[[Drawing, Shot], Drawing]) -> Painter:
    """Who does as the good one does, with something wrong in the end."""
    return lambda shot: fault(good(shot), shot)


def _as_asked(shot: Shot, who: Identity) -> Drawing:
    scene = {axis: value for axis, value in shot.asked.items() if axis in SCENE_AXES}
    traits = {name: value for name, value in shot.asked.items() if name in TRAITS}
    return being(Drawing(who, random_scene(stream(shot.seed, "scene"), **scene)), **traits)


def painted(one: Drawing) -> Pixels:
    return draw(one.identity, one.scene, size=32, supersampling=1)


def drawn_by(
    painter: Painter, shots: Sequence[Shot], *, paint: Callable[[Drawing], Pixels] = lambda one: FLAT
) -> Drawn:
    """What a painter makes of shots; without `paint` only what is to be seen, and no pixels."""
    drawings = [painter(shot) for shot in shots]
    return Drawn(shots, [paint(one) for one in drawings], [reading_of(one) for one in drawings])


@cache
def shots_of(count: int = 16, seed: int = 1) -> tuple[Shot, ...]:
    """The shots of a plan with a picture of each prompt."""
    config = EvaluateConfig(count=count, seeds=1)
    return tuple(plan_shots(SUBJECT, LANGUAGES["maquette"], config, seed=seed))


def real_drawings(count: int = 36, seed: int = 0) -> list[Drawing]:
    """The character in both outfits in each view and framing, in any order; of these so many."""
    rng = stream(seed, "real")
    every = [
        being(Drawing(WHO, random_scene(rng, view=view, framing=framing)), **outfit)
        for outfit in OUTFITS
        for view in SCENE_AXES["view"]
        for framing in SCENE_AXES["framing"]
    ]
    return [every[place] for place in rng.permutation(len(every))[:count]]


def measure_by(shown: Drawn, *, knows_characters: bool = True) -> Measure:
    """What all is measured with, by what the base draws."""
    real = [Seen(FLAT, reading_of(one)) for one in real_drawings()]
    others = [one for shot, one in zip(shown.shots, shown.readings, strict=True) if not shot.asked.keys() & TRAITS]
    known = know(
        real[::3],
        [one for place, one in enumerate(real) if place % 3],
        others,
        part_of=part_of,
        checklist={},
        knows_characters=knows_characters,
    )
    return Measure(known, shown, PlainEncoder(), None, Usual.of([FLAT]))


class Truth:
    """A reader that never errs, since it has drawn the pictures: each drawing is a speckle of its own."""

    same_character = 0.5

    def __init__(self) -> None:
        self.drawings: dict[bytes, Drawing] = {}

    def paint(self, one: Drawing) -> Pixels:
        pixels = stream(1, str(one)).integers(0, 256, (8, 8, 3)).astype(numpy.uint8)
        self.drawings[pixels.tobytes()] = one
        return pixels

    def read(self, pictures: Sequence[Pixels]) -> list[Reading]:
        return [reading_of(self.drawings[one.tobytes()]) for one in pictures]


def instruments_of(truth: Truth, painters: Mapping[str, Painter]) -> Instruments:
    return Instruments(
        draw=lambda who, shots: [truth.paint(painters[who](shot)) for shot in shots],
        reader=truth,
        traits_of=lambda reading: reading.traits,
        part_of=part_of,
        encoder=PlainEncoder(),
        copy_encoder=PlainEncoder(),
    )


def real_of(truth: Truth) -> Real:
    real = [truth.paint(one) for one in real_drawings()]
    return Real(real[::3], [one for place, one in enumerate(real) if place % 3])

"""The scale of likeness: real pictures are at 1, other characters at 0, and who has some traits wrong is between."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy
import pytest

from likeness.errors import PictureError
from likeness.evaluation.calibration import Mark, Ruler, Scale, bin_of
from likeness.maquette.draw import draw
from likeness.maquette.world import TRAITS, Identity, character, random_identity, random_scene
from likeness.perception.maquette import MaquetteReader
from likeness.records import Reading
from likeness.seeds import stream

SHA = "0" * 64
NUMBERS = range(200, 208)


@pytest.fixture(scope="module")
def pictured() -> Callable[[Sequence[Identity], int], list[Reading]]:
    """What the maquette's reader sees of each in a scene at random."""
    reader = MaquetteReader()

    def act(who: Sequence[Identity], seed: int) -> list[Reading]:
        rng = stream(seed, "pictures")
        return reader.read([draw(one, random_scene(rng), size=64) for one in who])

    return act


@pytest.fixture(scope="module")
def scales(pictured: Callable[..., list[Reading]]) -> dict[int, tuple[Ruler, list[Reading]]]:
    """The scale of some characters that the base has never seen, and their held-out pictures."""
    found = {}
    for number in NUMBERS:
        who, rng = character(number), stream(number, "others")
        held_out, training = pictured([who] * 6, number), pictured([who] * 30, number + 1000)
        others = pictured([random_identity(rng) for _ in range(40)], number + 2000)
        found[number] = Ruler.of(held_out, training, others), held_out
    return found


def mean(marks: Sequence[Mark]) -> float:
    return float(numpy.mean([mark.value for mark in marks if mark.value is not None]))


def test_real_pictures_that_were_held_out_are_at_one(scales: dict[int, tuple[Ruler, list[Reading]]]):
    assert numpy.mean([mean(ruler.own_marks(held_out)) for ruler, held_out in scales.values()]) == pytest.approx(
        1, abs=0.03
    )


def test_new_pictures_of_the_character_are_at_one_and_others_at_zero(
    scales: dict[int, tuple[Ruler, list[Reading]]], pictured: Callable[..., list[Reading]]
):
    own, others = [], []
    for number, (ruler, _) in scales.items():
        rng = stream(number, "strangers")
        own.append(mean(ruler.marks(pictured([character(number)] * 20, number + 3000))))
        others.append(mean(ruler.marks(pictured([random_identity(rng) for _ in range(20)], number + 4000))))
    assert numpy.mean(own) == pytest.approx(1, abs=0.03)
    assert numpy.mean(others) == pytest.approx(0, abs=0.05)


def test_the_more_traits_are_wrong_the_lower_it_is(
    scales: dict[int, tuple[Ruler, list[Reading]]], pictured: Callable[..., list[Reading]]
):
    number = NUMBERS[0]
    rng, who = stream(number, "faults"), character(number)
    order = [str(name) for name in rng.permutation(list(TRAITS))]
    stranger = random_identity(rng)
    levels = []
    for count in (0, 4, 8, len(order)):
        mixed = replace(who, traits={**who.traits, **{name: stranger[name] for name in order[:count]}})
        levels.append(mean(scales[number][0].marks(pictured([mixed] * 20, 7))))
    assert levels == sorted(levels, reverse=True)
    assert levels[0] - levels[-1] > 0.7


def seen(*embedding: float, view: str = "front") -> Reading:
    return Reading(view=view, embedding=embedding, instrument="x", instrument_sha256=SHA)


OWN, OTHER, BETWEEN = (1.0, 0.0), (0.0, 1.0), (0.8, 0.6)


def test_a_picture_in_which_nothing_was_seen_has_no_value_and_is_not_zero():
    ruler = Ruler.of([seen(*OWN)] * 4, [seen(*OWN)] * 5, [seen(*OTHER)] * 5)
    (blind,) = ruler.marks([Reading(instrument="x", instrument_sha256=SHA)])
    assert (blind.value, blind.missing) == (None, "nothing to compare was seen")
    assert [mark.value for mark in ruler.marks([seen(*OWN), seen(*OTHER), seen(*BETWEEN)])] == pytest.approx(
        [1, 0, 0.8]
    )


def test_each_view_has_its_own_scale_whichever_way_it_is_turned():
    """From behind, this encoder finds everybody rather alike."""
    behind = [seen(*BETWEEN, view="profile left")] * 3 + [seen(*BETWEEN, view="profile right")] * 2
    ruler = Ruler.of(
        [seen(*OWN)] * 4, [*[seen(*OWN)] * 5, *behind], [*[seen(*OTHER)] * 5, *[seen(0.6, 0.8, view="profile")] * 5]
    )
    found = ruler.marks([seen(*BETWEEN), seen(*BETWEEN, view="profile left")])
    assert [mark.value for mark in found] == pytest.approx([0.8, 1])
    assert bin_of("three-quarter left") == bin_of("three-quarter right") == "three-quarter"


def test_where_the_encoder_cannot_tell_it_abstains_and_says_from_where():
    backs = [seen(*BETWEEN, view="back")] * 5
    ruler = Ruler.of([seen(*OWN)] * 4, [*[seen(*OWN)] * 5, *backs], [*[seen(*OTHER)] * 5, *backs])
    (mark,) = ruler.marks([seen(*BETWEEN, view="back")])
    assert mark.value is None
    assert mark.missing == "x cannot tell this character from others in the view 'back'"


def test_too_few_real_pictures_tell_no_scale():
    scale = Scale.of([("front", 1.0)] * 3, [("front", 0.2)] * 5)
    mark = scale.mark("front", 0.9, instrument="x")
    assert (mark.value, mark.missing) == (None, "too few real pictures, to tell how alike they are")


def test_too_few_pictures_are_refused_with_what_to_do():
    with pytest.raises(PictureError, match=r"3 held-out pictures .* 4 are needed\. Add pictures and curate again"):
        Ruler.of([seen(*OWN)] * 3, [seen(*OWN)] * 5, [seen(*OTHER)] * 5)


def test_a_held_out_picture_is_never_compared_with_itself():
    held_out = [seen(*OWN), *[seen(*OTHER)] * 3]
    ruler = Ruler.of(held_out, [seen(*OTHER)] * 5, [seen(*OWN)] * 5)
    assert ruler.own_marks(held_out)[0].raw == pytest.approx(0)
    blind = Reading(instrument="x", instrument_sha256=SHA)
    assert len(ruler.own_marks([blind, *held_out])) == 4

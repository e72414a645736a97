"""Pictures from elsewhere: each is measured for the LoRAs that its file names, and nothing is chosen."""

from collections.abc import Sequence

import numpy
import pytest
from painters import FLAT, base, good, painted, part_of, reading_of, real_drawings, strangers

from likeness.errors import EvaluationError
from likeness.evaluation.advice import findings_of
from likeness.evaluation.axes import UNDRAWN
from likeness.evaluation.elsewhere import measure_pictures, shots_by_lora
from likeness.evaluation.foreign import Generation
from likeness.evaluation.instruments import Instruments, Real
from likeness.evaluation.languages import LANGUAGES
from likeness.evaluation.scorecard import Score
from likeness.evaluation.shots import NO_SEED, Shot
from likeness.images import Pixels
from likeness.perception.encoders import PlainEncoder
from likeness.recipe import EvaluateConfig
from likeness.records import Reading

MAQUETTE = LANGUAGES["maquette"]
VIEWS = ("front view", "turned left", "turned right", "profile left", "profile right", "from behind")


def generation(prompt: str, seed: int | None = 1, **loras: float) -> Generation:
    return Generation(path=f"{prompt} {seed}.png", prompt=prompt, seed=seed, loras=loras, told_by="A1111")


def grouped(*some: Generation) -> dict[str, list[Shot]]:
    found = shots_by_lora(some, MAQUETTE, trigger="mirachar")
    return {who: [shot for shot, _ in pairs] for who, pairs in found.items()}


def test_pictures_are_grouped_by_the_loras_that_drew_them_and_those_of_none_are_the_bases():
    found = grouped(
        generation("mirachar, smile"),
        generation("mirachar, smile", mira=1.0),
        generation("mirachar, sad", mira=1.0),
        generation("mirachar, smile", mira=0.8),
        generation("mirachar, smile", style=0.5, mira=1.0),
        generation("mirachar, smile", mira=1.0, style=0.5),
    )
    assert {who: len(shots) for who, shots in found.items()} == {
        **{"base": 1, "mira": 2, "mira at 0.8": 1, "mira and style at 0.5": 2}
    }


def test_pictures_by_a_lora_that_is_called_base_are_not_the_bases():
    found = grouped(generation("mirachar"), generation("mirachar", base=1.0), generation("mirachar", base=0.5))
    assert {who: len(shots) for who, shots in found.items()} == {"base": 1, "base (LoRA)": 1, "base at 0.5": 1}


def test_each_picture_keeps_its_own_file():
    first, second = generation("mirachar, smile", 1, mira=1.0), generation("mirachar, smile", 2, mira=1.0)
    found = shots_by_lora([second, first], MAQUETTE, trigger="mirachar")["mira"]
    assert [one for _, one in found] == [second, first]
    assert [shot.seed for shot, _ in found] == [2, 1]


def test_what_was_asked_for_is_what_the_prompt_says():
    (shot,) = grouped(generation("masterpiece, mirachar, profile left, close-up, laughing, holding a cat"))["base"]
    assert shot.asked == {"view": "profile left", "framing": "face", "expression": "laughing"}
    assert shot.kind == "yours"


def test_a_prompt_without_the_trigger_is_of_the_class():
    found = grouped(generation("1girl, smile", mira=1.0), generation("MiraChar, smile", mira=1.0))
    assert [shot.kind for shot in found["mira"]] == ["class", "yours"]


def test_what_a_prompt_says_of_the_character_is_told_where_it_is_called():
    found = grouped(generation("mirachar, red hair, smile", mira=1.0), generation("1girl, red hair, smile", mira=1.0))
    assert [shot.asked.get("hair_colour") for shot in found["mira"]] == ["red", None]


def test_one_prompt_has_one_number_whoever_drew_it():
    found = grouped(
        generation("mirachar, smile"), generation("mirachar, sad"), generation("mirachar, smile", 2, mira=1.0)
    )
    assert found["base"][0].number == found["mira"][0].number != found["base"][1].number


def test_a_seed_that_a_file_does_not_tell_is_none_and_zero_is_one():
    found = grouped(generation("mirachar", None), generation("mirachar", 0))
    assert [shot.seed for shot in found["base"]] == [NO_SEED, 0]


# -- measured ----------------------------------------------------------------------------------------------------------


class Truth:
    """A reader that knows what is on each picture, by which picture it is."""

    same_character = 0.9

    def __init__(self) -> None:
        self.kept: list[Pixels] = []
        self.seen: dict[int, Reading] = {}

    def show(self, reading: Reading, pixels: Pixels = FLAT) -> Pixels:
        picture = pixels.copy()
        self.kept.append(picture)  # so that no other picture gets its place
        self.seen[id(picture)] = reading
        return picture

    def read(self, pictures: Sequence[Pixels]) -> list[Reading]:
        return [self.seen[id(picture)] for picture in pictures]


READER = Truth()
REAL_DRAWINGS = real_drawings(18)
REAL = [READER.show(reading_of(one)) for one in REAL_DRAWINGS]


def no_pictures(who: str, shots: Sequence[Shot]) -> list[Pixels]:
    raise AssertionError("nothing is drawn")


INSTRUMENTS = Instruments(
    draw=no_pictures,
    reader=READER,
    traits_of=lambda reading: reading.traits,
    part_of=part_of,
    encoder=PlainEncoder(),
    copy_encoder=PlainEncoder(),
)
PAINTERS = {"base": base, "mira": good, "other": strangers}


def pictures(*whos: str) -> dict[str, list[tuple[Shot, Pixels]]]:
    """The same two seeds of twelve prompts by each, some without the trigger."""
    asked = [f"{front}{view}, full body" for front in ("mirachar, 1girl, ", "1girl, ") for view in VIEWS]
    loras = {"base": {}, "mira": {"mira": 1.0}, "other": {"other": 1.0}}
    some = [generation(prompt, seed, **loras[who]) for who in whos for prompt in asked for seed in (1000, 2000)]
    found = shots_by_lora(some, MAQUETTE, trigger="mirachar")
    return {
        who: [
            (shot, READER.show(reading_of(PAINTERS[who](shot.model_copy(update={"seed": shot.seed + shot.number})))))
            for shot, _ in pairs
        ]
        for who, pairs in found.items()
    }


def measured(*whos: str, real: Real | None = None) -> dict[tuple[str, str], Score]:
    found = measure_pictures(
        pictures(*whos), real or Real(REAL[:8], REAL[8:]), EvaluateConfig(), instruments=INSTRUMENTS, seed=1
    )
    assert found.choice.step is None
    assert "Pictures from elsewhere are measured" in found.choice.reason
    assert {(score.round, score.step) for score in found.scores} == {("full", None)}
    assert {one.who for one in found.pictures} == {*whos}
    return {(score.who, score.axis): score for score in found.scores}


@pytest.fixture(scope="module")
def both() -> dict[tuple[str, str], Score]:
    return measured("base", "mira", "other")


def mean(scores: dict[tuple[str, str], Score], who: str, axis: str) -> float:
    value = scores[who, axis].value
    assert value is not None, scores[who, axis].missing
    return value.mean


def test_who_drew_the_character_is_at_one_and_who_drew_somebody_is_at_zero(both: dict[tuple[str, str], Score]):
    for axis in ("identity", "face", "attributes"):
        assert mean(both, "mira", axis) == pytest.approx(1, abs=0.05)
        assert mean(both, "other", axis) == pytest.approx(0, abs=0.3)
        assert mean(both, "base", axis) == pytest.approx(0, abs=0.3)


def test_pictures_without_the_trigger_pair_with_the_bases_of_the_same_prompt_and_seed(
    both: dict[tuple[str, str], Score],
):
    assert mean(both, "mira", "leak") == pytest.approx(0, abs=0.01)
    assert both["mira", "leak"].asked == both["mira", "drift"].asked == 12
    assert both["other", "leak"].missing == {}
    assert mean(both, "base", "leak") == 0


def test_pictures_whose_seeds_are_not_told_are_measured_but_paired_with_none():
    shots = grouped(*(generation(f"{front}{view}", None, mira=1.0) for front in ("mirachar, ", "") for view in VIEWS))
    some = [(shot, READER.show(reading_of(good(shot)))) for shot in shots["mira"]]
    found = measure_pictures(
        {**pictures("base"), "mira": some}, Real(REAL[:8], REAL[8:]), EvaluateConfig(), instruments=INSTRUMENTS, seed=1
    )
    told = {score.axis: score for score in found.scores if score.who == "mira"}
    assert told["identity"].value is not None
    assert told["identity"].value.mean == pytest.approx(1, abs=0.05)
    assert told["leak"].missing == told["drift"].missing == {UNDRAWN: 6}


def test_what_the_base_draws_of_prompts_that_say_other_traits_is_somebody_too():
    some = [generation(f"mirachar, red hair, {view}", seed) for view in VIEWS for seed in (1000, 2000)]
    shots = grouped(*some)["base"]
    drawn = {who: [(shot, READER.show(reading_of(PAINTERS[who](shot)))) for shot in shots] for who in ("base", "mira")}
    found = measure_pictures(drawn, Real(REAL[:8], REAL[8:]), EvaluateConfig(), instruments=INSTRUMENTS, seed=1)
    told = {(score.who, score.axis): score for score in found.scores}
    assert len(found.known.others) == len(shots)
    assert mean(told, "mira", "attributes") == pytest.approx(1, abs=0.05), "of hair it is told nothing"


def test_freedom_is_told_of_what_prompts_say(both: dict[tuple[str, str], Score]):
    assert mean(both, "mira", "freedom") == pytest.approx(1)
    assert {one.name for one in both["mira", "freedom"].details} >= {"view", "framing"}


def test_real_pictures_are_wanted_and_pictures_to_measure_too():
    with pytest.raises(EvaluationError, match="no real picture of the character"):
        measure_pictures(pictures("mira"), Real([], []), EvaluateConfig(), instruments=INSTRUMENTS, seed=1)
    for nothing in ({}, {"mira": []}):
        with pytest.raises(EvaluationError, match="no picture of a LoRA"):
            measure_pictures(nothing, Real(REAL, []), EvaluateConfig(), instruments=INSTRUMENTS, seed=1)


def test_copies_of_training_pictures_are_looked_for():
    learnt = [READER.show(reading_of(one), painted(one)) for one in REAL_DRAWINGS]
    shots = grouped(*(generation("mirachar", seed, mira=1.0) for seed in range(6)))["mira"]
    new = [painted(good(shot)) for shot in shots]
    drawn = [*learnt[8:11], *new[3:]]
    some = [(shot, READER.show(READER.seen[id(learnt[0])], one)) for shot, one in zip(shots, drawn, strict=True)]
    strangers_drawn = [(shot, READER.show(reading_of(base(shot)), painted(base(shot)))) for shot in shots]
    found = measure_pictures(
        {"mira": some, "base": strangers_drawn},
        Real(learnt[:8], learnt[8:], trained_on=learnt[8:]),
        EvaluateConfig(),
        instruments=INSTRUMENTS,
        seed=1,
    )
    told = [one for one in found.pictures if one.who == "mira"]
    assert [one.values["memorisation"] for one in told] == [1, 1, 1, 0, 0, 0]
    assert [one.nearest for one in told[:3]] == [0, 1, 2]
    assert ("base", "memorisation") not in {(one.who, one.axis) for one in found.scores}, "it has learnt none of them"
    assert numpy.isfinite([one.raws["memorisation"] for one in told]).all()


def test_without_any_picture_by_the_base_raw_likeness_is_told_alone():
    found = measure_pictures(
        pictures("mira"), Real(REAL[:8], REAL[8:]), EvaluateConfig(), instruments=INSTRUMENTS, seed=1
    )
    told = next(score for score in found.scores if score.who == "mira" and score.axis == "identity")
    assert told.value is None
    assert told.raw is not None
    assert told.missing == {"too few pictures of others, to tell what no likeness is": told.asked}
    advice = {
        one.axis: one.advice
        for one in findings_of([one for one in found.scores if one.who == "mira"], EvaluateConfig())
        if one.fault == "untold"
    }
    assert all("that the base drew" in advice[axis] for axis in ("identity", "face", "leak", "drift"))

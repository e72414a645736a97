"""Whether the scorecard can be trusted: planted faults, the drawn truth, choices, intervals and comparisons.

python benchmarks/planted.py --to planted                        # trains the LoRAs that this measures
python benchmarks/scorecard_quality.py --planted planted         # measures them; what is on record is not drawn again
python benchmarks/scorecard_quality.py --table                   # the tables and bars, from what is on record

Evaluation gets 24 real pictures that are right, as who measures a stranger's LoRA against references has them, the
LoRA's training pictures, and its trigger. (Where a workspace's own pictures are wrong, what they show is the truth, and
nothing can find it out.) What it says is held against the truth, of which it is told nothing. Truth about a LoRA's
pictures is told twice: by the embedded reader against the drawn traits, on other prompts than those evaluated; and
without any reader, by how near each picture is to the drawing that its prompt asks for.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import cycle
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy
import torch
from planted import NUMBERS, SIZE, Subject, references, subject
from safetensors.torch import load_file, save_file
from scorecard_choices import (
    PICTURES,
    Bar,
    choices,
    choices_table,
    coverage,
    coverage_table,
    dressed,
    ranks,
    ranks_table,
)

from likeness.evaluation.advice import findings_of
from likeness.evaluation.compare import compare
from likeness.evaluation.evaluate import Candidate, Evaluation, evaluate
from likeness.evaluation.instruments import Instruments, Real, measure_with
from likeness.evaluation.languages import LANGUAGES
from likeness.evaluation.measure import Measure
from likeness.evaluation.prompts import prompt_of, unseen_scenes
from likeness.evaluation.scorecard import Judged, Score
from likeness.evaluation.shots import Shot, Worn, plan_shots
from likeness.evaluation.shots import Subject as Asked
from likeness.evaluation.tallies import count_traits
from likeness.images import Pixels, fit, open_pixels
from likeness.maquette.draw import draw
from likeness.maquette.world import KINDS, TRAITS, Drawing, random_identity, random_scene, trait_tags
from likeness.perception.encoders import PlainEncoder
from likeness.pipeline import open_base, open_reader
from likeness.pipeline.evaluation import steps_of
from likeness.pipeline.painter import Painter
from likeness.pipeline.subjects import part_of
from likeness.recipe import BaseConfig, EvaluateConfig, PerceptionConfig, SampleConfig
from likeness.records import write_atomically
from likeness.seeds import seed_of, stream

RESULTS = Path(__file__).parent / "results" / "scorecard"
CONFIG = EvaluateConfig(count=24, seeds=1, confirm=False)
SAMPLE = SampleConfig(steps=8, guidance=2.0)  # 15 give no more identity, by a point
TRUTH = 24  # fresh scenes of the character
OTHERS = 216  # characters, one picture of each
PLANS = 4  # of the base's pictures; those of one, 18 of strangers, tell a character's 0 to 0.05
STRANGERS = ("bare", "background", "class")  # shots that ask for nothing of the character
EARLY = 20  # steps, after which a LoRA has learnt too little
SIDE = 32  # px, at which a picture is held against the drawing: what is left of a small shift is small
SENSITIVE, SPECIFIC, NEAR = 0.9, 0.9, 0.03  # bars


@dataclass(frozen=True, slots=True)
class Planted:
    """A LoRA, and what is wrong with it.

    Attributes:
        name: in tables.
        arm: that it is a checkpoint of.
        fault: what evaluation should find: fault and axis; empty for a good one.
        also: faults that come with it, by how it was made, and are not held against the finder.
        step: the checkpoint; None for the last.
    """

    name: str
    arm: str
    fault: tuple[str, str] | None = None
    also: tuple[str, ...] = ()
    step: int | None = None


FIXED = ("leak", "outfit", "background", "stiff", "copies")
UNLEARNT = ("undertrained", "weak view", "lost", "wrong", "side")
PLANTED = (
    Planted("control", "control"),
    Planted("again", "again"),
    Planted("too little", "control", ("undertrained", "identity"), ("lost", "weak view"), EARLY),
    Planted("copies", "copies", ("copies", "memorisation"), (*FIXED, "lost")),
    Planted("leak", "leak", ("leak", "leak"), ("lost",)),
    Planted("mirrored", "mirrored", ("side", "face")),
    Planted("one outfit", "one-outfit", ("outfit", "variety")),
    Planted("one background", "one-background", ("background", "variety")),
    Planted("eyes", "eyes", ("wrong", "face")),
    Planted("proportions", "proportions", ("wrong", "body")),
    Planted(
        "broken", "broken", ("artefacts", "artefacts"), ("leak", "outfit", "background", "stiff", "copies", *UNLEARNT)
    ),
)
"""All faults; a broken file is made of the control's."""


def main() -> None:
    """Measures what is not on record; with --table, prints tables and exits with 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("numbers", nargs="*", type=int, default=NUMBERS)
    parser.add_argument("--planted", type=Path, default=Path("planted"))
    parser.add_argument("--to", type=Path, default=RESULTS)
    parser.add_argument("--parts", nargs="+", choices=[*PARTS], default=[*PARTS], help="beside the cards")
    parser.add_argument("--table", action="store_true")
    chosen = parser.parse_args()
    if chosen.table:
        sys.exit(not table_of(recorded(chosen.to)))
    torch.set_num_threads(1)
    bench = Bench(chosen.planted)
    for number in chosen.numbers:
        path = chosen.to / f"{number}.json"
        found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        for one in PLANTED:
            if one.name not in found and bench.file_of(number, one):
                found[one.name] = bench.card(number, one)
                _keep(path, found)
                print(number, one.name, sorted(_found(found[one.name])), flush=True)
        if not bench.file_of(number, PLANTED[0]):
            continue
        for part in chosen.parts:
            if part not in found and (told := PARTS[part](bench, number)) is not None:
                found[part] = told
                _keep(path, found)
                print(number, part, flush=True)


class Bench:
    """The base and the reader, for all characters.

    Args:
        planted: where the LoRAs are.
    """

    def __init__(self, planted: Path) -> None:
        self.planted = planted
        self.model, self.reader = open_base(BaseConfig()), open_reader(PerceptionConfig(reader="maquette"))

    def file_of(self, number: int, one: Planted) -> Path | None:
        """Where a LoRA is; None where it is not trained yet."""
        arm = "control" if one.arm == "broken" else one.arm
        files = sorted((self.planted / str(number) / arm / "runs" / "0001").glob("step-*.safetensors"))
        finished = list((self.planted / str(number) / arm / "runs" / "0001").glob("[!s]*.safetensors"))
        if not files or not finished:
            return None
        if one.arm == "broken":
            return _broken(files[-1], self.planted / str(number) / "broken.safetensors")
        return next((path for path in files if path.stem.endswith(f"{one.step:06d}")), None) if one.step else files[-1]

    def instruments(self, number: int, files: Mapping[str, Path]) -> Instruments:
        """What draws and looks, with pictures kept beside the LoRAs."""
        to = self.planted / str(number) / "drawn"
        return Instruments(
            draw=Painter(lambda: self.model, SAMPLE, files, base="maquette", to=to),
            reader=self.reader,
            traits_of=lambda reading: reading.traits,
            part_of=part_of,
            encoder=PlainEncoder(),
            copy_encoder=PlainEncoder(),
        )

    def card(self, number: int, one: Planted) -> dict[str, Any]:
        """What evaluation says of a LoRA, and the truth about it."""
        file, who = self.file_of(number, one), subject(number)
        assert file
        found = self.evaluated(number, {one.name: file}, one.arm)
        scores = [score for score in found.scores if score.who == one.name]
        return {
            "scores": [score.model_dump(mode="json") for score in scores],
            "truth": self.truth(who, file),
            "pictures": [
                {"key": [one.shot.kind, one.shot.number], "values": one.values}
                for one in found.pictures
                if one.who != "base"
            ],
        }

    def evaluated(
        self, number: int, files: Mapping[str, Path], arm: str, *, finalists: int = CONFIG.finalists
    ) -> Evaluation:
        """The evaluation of some LoRAs of one arm, as a user would have it."""
        config = CONFIG.model_copy(update={"finalists": finalists})
        return evaluate(
            [Candidate(name, step) for name, step in steps_of(files).items()],
            lambda seed: self.plan(number, seed),
            self.real(number, arm),
            config,
            instruments=self.instruments(number, files),
            seed=number,
        )

    def real(self, number: int, arm: str) -> Real:
        """What evaluation is given of real pictures."""
        references(number, self.planted)
        real = _opened(self.planted / str(number) / "references")
        images = _opened(self.planted / str(number) / ("control" if arm == "broken" else arm) / "images")
        return Real(real[::2], real[1::2], images)

    def asked(self, who: Subject) -> Asked:
        """Who is asked for."""
        own = {name: value for name, value in who.identity.traits.items() if name not in KINDS["clothing"]}
        outfits = [Worn(outfit, ", ".join(trait_tags(outfit))) for outfit in who.outfits]
        return Asked(who.trigger, who.identity.class_words, own, outfits=outfits)

    def truth(self, who: Subject, file: Path | None, count: int = TRUTH) -> dict[str, float]:
        """Shares of the drawn traits on pictures of fresh scenes, by kind, in each outfit by turns; and how near the
        pictures are to the drawings. Without a file: of the base's, by the class words."""
        scenes = unseen_scenes(count, seen=(), seed=seed_of(who.number, "truth"))
        shots, asked = list[Shot](), list[Drawing]()
        for place, (scene, outfit) in enumerate(zip(scenes, cycle(who.outfits), strict=False)):
            prompt = prompt_of(scene, class_words=who.identity.class_words, trigger=who.trigger)
            front, _, rest = prompt.partition(f"{who.identity.class_words}, ")
            own = [front + who.identity.class_words, *trait_tags(outfit)] if file else [who.identity.class_words]
            words = ", ".join([*own, rest])
            shots.append(Shot(kind="own", number=place, prompt=words, seed=seed_of(who.number, "truth", place)))
            dressed = replace(who.identity, traits={**who.identity.traits, **outfit})
            asked.append(Drawing(dressed, scene))
        pixels = self.instruments(who.number, {"truth": file} if file else {}).draw("truth", shots)
        nearness = fmean(_nearness(*pair) for pair in zip(pixels, asked, strict=True))
        return self.shares(asked, pixels) | {"nearness": nearness}

    def shares(self, asked: Sequence[Drawing], pixels: Sequence[Pixels]) -> dict[str, float]:
        """The share of drawn traits that the reader finds on pictures of them, by kind."""
        readings = self.reader.read(pixels)
        kinds = {"identity": tuple(TRAITS), **KINDS}
        return {kind: count_traits(asked, readings, names).share().mean for kind, names in kinds.items()}

    def anchors(self, number: int) -> dict[str, tuple[float, float]]:
        """What shares of traits are 0 and 1 on evaluation's scale, so that characters can be compared: of each part as
        the scale has it, of all traits together what the base draws, and what is read off the drawings themselves."""
        scales = self.measure(number).known.scales
        parts = {part: (scale.zeros[""], scale.ones[""]) for part, scale in scales.items()}
        drawings = references(number, self.planted)
        read = self.shares(drawings, _opened(self.planted / str(number) / "references"))
        return {**parts, "identity": (self.truth(subject(number), None, PICTURES)["identity"], read["identity"])}

    def scale(self, number: int) -> dict[str, float]:
        """Calibrated identity of held-out real pictures, each against the others, and of pictures of other characters,
        on the scale that evaluation uses: its 0 is what the base draws for the class words, of some plans in turn. The
        others are any that the world has: those that are planted share a star, and what the base has never seen."""
        references(number, self.planted)
        real = self.reader.read(_opened(self.planted / str(number) / "references"))
        rng = stream(number, "other characters")
        strangers = [draw(random_identity(rng), random_scene(rng), size=SIZE, supersampling=3) for _ in range(OTHERS)]
        others = self.reader.read(strangers)
        told: dict[str, list[float]] = {"real": [], "others": []}
        for turn in range(PLANS):
            shots = [shot for shot in self.plan(number, seed_of(number, "scale", turn)) if shot.kind in STRANGERS]
            ruler = self.measure(number, shots).known.ruler
            assert ruler
            for name, marks in (("real", ruler.own_marks(real[::2])), ("others", ruler.marks(others))):
                told[name] += [mark.value for mark in marks if mark.value is not None]
        return {name: fmean(values) for name, values in told.items()}

    def measure(self, number: int, some: Sequence[Shot] = ()) -> Measure:
        """What a character's control is measured with, once the base has drawn some shots, or all of a plan."""
        instruments = self.instruments(number, {})
        shots = some or self.plan(number, seed_of(number, "shots"))
        base = instruments.look(shots, instruments.draw("base", shots))
        return measure_with(base, self.real(number, "control").seen(instruments), instruments, CONFIG)

    def plan(self, number: int, seed: int) -> list[Shot]:
        """The shots of a seed."""
        return plan_shots(self.asked(subject(number)), LANGUAGES["maquette"], CONFIG, seed=seed)


PARTS = {
    "scale": Bench.scale,
    "anchors": Bench.anchors,
    "ranks": ranks,
    "coverage": coverage,
    "dressed": dressed,
    "choices": choices,
}
"""What else is measured of a character, cheap parts first."""


def _opened(folder: Path) -> list[Pixels]:
    return [open_pixels(path) for path in sorted(folder.glob("*.png"))]


def _nearness(pixels: Pixels, asked: Drawing) -> float:
    """1 less the mean difference from the drawing that was asked for, as a share of full scale."""
    wanted, got = (fit(some, SIDE, SIDE).astype(float) for some in (draw(asked.identity, asked.scene), pixels))
    return 1 - float(numpy.abs(wanted - got).mean() / 255)


def _broken(file: Path, to: Path) -> Path:
    """A file whose numbers were shuffled within each tensor and enlarged: as after a bad merge."""
    if not to.exists():
        tensors, generator = load_file(file), torch.Generator().manual_seed(0)
        for name, tensor in tensors.items():
            if "lora" in name and "alpha" not in name:
                order = torch.randperm(tensor.numel(), generator=generator)
                tensors[name] = (tensor.flatten()[order].reshape(tensor.shape) * 4).contiguous()
        save_file(tensors, to)
    return to


def _keep(path: Path, found: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(found) + "\n")


# -- tables ------------------------------------------------------------------------------------------------------------


def recorded(folder: Path) -> dict[int, dict[str, Any]]:
    """What is on record, by character."""
    return {int(path.stem): json.loads(path.read_text()) for path in sorted(folder.glob("[0-9]*.json"))}


def table_of(found: Mapping[int, Mapping[str, Any]]) -> bool:
    """Prints each table; whether every bar is met."""
    bars = [
        *_faults(found),
        *ranks_table(found),
        *_scales(found),
        *choices_table(found),
        *coverage_table(found),
        *_compared(found),
    ]
    _besides(found)
    print()
    for name, figure, is_met in bars:
        print(f"{'met   ' if is_met else 'MISSED'} {name}: {figure}")
    return all(is_met for *_, is_met in bars)


def _faults(found: Mapping[int, Mapping[str, Any]]) -> Iterator[Bar]:
    """Sensitivity and specificity of each fault."""
    print("| planted | found | of | sensitivity | called elsewhere | of | specificity |\n|---|---|---|---|---|---|---|")
    for one in PLANTED:
        if one.fault is None:
            continue
        hits = [_has(card[one.name], one.fault) for card in found.values() if one.name in card]
        wrong = [
            _has(card[other.name], one.fault)
            for card in found.values()
            for other in PLANTED
            if other.name in card
            and other.name != one.name
            and one.fault[0] not in other.also
            and not (other.fault and other.fault == one.fault)
        ]
        if not hits:
            continue
        sensitivity, specificity = fmean(hits), 1 - fmean(wrong)
        print(
            f"| {one.name} | {sum(hits)} | {len(hits)} | {sensitivity:.2f} | {sum(wrong)} | {len(wrong)} "
            f"| {specificity:.2f} |"
        )
        yield (
            f"{one.name} is found",
            f"{sensitivity:.2f} / {specificity:.2f}",
            min(sensitivity, specificity) >= SENSITIVE,
        )


def _besides(found: Mapping[int, Mapping[str, Any]]) -> None:
    """What is said of LoRAs in which it was not planted and does not come with what was, whether it is true of them or
    not: of those without a fault, and of all."""
    good, others = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    cards = [(one, card[one.name]) for card in found.values() for one in PLANTED if one.name in card]
    for one, card in cards:
        some = {finding for finding in _found(card) if finding != one.fault and finding[0] not in one.also}
        (others if one.fault else good).update(some)
    sound = sum(one.fault is None for one, _ in cards)
    print(f"\n| said besides | of {sound} LoRAs without a planted fault | of {len(cards) - sound} with another |")
    print("|---|---|---|")
    for fault, axis in sorted({*good, *others}, key=lambda one: -good[one] - others[one]):
        print(f"| {axis}: {fault} | {good[fault, axis]} | {others[fault, axis]} |")


def _has(card: Mapping[str, Any], fault: tuple[str, str]) -> bool:
    return fault in _found(card)


def _found(card: Mapping[str, Any]) -> set[tuple[str, str]]:
    """What is wrong with a LoRA, fault and axis, as its scores say by the limits of now."""
    scores = [Score.model_validate(one) for one in card["scores"]]
    return {(one.fault, one.axis) for one in findings_of(scores, CONFIG)}


def _scales(found: Mapping[int, Mapping[str, Any]]) -> Iterator[Bar]:
    scales = [card["scale"] for card in found.values() if "scale" in card]
    if scales:
        real, others = (fmean(scale[name] for scale in scales) for name in ("real", "others"))
        yield "held-out real pictures at 1", f"{real:.3f}", abs(real - 1) <= NEAR
        yield "other characters at 0", f"{others:.3f}", abs(others) <= NEAR


def _compared(found: Mapping[int, Mapping[str, Any]]) -> Iterator[Bar]:
    """How often `compare` calls a LoRA worse, on any axis, than the same trained from another seed."""
    called, of = 0, 0
    for card in found.values():
        if "control" in card and "again" in card:
            pairs = [[_judged(one, name) for one in card[name]["pictures"]] for name in ("control", "again")]
            for first, second in (pairs, pairs[::-1]):
                differences = compare(first, second, margin=CONFIG.margin, seed=0)
                called += any(one.is_worse for one in differences)
                of += 1
    if of:
        yield "compare with itself from another seed", f"{called} of {of} called worse", called <= 0.05 * of


def _judged(one: Mapping[str, Any], who: str) -> Judged:
    kind, number = one["key"]
    shot = Shot(kind=kind, number=number, prompt=f"{kind} {number}", seed=0)
    return Judged(
        who=who, round="full", shot=shot, values=one["values"], raws={}, missing={}, instrument_sha256="0" * 64
    )


if __name__ == "__main__":
    main()

"""Judging by eye: which adapters and pictures a person is shown, and where the page, the key and the answers lie."""

import base64
import io
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from PIL import Image
from pydantic import ValidationError

from likeness.errors import EvaluationError, WorkspaceError
from likeness.evaluation.calibration import Mark
from likeness.evaluation.choose import ranked
from likeness.evaluation.evaluate import BASE
from likeness.evaluation.judgement import Judgement, judgement
from likeness.evaluation.judging import items_of, plan_key, sheet_page, tells
from likeness.evaluation.questions import Answers, Key, Said, Tick
from likeness.evaluation.scorecard import Judged, Score, measured_of, rules_of
from likeness.images import Pixels, cropped, fit, open_pixels, sha256_of
from likeness.messages import listed
from likeness.pipeline.instruments import open_reader
from likeness.pipeline.scores import read_verdict
from likeness.pipeline.subjects import traits_of
from likeness.recipe import EvaluateConfig, Recipe
from likeness.records import Picture, Reading, first_fault, make_folder, read_records, write_atomically
from likeness.workspace import Workspace

__all__ = ["judge_answers", "judged_sha256", "write_sheet"]

LARGEST = 768  # px; a hundred pictures of that size make a page of 20 MB, and small marks are still to be seen
LOSSLESS = 256  # px up to which a picture is kept as it is: what is larger is a JPEG that looks the same
QUALITY = 90


def write_sheet(workspace: Workspace, recipe: Recipe, names: Sequence[str] = ()) -> Key:
    """Writes the page that asks a person, and the key to it.

    The same evaluation and seed give the same page.

    Args:
        workspace: that was evaluated.
        recipe: with its reader, its seed and `evaluate.checklist`.
        names: of two adapters; by default the chosen one and the best other.

    Raises:
        WorkspaceError: where nothing was evaluated, or a picture is gone.
        EvaluationError: where an adapter is not there, or there is no real picture to show.
    """
    with workspace.lock("likeness judge"):
        real = _real(workspace, recipe)
        verdict, pictures = read_verdict(workspace), read_records(workspace.pictures_jsonl, Judged)
        scores = read_records(workspace.scores_jsonl, Score)
        chosen = next((one.who for one in scores if one.step is not None and one.step == verdict.choice.step), "")
        first, second = _two_of(pictures, scores, names, chosen, recipe.evaluate)
        ours, theirs = ([one for one in pictures if one.who == who] for who in (first, second))
        items = items_of(scores, second, recipe.evaluate.checklist)
        about = {"chosen": chosen, "sha256": judged_sha256(workspace)}
        key = plan_key(ours, theirs, real, items, seed=recipe.seed).model_copy(update=about)
        if not key.pictures:
            raise EvaluationError(
                f"No picture of {first} and {second} was kept. Draw them again: likeness evaluate {workspace.root}"
            )
        looks = _opened(workspace, key, real)
        key = key.model_copy(update={"ticks": tuple(_seen(key.ticks, looks, real, recipe))})
        addresses = {place: _address(pixels) for place, pixels in looks.items()}
        key = key.sealed(addresses)
        for folder in (workspace.judging, workspace.judging_html.parent):
            make_folder(folder)
        write_atomically(workspace.key_json, key.model_dump_json(indent=1) + "\n")
        write_atomically(workspace.judging_html, sheet_page(key, addresses))
    return key


def judge_answers(workspace: Workspace, recipe: Recipe, file: Path) -> Judgement:
    """What a person's answers say; it is written into the workspace, and so are the answers.

    Args:
        workspace: with the key to the page.
        recipe: with the weights that a choice is made by.
        file: that the page saved.

    Raises:
        WorkspaceError: where the file, or a page, is missing.
        EvaluationError: for a file that is no answers, or those of another page.
    """
    with workspace.lock("likeness judge"):
        key, answers = _read_key(workspace), _read_answers(file)
        if answers.page != key.page:
            raise EvaluationError(
                f"{file} answers another page: its page is {answers.page!r}, that of {workspace.judging_html} is "
                f"{key.page!r}. Name the answers that were saved from this page, or answer it: two minutes do."
            )
        unknown = (answers.pairs.keys() - {one.id for one in key.pairs}) | (
            answers.ticks.keys() - {one.id for one in key.ticks}
        )
        if unknown:
            raise EvaluationError(
                f"{file} answers questions that the page did not ask: {listed(sorted(unknown))}. "
                "Use the file as the page saved it."
            )
        if not answers.pairs and not answers.ticks:
            raise EvaluationError(f"{file} answers nothing. Answer some of {workspace.judging_html} and save again.")
        found = judgement(key, answers, {rule.axis: rule.weight for rule in rules_of(recipe.evaluate)})
        write_atomically(workspace.answers_json, answers.model_dump_json(indent=1) + "\n")
        write_atomically(workspace.judging_json, found.model_dump_json(indent=1) + "\n")
    return found


def judged_sha256(workspace: Workspace) -> str:
    """What is judged: the sha256 of the chosen LoRA, or where there is none of the record of all pictures.

    Raises:
        WorkspaceError: where nothing was evaluated.
    """
    lora = read_verdict(workspace).lora
    chosen = workspace.root / lora
    return sha256_of(chosen if lora and chosen.is_file() else workspace.pictures_jsonl)


def _read_key(workspace: Workspace) -> Key:
    path = workspace.key_json
    try:
        return Key.model_validate_json(path.read_bytes())
    except FileNotFoundError as fault:
        raise WorkspaceError(f"{path} is not there. Make the page first: likeness judge {workspace.root}") from fault
    except ValidationError as fault:
        raise WorkspaceError(f"{path} cannot be read. Make the page anew: likeness judge {workspace.root}") from fault


def _read_answers(file: Path) -> Answers:
    try:
        return Answers.model_validate_json(file.read_bytes(), strict=True)
    except OSError as fault:
        raise WorkspaceError.of(file, fault) from fault
    except ValidationError as fault:
        raise EvaluationError(
            f"{file} holds no answers: {first_fault(fault)}. Use the file as the page saved it."
        ) from fault


def _real(workspace: Workspace, recipe: Recipe) -> list[Picture]:
    """The held-out pictures, each with the traits that its tags say; what no reader saw yet is read."""
    held_out = [one for one in read_records(workspace.images_jsonl, Picture) if one.use == "held-out"]
    if not held_out:
        raise EvaluationError(
            f"{workspace.root} has no held-out pictures, and without a real one nobody can say what is like the "
            f"character. Add pictures and curate again: likeness curate {workspace.root}"
        )
    unread = {one.id: cropped(workspace.images / one.path, one.crop) for one in held_out if one.reading is None}
    readings = open_reader(recipe.perception).read(list(unread.values())) if unread else []
    read = dict(zip(unread, readings, strict=True))
    return [one.model_copy(update={"reading": _named(one.reading or read[one.id], recipe)}) for one in held_out]


def _named(reading: Reading, recipe: Recipe) -> Reading:
    return reading.model_copy(update={"traits": traits_of(reading, recipe)})


def _two_of(
    pictures: Sequence[Judged],
    scores: Sequence[Score],
    names: Sequence[str],
    chosen: str,
    config: EvaluateConfig,
) -> tuple[str, str]:
    """The two that are compared, the better or chosen one second; the base where there is no other."""
    there = list(dict.fromkeys(one.who for one in pictures))
    if names and (len(set(names)) != 2 or not set(names) <= set(there)):
        raise EvaluationError(f"{' '.join(names)!r} does not name two that were measured: {', '.join(there)}.")
    if len(there) < 2:
        raise EvaluationError(f"Only {there[0]} drew pictures, and there is nobody to compare it with.")
    if names or len(there) == 2:
        first, second = names or there
        return first, second
    steps = {one.who: one.step for one in scores if one.step is not None}
    order = next((found for round in ("fresh", "full") if (found := _order(pictures, round, steps, config))), [])
    best = chosen if chosen in order or not order else order[0]
    if not best:
        example = shlex.join(there[-2:])
        raise EvaluationError(f"Name two of {', '.join(there)}, as in: likeness judge FOLDER {example}")
    return next((who for who in order if who != best), BASE), best


def _order(pictures: Sequence[Judged], round: str, steps: Mapping[str, int], config: EvaluateConfig) -> list[str]:
    """The adapters of a round from the best, by the measure by which a leader is told."""
    own: dict[str, list[Judged]] = {}
    for one in pictures:
        if one.round == round and one.who in steps:
            own.setdefault(one.who, []).append(one)
    if not own:
        return []
    by_step = sorted(own, key=lambda who: steps[who])
    shots = [one.shot for one in own[by_step[0]]]
    axes = {axis for some in own.values() for one in some for axis in (*one.values, *one.missing)}
    marks = [{axis: [_mark(one, axis) for one in own[who]] for axis in axes} for who in by_step]
    order = ranked(measured_of([steps[who] for who in by_step], shots, marks), rules_of(config))
    return sorted(by_step, key=lambda who: order.index(steps[who]))


def _mark(one: Judged, axis: str) -> Mark | None:
    is_asked = axis in one.values or axis in one.missing
    return Mark(one.values.get(axis), one.raws.get(axis), one.missing.get(axis, "")) if is_asked else None


def _opened(workspace: Workspace, key: Key, real: Sequence[Picture]) -> dict[str, Pixels]:
    """The pictures of a page. Real ones of a tick have the size of drawn ones, or else they would be known by it."""
    crops = {f"images/{one.path}": one.crop for one in real}
    looks = {
        place: cropped(workspace.root / place, crops[place]) if place in crops else open_pixels(workspace.root / place)
        for place in key.pictures
    }
    rows, columns = next(pixels.shape[:2] for place, pixels in looks.items() if place not in crops)
    for one in key.ticks:
        if not one.who:
            looks[one.picture] = _upper_part(looks[one.picture], columns, rows)
    return looks


def _upper_part(pixels: Pixels, width: int, height: int) -> Pixels:
    """The largest part of a shape, resized; of what is too tall the upper part, where heads are."""
    rows, columns = pixels.shape[:2]
    scale = min(columns / width, rows / height)
    left = (columns - width * scale) / 2
    return fit(pixels, width, height, window=(left, 0, min(left + width * scale, columns), min(height * scale, rows)))


def _seen(ticks: Sequence[Tick], looks: Mapping[str, Pixels], real: Sequence[Picture], recipe: Recipe) -> list[Tick]:
    """The ticks, with what the reader says of each."""
    places = list(dict.fromkeys(one.picture for one in ticks))
    if not places:
        return []
    readings = open_reader(recipe.perception).read([looks[place] for place in places])
    named = {place: _named(reading, recipe) for place, reading in zip(places, readings, strict=True)}
    return [one.model_copy(update={"seen": _said(one, named[one.picture], real)}) for one in ticks]


def _said(tick: Tick, reading: Reading, real: Sequence[Picture]) -> Said:
    if not tells(reading, tick.item, real):
        return "cannot tell"
    return "yes" if reading.traits[tick.item.name] == tick.item.wanted else "no"


def _address(pixels: Pixels) -> str:
    """A picture as a data address, at most `LARGEST` px long. It is written anew: a file's own metadata names who drew
    it."""
    rows, columns = pixels.shape[:2]
    scale = min(1.0, LARGEST / max(rows, columns))
    if scale < 1:
        pixels = fit(pixels, round(columns * scale), round(rows * scale))
    file, form = io.BytesIO(), "PNG" if max(rows, columns) <= LOSSLESS else "JPEG"
    save: Callable[..., None] = Image.fromarray(pixels).save
    save(file, form, **({} if form == "PNG" else {"quality": QUALITY, "subsampling": 0}))
    return f"data:image/{form.lower()};base64,{base64.b64encode(file.getvalue()).decode()}"

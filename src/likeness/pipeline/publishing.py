"""Publishing the chosen LoRA: what all the records of a workspace come to, on one card."""

import datetime
import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from likeness.catalog.bases import base_of
from likeness.catalog.card import Agreed, BaseFacts, Card, Made, Rights, Source, Subject, TrainedOn, Used
from likeness.catalog.licences import Licence, licence_of
from likeness.catalog.pictures import Shown
from likeness.catalog.publish import file_facts, publish
from likeness.catalog.scores import AxisScore, Evaluated
from likeness.catalog.scores import Strength as BestWeight
from likeness.diffusion.checkpoints import read_header
from likeness.diffusion.files.headers import family_noted, hashes_of
from likeness.errors import PublishError, WorkspaceError
from likeness.events import Event, Report, silent
from likeness.images import sha256_of
from likeness.pipeline.clients import clients_of
from likeness.pipeline.instruments import open_reader
from likeness.pipeline.samples import best_lora
from likeness.pipeline.settings import settings_of
from likeness.recipe import RATINGS, CharacterConfig, PublishConfig, Rating, Recipe, SampleConfig, load_recipe
from likeness.records import Picture, read_records
from likeness.workspace import Run, Workspace

if TYPE_CHECKING:
    from likeness.evaluation.strength import Strength
    from likeness.pipeline.scores import Verdict

__all__ = ["Released", "publish_chosen", "publish_locked"]

SEEN: Mapping[str, Rating] = {"general": "PG", "sensitive": "PG13", "questionable": "R", "explicit": "X"}
"""What a tagger's words for how much a picture shows come to."""


class Released(NamedTuple):
    """A release.

    Attributes:
        folder: that it is in.
        card: what it says.
        changed: its files that were written this time, and those that are gone, relative to it.
    """

    folder: Path
    card: Card
    changed: tuple[str, ...]


def publish_chosen(workspace: Workspace, recipe: Recipe, *, report: Report = silent) -> Released:
    """The release of the chosen LoRA.

    Raises:
        WorkspaceError: where nothing was trained, or a record cannot be read.
        ConsentError, PublishError: where something keeps it from being published.
    """
    with workspace.lock("likeness publish"):
        return publish_locked(workspace, recipe, report=report)


def publish_locked(workspace: Workspace, recipe: Recipe, *, report: Report = silent) -> Released:
    """As `publish_chosen`, for one who has locked the workspace."""
    lora, whole, to = best_lora(workspace, report), settings_of(recipe).recipe, workspace.root / "release"
    verdict = _verdict(workspace, lora, who=whole.character.name)
    _refuse_other_words(workspace, whole, lora)
    strength = _strength(workspace, lora, report)
    told = {"evaluated": _evaluated(workspace, verdict) if verdict else None, "strength": _best_weight(strength)}
    card = _card(workspace, whole, lora, report).model_copy(update=told)
    shown = _shown(workspace, whole, verdict, strength) if verdict else []
    card = card.model_copy(update={"rating": _rating(whole, shown)})
    folder = to / card.name
    before = _stamps(folder)
    card = publish(card, lora, shown, character=whole.character, config=whole.publish, to=to)
    after = _stamps(folder)
    changed = [name for name in sorted(before | after) if before.get(name) != after.get(name)]
    return Released(folder, card, tuple(changed))


def _stamps(folder: Path) -> dict[str, int]:
    """When each file below a folder was written: what has not changed is not written again."""
    files = [path for path in folder.rglob("*") if path.is_file()] if folder.is_dir() else []
    return {path.relative_to(folder).as_posix(): path.stat().st_mtime_ns for path in files}


def _shown(workspace: Workspace, recipe: Recipe, verdict: "Verdict", strength: "Strength | None") -> list[Shown]:
    from likeness.pipeline.showing import rows_of, samples_of

    title, who = recipe.character.name, Path(verdict.lora).stem
    how = SampleConfig.model_validate(verdict.measured.sampling)
    rows = rows_of(workspace, strength, how, title=title) if strength else ()
    return [*samples_of(workspace, who, how, title=title, most=recipe.publish.samples), *rows]


def _rating(recipe: Recipe, shown: Sequence[Shown]) -> Rating | None:
    """The most that its pictures show: as a person says, and as the reader sees where it can tell; the maquette draws
    nothing but PG. None where nobody can tell."""
    readings = open_reader(recipe.perception).read([one.pixels for one in shown]) if shown else []
    seen = [SEEN[one.rating] for one in readings if one.rating]
    told: list[Rating] = [recipe.publish.rating] if recipe.publish.rating else []
    if recipe.base.path == "maquette":
        told.append("PG")
    return max([*seen, *told], key=RATINGS.index, default=None)


def _card(workspace: Workspace, recipe: Recipe, lora: Path, report: Report) -> Card:
    """What is known without its having been measured."""
    character, config, notes = recipe.character, recipe.publish, read_header(lora).metadata
    base = _base(recipe, notes)
    return Card(
        name=Run(workspace.runs).lora(character.name).stem,
        title=character.name,
        published=datetime.datetime.now(datetime.UTC).date(),
        summary=config.summary or _summary(recipe, base),
        description=config.description,
        tags=tuple(dict.fromkeys(filter(None, (*config.tags, character.class_words)))),
        aliases=config.aliases,
        file=file_facts(lora),
        subject=_subject(character),
        base=base,
        rights=_rights(config, base),
        negative=recipe.sample.negative,
        trained_on=_trained_on(workspace),
        made=_made(workspace, recipe, lora, notes),
        clients=clients_of(lora, report),
        contact=config.contact,
        parents=tuple(filter(None, notes.get("modelspec.merged_from", "").split(", "))),
    )


def _summary(recipe: Recipe, base: BaseFacts) -> str:
    """What can be said of any character."""
    character = recipe.character
    what = f", {character.class_words}" if character.class_words else ""
    return f"{character.name}{what}: a character LoRA for {base.name}, called by `{character.trigger}`."


def _subject(character: CharacterConfig) -> Subject:
    consent, is_real = character.consent, character.kind == "real-person"
    agreed = (
        Agreed(**consent.model_dump(include={"basis", "scope", "date", "expires", "evidence_sha256"}))
        if is_real and consent and consent.date
        else None
    )
    return Subject(
        **character.model_dump(include={"kind", "trigger", "class_words"}),
        adult=consent.adult if is_real and consent else None,
        consent=agreed,
    )


def _base(recipe: Recipe, notes: Mapping[str, str]) -> BaseFacts:
    """The base by the LoRA's own notes, and what other tools call it."""
    config = recipe.publish
    file = Path(recipe.base.path).name
    family = family_noted(notes) or "sd15"
    known = base_of(family, [config.base_name, file, notes.get("ss_sd_model_name", "")])
    is_meant = any(word in f"{config.base_name} {file}".lower() for word in known.words)
    if config.base_licence and known.licence and is_meant and config.base_licence != known.licence:
        raise PublishError(
            f"publish.base_licence = {config.base_licence!r}, but the licence of {known.name} is {known.licence!r}. "
            "Leave it out; or name the base by publish.base_name, where it is another one."
        )
    resolution = notes.get("modelspec.resolution", "").partition("x")[0]
    return BaseFacts(
        name=config.base_name or known.name,
        family=family,
        file=file,
        sha256=notes.get("ss_new_sd_model_hash", ""),
        hub=config.base_hub or (known.hub if is_meant else ""),
        licence=config.base_licence or known.licence,
        prediction="v" if notes.get("modelspec.prediction_type") == "v" else "epsilon",
        clip_skip=recipe.base.clip_skip,
        side=int(resolution) if resolution.isdecimal() else None,
    )


def _licence(id: str, link: str) -> Licence | None:
    """A licence that is known; None where nobody said, or nobody knows it, which a gate tells with all else."""
    try:
        return licence_of(id, link, field="") if id else None
    except PublishError:
        return None


def _rights(config: PublishConfig, base: BaseFacts) -> Rights:
    id, link, owner = config.licence or base.licence, config.licence_link, config.author
    own, of_base = _licence(id, link), _licence(base.licence, link)
    if own is None:
        return Rights(licence=id, owner=owner)
    asks = tuple(dict.fromkeys(filter(None, (own.asks, of_base.asks if of_base else ""))))
    return Rights(licence=own.id, title=own.title, link=own.link, on_hub=own.on_hub, asks=asks, owner=owner)


def _trained_on(workspace: Workspace) -> TrainedOn:
    pictures = [one for one in read_records(workspace.images_jsonl, Picture) if one.use != "rejected"]
    sources = Counter((one.source, one.rights) for one in pictures)
    return TrainedOn(
        train=sum(one.use == "train" for one in pictures),
        held_out=sum(one.use == "held-out" for one in pictures),
        generated=sum(bool(one.made_by) for one in pictures),
        sources=tuple(Source(source=s, rights=r, pictures=count) for (s, r), count in sources.most_common()),
        pictures=tuple(
            Used(sha256=one.id, use=one.use, source=one.source, rights=one.rights, made_by=one.made_by)
            for one in pictures
            if one.use != "rejected"
        ),
    )


def _made(workspace: Workspace, recipe: Recipe, lora: Path, notes: Mapping[str, str]) -> Made:
    run = Run(lora.parent)
    ran = load_recipe(run.recipe) if run.recipe.exists() else recipe
    step = notes.get("ss_steps", "")
    return Made(
        tool=notes.get("modelspec.implementation_version", "").replace("/", " ") or "likeness",
        run=run.root.name,
        step=int(step) if step.isdecimal() else None,
        steps=ran.train.steps,
        method=ran.train.variant,
        rank=ran.train.rank,
        alpha=ran.train.alpha,
        seed=ran.seed,
        seconds=_seconds(run, lora, workspace),
        recipe=_told(ran),
    )


def _seconds(run: Run, lora: Path, workspace: Workspace) -> float | None:
    """Of training until the checkpoint was written, as the run's own state tells."""
    path = run.state / "state.json"
    if not path.exists():
        return None
    told = json.loads(path.read_bytes()).get("checkpoints", [])
    place = lora.relative_to(workspace.root).as_posix()
    found = [one["seconds"] for one in told if one["path"] == place] or [one["seconds"] for one in told[-1:]]
    return round(found[0], 1) if found else None


def _told(recipe: Recipe) -> dict[str, Any]:
    """A recipe without what is nobody else's business: consent, and where files lie."""
    told = recipe.model_dump(mode="json", exclude={"character": {"consent"}, "publish": True}, exclude_none=True)
    for section, names in (("base", ("path", "vae", "tokenizer")), ("evaluate", ("encoder", "copy_encoder"))):
        told[section] |= {name: Path(told[section][name]).name for name in names if told[section].get(name)}
    return told


def _verdict(workspace: Workspace, lora: Path, *, who: str) -> "Verdict | None":
    """The choice, where it is this LoRA; None where it is another one, or was not made. None at all was let through:
    that keeps it from being published, and is told."""
    from likeness.pipeline.scores import read_verdict

    verdict = read_verdict(workspace) if workspace.choice_json.exists() else None
    if verdict and not verdict.lora:
        raise PublishError(f"{who} is not published: evaluation let none of its LoRAs through. {verdict.choice.reason}")
    return verdict if verdict and _is_same(workspace.root / verdict.lora, lora) else None


def _refuse_other_words(workspace: Workspace, recipe: Recipe, lora: Path) -> None:
    """Refuses to tell tools of a trigger that the LoRA was not trained with."""
    run = Run(lora.parent)
    if not run.recipe.exists():
        return
    ran = load_recipe(run.recipe).character
    for field in ("trigger", "class_words"):
        trained, now = getattr(ran, field), getattr(recipe.character, field)
        if trained != now:
            file = lora.relative_to(workspace.root)
            raise PublishError(
                f"character.{field} = {now!r}, but {file} was trained with {trained!r}. Set it back, or train again."
            )


def _evaluated(workspace: Workspace, verdict: "Verdict") -> Evaluated:
    """What the evaluation says of the chosen LoRA, by the last round that it was drawn in."""
    from likeness.evaluation.evaluate import BASE
    from likeness.evaluation.scorecard import KINDS, Score

    who, told = Path(verdict.lora).stem, read_records(workspace.scores_jsonl, Score)
    last = [one.round for one in told if one.who == who][-1]
    base = {one.axis: one.value for one in told if one.who == BASE and one.round == last}
    return Evaluated(
        reason=verdict.choice.reason,
        scores=tuple(
            AxisScore(axis=one.axis, kind=KINDS.get(one.axis, "told"), value=one.value, base=base.get(one.axis))
            for one in told
            if one.who == who and one.round == last and one.value
        ),
        curves=_curves(verdict.choice.axes),
        findings=tuple(f"{one.found}. {one.advice}" for one in verdict.findings.get(who, ())),
        measured=verdict.measured.model_dump(mode="json"),
        protocol=hashlib.sha256(verdict.measured.model_dump_json().encode()).hexdigest(),
    )


def _is_same(file: Path, lora: Path) -> bool:
    """Whether two files hold the same tensors: a run's last checkpoint is there under the character's name, too."""
    return file.is_file() and hashes_of(file).tensors == hashes_of(lora).tensors


def _curves(axes: Mapping[int, Mapping[str, Any]]) -> dict[str, tuple[tuple[int, float, float, float], ...]]:
    names = list(dict.fromkeys(name for told in axes.values() for name in told))
    return {
        name: tuple(
            (step, told[name].mean, told[name].low, told[name].high)
            for step, told in sorted(axes.items())
            if name in told
        )
        for name in names
    }


def _strength(workspace: Workspace, lora: Path, report: Report) -> "Strength | None":
    """What was measured of its weight, where it was of this very file."""
    from likeness.evaluation.strength import Strength

    path = workspace.strength_json
    try:
        found = Strength.model_validate_json(path.read_bytes()) if path.exists() else None
    except ValueError as fault:
        raise WorkspaceError(
            f"{path} cannot be read. Delete it, and repeat: likeness strength {workspace.root}"
        ) from fault
    if found and found.sha256 == sha256_of(lora):
        return found
    note = "its weight was not measured, and tools are told none: likeness strength measures it"
    report(Event(stage="publish", done=0, total=0, note=note))
    return None


def _best_weight(found: "Strength | None") -> BestWeight | None:
    if found is None or found.recommended is None or found.low is None or found.high is None:
        return None
    return BestWeight(recommended=found.recommended, low=found.low, high=found.high, reason=found.reason)

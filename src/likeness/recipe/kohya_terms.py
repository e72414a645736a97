"""kohya's settings as a recipe: who is learnt, on what base, for how long, from which captions."""

import math
import re
from pathlib import Path

from likeness.recipe.kohya import Desk, Imported
from likeness.recipe.kohya_files import KohyaSettings
from likeness.recipe.kohya_flags import SAMPLERS
from likeness.recipe.kohya_learning import (
    convert_objective,
    convert_optimizer,
    convert_rates,
    convert_schedule,
)
from likeness.recipe.kohya_network import convert_network

__all__ = ["import_recipe"]

TRAINS = {"network_module", "network_dim", "learning_rate", "unet_lr", "optimizer_type", "max_train_epochs",
          "max_train_steps", "network_alpha", "train_batch_size", "pretrained_model_name_or_path"}  # fmt: skip
PICTURES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".avif", ".jxl"}  # that kohya's scripts read
DTYPES = {"fp16": "float16", "bf16": "bfloat16", "float": "float32", "fp32": "float32"}


def import_recipe(settings: KohyaSettings, *, images: int | None = None, family: str = "") -> Imported:
    """A recipe that trains as kohya's scripts were told to, and what became of each flag.

    Args:
        settings: what they were told.
        images: how many pictures there are, for epochs; None: as many as lie in the folders that are named.
        family: of the base, where it is known: "sd15", "sd2" or "sdxl".
    """
    desk = Desk(settings, is_sdxl=_is_sdxl(settings, family))
    _character(desk)
    if any(entry.name in TRAINS for entry in settings.entries):
        _base(desk)
        is_known = convert_optimizer(desk)
        convert_network(desk, keeps_rate=is_known and desk.figure("unet_lr", "learning_rate") is not None)
        convert_rates(desk, is_known=is_known)
        _batch(desk)
        steps = _length(desk, images)
        convert_schedule(desk, steps)
        convert_objective(desk)
        _files(desk)
    _captions(desk)
    desk.rest()
    return desk.finished()


def _is_sdxl(settings: KohyaSettings, family: str) -> bool:
    """By the base itself, else by the script that was called, else by the size that it trains at."""
    if family or settings.script:
        return family == "sdxl" or (not family and settings.script.startswith("sdxl"))
    sides = [_side(entry.value) for entry in settings.entries if entry.name == "resolution"]
    return bool(sides) and max(sides) >= 1024


def _side(resolution: object) -> int:
    """The side of the square with as many pixels: "1024", "832,1216", [512, 512], 512."""
    numbers = [int(number) for number in re.findall(r"\d+", str(resolution))] or [0]
    return round(math.sqrt(numbers[0] * numbers[-1]) / 8) * 8


def _character(desk: Desk) -> None:
    named = re.sub(r"[^\w -]", "", str(desk.value("output_name") or ""))[:60].strip()
    if named:
        desk.take("output_name", "character.name", named)
    subsets = [entry for entry in desk.entries("image_dir") if not _of(desk, entry.place, "is_reg", False)]
    folder = next((Path(str(entry.value)).name for entry in subsets or desk.entries("train_data_dir")), "")
    words = str(desk.value("class_tokens") or "") or re.sub(r"^\d+_", "", folder) * bool(re.match(r"\d+_", folder))
    trigger, _, rest = words.partition(" ")
    if trigger:
        flag = "class_tokens" if desk.value("class_tokens") else "image_dir"
        desk.take(flag, "character.trigger", trigger.strip(","), "its first word")
        if rest:
            desk.take(flag, "character.class_words", rest.strip(), "the rest of it")
    elif named:
        guess = re.sub(r"[\W_]+", "", named.lower())
        why = "a guess: set the word that your captions begin with"
        desk.take("output_name", "character.trigger", guess or "characterchar", why)


def _of(desk: Desk, place: str, name: str, otherwise: object) -> object:
    """What one subset says, itself or by what holds for all of them."""
    inside = [one for one in desk.entries(name) if "[" not in one.place or place.startswith(one.place)]
    return inside[0].value if inside else otherwise


def _base(desk: Desk) -> None:
    if desk.value("v_parameterization"):
        desk.take("v_parameterization", "base.prediction", "v", "believed where the base does not say so itself")
    if desk.value("zero_terminal_snr"):
        if desk.value("v_parameterization"):
            desk.take("zero_terminal_snr", "base.zero_terminal", True)
        else:
            desk.leave(
                "zero_terminal_snr", "it needs v_parameterization: to predict the noise in pure noise is to repeat it"
            )
    if desk.entries("clip_skip") and desk.is_sdxl:
        desk.leave(
            "clip_skip",
            "SDXL reads the last layer but one of both encoders, whatever is set, as in kohya's",
            "not needed",
        )
    elif desk.value("clip_skip"):
        desk.take("clip_skip", "base.clip_skip", desk.value("clip_skip"))
    _precision(desk)


def _precision(desk: Desk) -> None:
    said = desk.value("mixed_precision")
    if said == "no":
        desk.take("mixed_precision", "base.dtype", "float32", "the base in float32")
    elif said:
        words = "auto is bfloat16 on a GPU; for a card without it set base.dtype and train.dtype = 'float16'"
        desk.leave("mixed_precision", "auto is bfloat16 on a GPU" if said == "bf16" else words, "not needed")
    for name in ("full_fp16", "full_bf16"):
        if desk.entries(name):
            desk.leave(name, "the adapter itself stays in float32, which costs little", "not needed")
    if precision := str(desk.value("save_precision") or ""):
        desk.take("save_precision", "train.save_dtype", DTYPES.get(precision, precision), "by our name")


def _batch(desk: Desk) -> None:
    for name in ("batch_size", "train_batch_size"):
        if desk.entries(name):
            desk.take(name, "train.batch", desk.value(name) or 1)
    if not desk.entries("batch_size", "train_batch_size"):
        desk.take("train_batch_size", "train.batch", 1)


def _length(desk: Desk, images: int | None) -> int | None:
    """The steps, and what kohya counts in epochs; None where nobody can say how many pictures there are."""
    batch, (shown, how) = desk.get("train.batch", 1), _shown(desk, images)
    per_epoch = math.ceil(shown / batch / (desk.figure("gradient_accumulation_steps") or 1)) if shown else 0
    flag = next((name for name in ("max_train_epochs", "epoch") if desk.value(name)), "")
    epochs = desk.figure(flag) if flag else None
    steps: int | None = None
    if epochs and per_epoch:
        steps = round(epochs * per_epoch)
        desk.take(flag, "train.steps", steps, f"{epochs:g} epochs of {per_epoch} steps: {how}, / batch {batch}")
    elif epochs:
        desk.leave(
            flag, "how many pictures there are is not known: say it with --images; until then the preset's steps hold"
        )
    elif desk.value("max_train_steps"):
        desk.take("max_train_steps", "train.steps", desk.value("max_train_steps"))
        steps = desk.get("train.steps", None)
    else:
        desk.leave("max_train_steps", "kohya's 1600 for any set are left to the preset")
    if flag and desk.entries("max_train_steps"):
        desk.leave("max_train_steps", f"{flag} goes before it, as in kohya's", "not needed")
    if flag == "max_train_epochs" and desk.entries("epoch"):
        desk.leave("epoch", "max_train_epochs says it", "not needed")
    _every(desk, per_epoch)
    return steps


def _every(desk: Desk, per_epoch: int) -> None:
    """What is done every few epochs."""
    for name, address in (("save_every_n_epochs", "train.save_every"), ("sample_every_n_epochs", "train.sample_every")):
        every = desk.figure(name)
        if every and per_epoch:
            desk.take(name, address, round(every * per_epoch), f"every {every:g} of {per_epoch} steps")
        elif every:
            desk.leave(name, "how many steps an epoch has is not known: say it with --images")


def _shown(desk: Desk, images: int | None) -> tuple[int, str]:
    """Pictures times repeats that an epoch shows, and how that was counted; 0 where it is not known."""
    folders = [entry for entry in desk.entries("image_dir") if not _of(desk, entry.place, "is_reg", False)]
    counted = [(_pictures(Path(str(one.value))), _repeats(desk, one.place)) for one in folders]
    if not folders:
        counted = [
            (_pictures(inner), int(inner.name.partition("_")[0]))
            for entry in desk.entries("train_data_dir")[:1]
            for inner in sorted(Path(str(entry.value)).glob("[0-9]*_*"))
        ]
    found = sum(count for count, _ in counted)
    if found and images is None:
        return sum(count * repeats for count, repeats in counted), f"{found} pictures with their repeats"
    if images is None:
        return 0, ""
    repeats = counted[0][1] if counted else int(desk.figure("dataset_repeats") or 1)
    return images * repeats, f"{images} pictures x {repeats} repeats"


def _repeats(desk: Desk, place: str) -> int:
    said = _of(desk, place, "num_repeats", 1)
    return said if isinstance(said, int) else 1


def _pictures(folder: Path) -> int:
    return sum(path.suffix.lower() in PICTURES for path in folder.iterdir()) if folder.is_dir() else 0


def _captions(desk: Desk) -> None:
    shuffles = bool(desk.value("shuffle_caption"))
    if desk.value("resolution"):
        side = _side(desk.value("resolution"))
        desk.take("resolution", "encode.size", side, "the side of the square with as many pixels")
    desk.take("shuffle_caption", "encode.shuffle", shuffles)
    if desk.entries("keep_tokens"):
        kept = desk.figure("keep_tokens") or 0
        desk.take(
            "keep_tokens", "encode.trigger_first", kept > 0 or not shuffles, "the trigger and class words stay in front"
        )
    if desk.entries("prior_loss_weight") and not (desk.value("is_reg") or desk.value("reg_data_dir")):
        desk.leave("prior_loss_weight", "no class pictures are named", "not needed")
    for name in ("caption_dropout_rate", "caption_tag_dropout_rate"):
        if not desk.entries(name):
            field = "caption_dropout" if name == "caption_dropout_rate" else "tag_dropout"
            desk.take(name, f"encode.{field}", 0.0, "off, unless it is asked for")
    for name in ("caption_extension", "caption_extention"):
        if desk.entries(name):
            is_text = desk.value(name) in (".txt", "txt", None)
            why = "captions are read from NAME.txt" + ("" if is_text else ": rename them")
            desk.leave(name, why, "not needed" if is_text else "left out")
    if suffix := [part.strip() for part in str(desk.value("caption_suffix") or "").split(",") if part.strip()]:
        desk.take("caption_suffix", "caption.add", suffix, "tags that every caption gets")


def _files(desk: Desk) -> None:
    sampler = str(desk.value("sample_sampler") or "")
    if sampler in SAMPLERS:
        desk.take(
            "sample_sampler", "sample.sampler", SAMPLERS[sampler], "" if SAMPLERS[sampler] == sampler else "by our name"
        )
    elif sampler:
        desk.leave("sample_sampler", f"not here: use one of {', '.join(sorted(set(SAMPLERS.values())))}")

"""Names to objects: the base, the reader, a base with a LoRA beside it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from likeness.diffusion import load_model
from likeness.errors import CheckpointError
from likeness.events import Report, silent
from likeness.images import Pixels
from likeness.perception import Reader, load_reader
from likeness.recipe import BaseConfig, PerceptionConfig, SampleConfig

if TYPE_CHECKING:
    from likeness.diffusion.family import DiffusionModel

__all__ = ["adapted", "base_folder", "draw_pictures", "named_path", "open_base", "open_reader", "quick_dtype"]


def base_folder(base: BaseConfig) -> Path:
    """Where the base lies that `base.path` names: a folder, or a single file.

    Raises:
        CheckpointError: where it is nowhere.
    """
    if base.path != "maquette":
        path = Path(base.path).expanduser()
        if not path.exists():
            raise CheckpointError(
                f"base.path = {base.path!r} is not there. Name a folder as diffusers writes it, a .safetensors file, "
                "or 'maquette'."
            )
        return path
    return _embedded("base/model_index.json", "base.path").parent


def named_path(base: BaseConfig, field: str) -> Path:
    """Where what another field of `[base]` names lies: `vae` or `tokenizer`.

    Raises:
        CheckpointError: where it is nowhere.
    """
    path = Path(getattr(base, field)).expanduser()
    if not path.exists():
        raise CheckpointError(f"base.{field} = {getattr(base, field)!r} is not there. Check the path.")
    return path


def open_base(base: BaseConfig) -> "DiffusionModel":
    """The base that the recipe names, frozen and on its device.

    Raises:
        CheckpointError: where it is missing, or cannot be read.
        RecipeError: where the recipe contradicts what it says of itself.
        MissingExtra: where torch, diffusers or transformers is not installed.
    """
    return load_model(base_folder(base), device=base.device, dtype=base.dtype, config=base)


def open_reader(perception: PerceptionConfig) -> Reader:
    """The reader that the recipe names.

    Raises:
        RecipeError: for a name that is not known.
        MissingExtra: where a library that it needs is not installed.
        MissingModel: where a model that it needs was not fetched.
        CheckpointError: where the embedded reader's weights are missing.
    """
    if perception.reader == "maquette":
        _embedded("reader/reader.onnx", "perception.reader")
    return load_reader(perception.reader)


def _embedded(place: str, field: str) -> Path:
    """A file that comes with the package."""
    path = Path(str(files("likeness.maquette") / place))
    if not path.is_file():
        raise CheckpointError(
            f"{field} = 'maquette', but {path} is missing: this installation is not whole. Install likeness again."
        )
    return path


def quick_dtype() -> str:
    """What to compute in on a CPU: "bfloat16" where it multiplies in it by itself, else "auto".

    AMX tiles are left alone: some virtual machines show them and then forbid them, which kills the process.
    """
    import torch

    told = getattr(torch.cpu, "get_capabilities", dict)()  # not in older torch
    return "bfloat16" if told.get("avx512_bf16") and not told.get("amx_bf16") else "auto"


@contextmanager
def adapted(model: "DiffusionModel", lora: Path, *, weight: float = 1.0) -> Iterator[None]:
    """The base draws with a LoRA until the block ends.

    Raises:
        CheckpointError: for a file that is no LoRA, or one for another base.
    """
    from likeness.diffusion.files.lora_files import adapter_from, load_lora

    adapter = adapter_from(load_lora(lora), model.adapter_targets(), weight=weight)
    try:
        yield
    finally:
        adapter.detach()


def draw_pictures(
    model: "DiffusionModel",
    prompts: Sequence[str],
    config: SampleConfig,
    *,
    seeds: Sequence[int],
    report: Report = silent,
) -> list[Pixels]:
    """A picture per prompt, each from its own seed, in the size that `config` says or else the base's own.

    Raises:
        RecipeError: for a size or number of steps that this base cannot do.
    """
    from likeness.diffusion.sampling import sample

    width, height = model.native_size
    return sample(
        model,
        prompts,
        seeds=seeds,
        steps=config.steps,
        guidance=config.guidance,
        width=config.width or width,
        height=config.height or height,
        negative=config.negative,
        sampler=config.sampler,
        guidance_rescale=config.guidance_rescale,
        report=report,
    )

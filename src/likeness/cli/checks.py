"""What `doctor` looks at: each check says what it found, and how to mend what is missing."""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from likeness import __version__
from likeness.errors import LikenessError, MissingExtra
from likeness.pipeline import base_folder, open_reader
from likeness.recipe import BaseConfig, PerceptionConfig, Recipe, load_recipe
from likeness.records import Record
from likeness.workspace import Workspace

__all__ = ["Check", "check_all"]

LIBRARIES = {
    "torch": "train",
    "diffusers": "train",
    "transformers": "train",
    "accelerate": "train",
    "onnxruntime": "perception",
}  # library -> the extra that brings it
REINSTALL = "pip install --force-reinstall --no-deps likeness"
FREE_DISK = 1_000_000_000  # bytes: a demo takes 20 MB; a thousand cached pictures of 512 px, 300 MB
FREE_MEMORY = 3_000_000_000  # bytes: what the demo may take at most


class Check(Record):
    """One thing that was looked at.

    Attributes:
        name: what.
        found: what it is, in words.
        mend: the command or step that mends it; empty where nothing is missing.
    """

    name: str
    found: str
    mend: str = ""

    @property
    def is_missing(self) -> bool:
        """Whether something is to be done about it."""
        return bool(self.mend)


def check_all(folder: Path, settings: Sequence[str] = ()) -> list[Check]:
    """Every check, in the order in which a person would mend things.

    Args:
        folder: a workspace, or any folder; the recipe is looked at where there is one.
        settings: laid over the recipe.
    """
    recipe, recipe_check = _recipe(folder, settings)
    base = recipe.base if recipe else BaseConfig()
    return [
        Check(name="likeness", found=__version__),
        Check(name="python", found=f"{platform.python_version()} on {platform.platform(terse=True)}"),
        *(_library(name, extra) for name, extra in LIBRARIES.items()),
        _device(base),
        _bfloat16(),
        _memory(),
        _disk(folder),
        _base(base),
        _reader(recipe.perception if recipe else PerceptionConfig()),
        recipe_check,
    ]


def _library(name: str, extra: str) -> Check:
    try:
        return Check(name=name, found=version(name))
    except PackageNotFoundError:
        return Check(name=name, found="not installed", mend=f"pip install 'likeness[{extra}]'")


def _device(base: BaseConfig) -> Check:
    try:
        import torch
    except ModuleNotFoundError:
        return Check(name="device", found="unknown without torch", mend="pip install 'likeness[train]'")
    if base.device.startswith("cuda") and not torch.cuda.is_available():
        return Check(name="device", found="no CUDA device is there", mend="--set base.device=auto")
    if base.device != "cpu" and torch.cuda.is_available():
        card = torch.cuda.get_device_properties(0)
        return Check(name="device", found=f"{card.name}, {card.total_memory / 1e9:.0f} GB, CUDA {torch.version.cuda}")
    return Check(name="device", found=f"CPU, {torch.get_num_threads()} threads")


def _bfloat16() -> Check:
    """Whether the CPU can multiply in bfloat16. Some virtual machines offer instructions that they then forbid."""
    program = "import torch; torch.ones(256, 256).bfloat16() @ torch.ones(256, 256).bfloat16()"
    tried = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    if tried.returncode >= 0:
        return Check(name="bfloat16", found="works on this CPU" if tried.returncode == 0 else "unknown without torch")
    cure = "export ONEDNN_MAX_CPU_ISA=AVX512_CORE_BF16"  # nothing is missing: float32 is the default on a CPU
    return Check(name="bfloat16", found=f"kills the process on this CPU; before you set it as a dtype: {cure}")


def _memory() -> Check:
    page = os.sysconf("SC_PAGE_SIZE")
    whole = os.sysconf("SC_PHYS_PAGES") * page
    free = os.sysconf("SC_AVPHYS_PAGES") * page if "SC_AVPHYS_PAGES" in os.sysconf_names else whole
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():  # what Linux would give up from its caches counts as free
        lines = dict(line.split(":", 1) for line in meminfo.read_text().splitlines() if ":" in line)
        free = int(lines.get("MemAvailable", f"{free // 1024} kB").split()[0]) * 1024
    found = f"{free / 1e9:.1f} of {whole / 1e9:.1f} GB free"
    return Check(name="memory", found=found, mend="close other programs" if free < FREE_MEMORY else "")


def _disk(folder: Path) -> Check:
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not os.access(there, os.W_OK):
        return Check(name="disk", found=f"{there} is read-only", mend="use another folder, or change its permissions")
    free = shutil.disk_usage(there).free
    return Check(name="disk", found=f"{free / 1e9:.1f} GB free", mend="free some space" if free < FREE_DISK else "")


def _base(base: BaseConfig) -> Check:
    otherwise = REINSTALL if base.path == "maquette" else "--set base.path=FOLDER"
    try:
        return Check(name="base", found=f"{base.path}: {base_folder(base)}")
    except LikenessError as fault:
        return Check(name="base", found=str(fault), mend=_mending(fault, otherwise))


def _reader(perception: PerceptionConfig) -> Check:
    otherwise = REINSTALL if perception.reader == "maquette" else "--set perception.reader=maquette"
    try:
        open_reader(perception)
    except LikenessError as fault:
        return Check(name="reader", found=str(fault), mend=_mending(fault, otherwise))
    return Check(name="reader", found=perception.reader)


def _mending(fault: LikenessError, otherwise: str) -> str:
    return f"pip install 'likeness[{fault.extra}]'" if isinstance(fault, MissingExtra) else otherwise


def _recipe(folder: Path, settings: Sequence[str]) -> tuple[Recipe | None, Check]:
    path = Workspace(folder).recipe
    if not path.exists():
        return None, Check(name="recipe", found=f"none in {folder.absolute()}")
    try:
        return load_recipe(path, settings), Check(name="recipe", found=str(path))
    except LikenessError as fault:
        return None, Check(name="recipe", found=str(path), mend=str(fault))

"""What `doctor` looks at: each check says what it found, and how to mend what is missing."""

import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path

import likeness
from likeness.cli.beginnings import draft
from likeness.diffusion.identity import family_of
from likeness.diffusion.tokenizers import BRING, vocabulary_folder
from likeness.errors import LikenessError, MissingExtra
from likeness.perception.models import MissingModel
from likeness.pipeline import base_folder, open_reader
from likeness.recipe import BaseConfig, PerceptionConfig, Recipe, load_recipe
from likeness.records import Record
from likeness.workspace import Workspace

__all__ = ["Check", "check_all", "reinstall_cure", "setting_cure"]

LIBRARIES = {
    "torch": "train",
    "diffusers": "train",
    "transformers": "train",
    "accelerate": "train",
    "onnxruntime": "perception",
}  # library -> the extra that brings it
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
        folder: a workspace, or any folder; where it has no recipe, the one that `likeness init` would write is meant.
        settings: laid over the recipe.
    """
    recipe, recipe_check = _recipe(folder, settings)
    base = recipe.base if recipe else BaseConfig()
    return [
        Check(name="likeness", found=likeness.__version__),
        Check(name="python", found=f"{platform.python_version()} on {platform.platform(terse=True)}"),
        *(_library(name, extra) for name, extra in LIBRARIES.items()),
        *_devices(base),
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
        return Check(name=name, found="not installed", mend=MissingExtra(name, extra).cure)


def _devices(base: BaseConfig) -> list[Check]:
    """The device that the recipe comes to, then every one that is there."""
    try:
        import torch
    except ModuleNotFoundError:
        return [Check(name="device", found="unknown without torch", mend=MissingExtra("torch", "train").cure)]
    there = {"cpu": f"{torch.get_num_threads()} threads"}
    if torch.backends.mps.is_available():
        there["mps"] = "Apple's GPU; auto does not choose it"
    for index in range(torch.cuda.device_count()):
        card = torch.cuda.get_device_properties(index)
        there[f"cuda:{index}"] = f"{card.name}, {card.total_memory / 1e9:.0f} GB"
    auto = "cuda:0" if "cuda:0" in there else "cpu"
    meant = {"auto": auto, "cuda": "cuda:0"}.get(base.device, base.device)
    if meant in there:
        chosen = Check(name="device", found=f"{meant}, by base.device = {base.device!r}")
    else:
        chosen = Check(name="device", found=f"{meant} is not there", mend=setting_cure("base", "device", "auto"))
    return [chosen, *(Check(name=name, found=facts) for name, facts in there.items())]


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
    try:
        path = base_folder(base)
        family = family_of(path)
    except LikenessError as fault:
        is_ours = base.path == "maquette"
        theirs = f"{setting_cure('base', 'path', 'FILE')}; FILE is the checkpoint to teach"
        mend = reinstall_cure() if is_ours else theirs
        return Check(name="base", found=str(fault), mend=mend)
    try:
        if path.is_file():
            vocabulary_folder(path, base.tokenizer)
    except ModuleNotFoundError as missing:
        return Check(name="base", found=f"{path} ({family})", mend=MissingExtra(missing.name or "", "train").cure)
    except LikenessError as fault:
        return Check(name="base", found=str(fault), mend=BRING)
    return Check(name="base", found=f"{path} ({family})")


def _reader(perception: PerceptionConfig) -> Check:
    try:
        open_reader(perception)
    except MissingExtra as fault:
        return Check(name="reader", found=f"{perception.reader}: not installed", mend=fault.cure)
    except MissingModel as fault:
        return Check(name="reader", found=f"{perception.reader}: a model is missing", mend=fault.cure)
    except LikenessError as fault:
        is_ours = perception.reader == "maquette"
        mend = reinstall_cure() if is_ours else setting_cure("perception", "reader", "plain")
        return Check(name="reader", found=str(fault), mend=mend)
    return Check(name="reader", found=perception.reader)


def setting_cure(section: str, field: str, value: str) -> str:
    """What to do about a setting that cannot be used, be it in the recipe or on the command line."""
    return f'write {field} = "{value}" under [{section}] in likeness.toml, or add: --set {section}.{field}={value}'


def reinstall_cure() -> str:
    """The command that brings back the package's own files: from the checkout, or from where it was installed."""
    checkout = Path(likeness.__file__).parents[2]
    if (checkout / "pyproject.toml").exists():
        return shlex.join(["git", "-C", str(checkout), "checkout", "--", "src/likeness/maquette"])
    origin = json.loads(distribution("likeness").read_text("direct_url.json") or "{}")  # an index leaves none
    source = origin.get("url", f"likeness=={likeness.__version__}")
    if "vcs_info" in origin:
        source = f"{origin['vcs_info']['vcs']}+{source}@{origin['vcs_info']['commit_id']}"
    return shlex.join([sys.executable, "-m", "pip", "install", "--force-reinstall", "--no-deps", source])


def _recipe(folder: Path, settings: Sequence[str]) -> tuple[Recipe | None, Check]:
    workspace = Workspace(folder)
    is_there = workspace.recipe.exists()
    found = str(workspace.recipe) if is_there else f"none in {workspace.root}"
    try:
        recipe = load_recipe(workspace.recipe, settings) if is_there else draft(workspace, settings)
    except LikenessError as fault:
        return None, Check(name="recipe", found=found, mend=str(fault))
    return recipe, Check(name="recipe", found=found)

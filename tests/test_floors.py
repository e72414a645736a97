"""The floor plan of the package, as rules that are checked on its source."""

import ast
import itertools
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import likeness

ROOT = Path(likeness.__file__).parent
SOURCES = sorted(ROOT.rglob("*.py"))

# A module imports only from floors below; rooms on one floor do not see each other. The ground floor has three steps.
FLOORS = [
    {"embedded", "errors", "messages", "seeds"},
    {"records", "events", "toml"},
    {"images", "statistics"},
    {"recipe", "workspace", "maquette"},
    {"perception", "diffusion"},
    {"dataset", "captions", "cache", "training", "evaluation", "catalog"},
    {"pipeline"},
    {"demo"},
    {"cli", "studio"},
    {"__main__"},
]
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}

STAGES = {"dataset", "captions", "cache", "training", "evaluation", "catalog"}
HEAVY = {"torch", "diffusers", "transformers", "onnxruntime", "cv2"}
HEAVY_ROOMS = {"diffusion", "cache", "training", "evaluation"}  # all about tensors: they may import it at module top
HEAVY_FILES = {f"perception/{file}.py" for file in ("maquette", "networks", "photo")}  # behind a light face

FORBIDDEN = {
    *("manager", "factory", "util", "utils", "helper", "helpers", "handler", "handlers"),
    *("service", "services", "common", "misc", "core", "base class"),
}


def room_of(path: Path) -> str:
    """The room a file lies in: its package, or its own name on the top level; "" for `likeness/__init__.py`."""
    inside = path.relative_to(ROOT)
    return inside.parts[0].removesuffix(".py") if inside.name != "__init__.py" or len(inside.parts) > 1 else ""


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def names_in(path: Path) -> list[str]:
    """What a file calls itself, its folders, and its public functions and classes."""
    return [path.stem, *path.relative_to(ROOT).parts[:-1], *public_names(tree_of(path))]


def imports_of(tree: ast.AST, path: Path) -> Iterator[tuple[str, int]]:
    """Every module that a file imports, with its line, those inside functions too, as an absolute name."""
    package = ("likeness", *path.relative_to(ROOT).parts[:-1])
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*start, *filter(None, [node.module])])
            yield module, node.lineno
            yield from ((f"{module}.{alias.name}", node.lineno) for alias in node.names)


def top_level(tree: ast.Module) -> ast.Module:
    """What runs when the module is imported: no function bodies, and nothing that is for type checkers only."""

    class Shallow(ast.NodeTransformer):
        def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
            return None

        def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
            return None

        def visit_If(self, node: ast.If) -> ast.AST | None:
            return None if "TYPE_CHECKING" in ast.unparse(node.test) else self.generic_visit(node)

    return Shallow().visit(tree)


def upward_imports(tree: ast.AST, path: Path) -> list[str]:
    here = room_of(path)
    rooms = {(name.split(".")[1], line) for name, line in imports_of(tree, path) if name.startswith("likeness.")}
    return [
        f"{path.relative_to(ROOT)}:{line} imports likeness.{room} from {here}"
        for room, line in sorted(rooms)
        if room in FLOOR_OF and room != here and FLOOR_OF[room] >= FLOOR_OF[here]
    ]


def heavy_imports(tree: ast.Module, path: Path) -> list[str]:
    name = path.relative_to(ROOT).as_posix()
    if room_of(path) in HEAVY_ROOMS or name in HEAVY_FILES:
        return []
    return [f"{name}:{line} imports {m}" for m, line in imports_of(top_level(tree), path) if m.split(".")[0] in HEAVY]


def public_names(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node.name


def forbidden_words(name: str) -> set[str]:
    """The forbidden words among the words of a name, be it snake_case or CamelCase."""
    words = [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)]
    pairs = [f"{first} {second}" for first, second in itertools.pairwise(words)]
    return {*words, *pairs} & FORBIDDEN


def test_every_file_lies_in_a_room_of_the_plan():
    assert {room_of(path) for path in SOURCES} - {""} <= FLOOR_OF.keys()


class TestFiles:
    """Each rule over all files at once: a test of each file would cost more than what it looks at."""

    def test_they_import_only_from_floors_below(self):
        assert [fault for path in SOURCES if room_of(path) for fault in upward_imports(tree_of(path), path)] == []

    def test_they_are_light_unless_their_room_is_about_tensors(self):
        assert [fault for path in SOURCES for fault in heavy_imports(tree_of(path), path)] == []

    def test_no_word_in_them_says_nothing(self):
        named = [(path, name) for path in SOURCES for name in names_in(path)]
        assert [(path, name, found) for path, name in named if (found := forbidden_words(name))] == []

    def test_they_are_short_enough_to_be_read_at_once(self):
        assert {path: lines for path in SOURCES if (lines := len(path.read_text().splitlines())) > 400} == {}

    def test_their_functions_are_short_enough_to_be_read_at_once(self):
        functions = [(path, n) for path in SOURCES for n in ast.walk(tree_of(path)) if isinstance(n, ast.FunctionDef)]
        assert [(path, f.name) for path, f in functions if (f.end_lineno or 0) - f.lineno >= 80] == []

    def test_nothing_in_them_is_pickled(self):
        picklers = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve"}
        imported = [(path, name) for path in SOURCES for name, _ in imports_of(tree_of(path), path)]
        assert [(path, name) for path, name in imported if name in picklers] == []
        assert [path for path in SOURCES if re.search(r"torch\.(save|load)\(", path.read_text())] == []


def test_a_stage_gets_its_section_and_never_the_recipe():
    for path in SOURCES:
        if room_of(path) in STAGES:
            tree = tree_of(path)
            assert "likeness.recipe.Recipe" not in {name for name, _ in imports_of(tree, path)}, path
            assert "Recipe" not in {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}, path
            assert "Recipe" not in {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}, path


@pytest.mark.parametrize("modules", ["likeness, likeness.cli, likeness.pipeline", "likeness.perception, likeness.demo"])
def test_the_faces_load_nothing_heavy(modules: str):
    """In a fresh process, as `likeness --help` is one."""
    program = f"import sys; import {modules}; print(*sorted({HEAVY!r} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ""


# -- the rules themselves: each finds what it is for -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("where", "source", "found"),
    [
        ("training/train.py", "from likeness.cache.encode import encode", ["likeness.cache"]),
        ("training/train.py", "from likeness import cache", ["likeness.cache"]),
        ("training/train.py", "import likeness.pipeline", ["likeness.pipeline"]),
        ("training/train.py", "def f():\n    from likeness.cli import main", ["likeness.cli"]),
        ("training/train.py", "from ..cache import encode", ["likeness.cache"]),
        ("training/train.py", "from .batches import draw\nfrom likeness.diffusion import sd15", []),
        ("records.py", "from likeness.events import Event", ["likeness.events"]),
        ("records.py", "from likeness.errors import WorkspaceError", []),
    ],
)
def test_an_import_that_leads_upward_or_across_is_seen(where: str, source: str, found: list[str]):
    faults = upward_imports(ast.parse(source), ROOT / where)
    assert [fault.split(" imports ")[1].split(" from ")[0] for fault in faults] == found


@pytest.mark.parametrize(
    ("where", "source", "faults"),
    [
        ("pipeline.py", "import torch.nn", 1),
        ("pipeline.py", "try:\n    from diffusers import UNet2DConditionModel\nexcept ImportError:\n    pass", 2),
        ("pipeline.py", "class A:\n    import torch", 1),
        ("pipeline.py", "def f():\n    import torch", 0),
        ("pipeline.py", "if TYPE_CHECKING:\n    import torch", 0),
        ("perception/__init__.py", "import onnxruntime", 1),
        ("perception/maquette.py", "import onnxruntime", 0),
        ("diffusion/lora.py", "import torch", 0),
    ],
)
def test_a_heavy_import_is_seen_where_it_runs_at_once(where: str, source: str, faults: int):
    assert len(heavy_imports(ast.parse(source), ROOT / where)) == faults


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("TaskManager", {"manager"}),
        ("image_utils", {"utils"}),
        ("ModelBaseClass", {"base class"}),
        ("base_model", set()),
        ("HTTPHandler", {"handler"}),
        ("score", set()),
        ("common", {"common"}),
        ("uncommon", set()),
    ],
)
def test_a_word_that_says_nothing_is_seen(name: str, words: set[str]):
    assert forbidden_words(name) == words

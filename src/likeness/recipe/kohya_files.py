"""What kohya's sd-scripts are called with: a config file, a dataset file or a command line, read and never run."""

import itertools
import json
import re
import shlex
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from likeness.errors import RecipeError, WorkspaceError

__all__ = ["DATASET", "Entry", "KohyaSettings", "read_kohya"]

DATASET = ("config_file", "dataset_config")
"""Flags that name a further file of settings."""

TEXTS = ("output_name", "class_tokens", "resolution", "image_dir", "train_data_dir", "pretrained_model_name_or_path")
SCRIPTS = ("train_network", "sdxl_train_network")
OTHERS = re.compile(r"(\w*train\w*)\.py$")
ASSIGNMENT = re.compile(
    r"\s*(?:export\s+|set\s+|\$)?(\w+)\s*=\s*(\"[^\"]*\"|'[^']*'|[^\s#]*)\s*(?:#.*)?$", re.IGNORECASE
)
VARIABLE = re.compile(r"\$\{(\w+)\}|\$(\w+)|%(\w+)%")
COMMENT = re.compile(r"\s*(#|::|rem\s)", re.IGNORECASE)
CONTINUED = re.compile(r"[ \t][\\^`][ \t]*\r?\n")  # of sh, of cmd, of PowerShell
DRIVE = re.compile(r"\b[A-Za-z]:\\")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that was set: where, under which name (kohya's, without dashes), and to what."""

    place: str
    name: str
    value: Any


@dataclass(frozen=True, slots=True)
class KohyaSettings:
    """All that was set.

    Attributes:
        script: the script that was called; "" where no command line was given.
        entries: of two of one name, what goes first in kohya's scripts comes first: dataset, command line, config.
        launcher: flags of accelerate, which stand before the script.
        read: files that a command line named, and that were read.
    """

    script: str
    entries: tuple[Entry, ...]
    launcher: tuple[Entry, ...] = ()
    read: tuple[str, ...] = ()


def read_kohya(sources: Sequence[str]) -> KohyaSettings:
    """What some files, or a command line itself, set; further files that a command names are read where they are there.

    Raises:
        WorkspaceError: for a file that is not there.
        RecipeError: for one that cannot be understood, or a script that trains no LoRA of Stable Diffusion.
    """
    found = [_read(source) for source in sources]
    entries = [entry for one in found for entry in one.entries]
    return KohyaSettings(
        next((one.script for one in found if one.script), ""),
        tuple(sorted(entries, key=lambda entry: _rank(entry.place))),
        tuple(entry for one in found for entry in one.launcher),
        tuple(name for one in found for name in one.read),
    )


def _rank(place: str) -> int:
    """Who is believed first: a subset, its dataset, what holds for all of them, the command line, the config."""
    if place.startswith("datasets"):
        return 0 if ".subsets" in place else 1
    return {"general": 2, "command": 3}.get(place, 4)


def _read(source: str) -> KohyaSettings:
    if re.search(r"(^|\s)--?\w", source):
        return _from_command(source, Path())
    path = Path(source).expanduser()
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as fault:
        raise WorkspaceError(
            f"{path} does not exist. Name a config or dataset file, a script, or the command line itself in quotes."
        ) from fault
    except OSError as fault:
        raise WorkspaceError.of(path, fault) from fault
    except ValueError as fault:
        raise RecipeError(f"{path} is no text: name a .toml, a .json, or a script with the command line.") from fault
    if path.suffix.lower() in (".toml", ".json"):
        return KohyaSettings("", tuple(_from_table(_table(path, text))))
    return _from_command(text, path.parent)


def _table(path: Path, text: str) -> Mapping[str, Any]:
    try:
        table = json.loads(text) if path.suffix.lower() == ".json" else tomllib.loads(text)
    except ValueError as fault:
        raise RecipeError(f"{path} cannot be read: {fault}.") from fault
    if not isinstance(table, dict):
        raise RecipeError(f"{path} is no table of settings.")
    return table


def _from_table(table: Mapping[str, Any]) -> Iterator[Entry]:
    """The entries of a config file, whose sections mean nothing, or of a dataset file, whose sections do."""
    for name, value in table.items():
        if name == "datasets" and isinstance(value, list):
            yield from _from_datasets(value)
        elif isinstance(value, dict):
            yield from _entries("general" if name == "general" else "config", value)
        else:
            yield from _entries("config", {name: value})


def _entries(place: str, table: Mapping[str, Any]) -> Iterator[Entry]:
    return (Entry(place, name, _plain(name, value)) for name, value in table.items())


def _from_datasets(datasets: Sequence[Mapping[str, Any]]) -> Iterator[Entry]:
    for number, dataset in enumerate(datasets):
        for index, subset in enumerate(dataset.get("subsets", ())):
            yield from _entries(f"datasets[{number}].subsets[{index}]", subset)
        yield from _entries(f"datasets[{number}]", {name: dataset[name] for name in dataset if name != "subsets"})


def _from_command(text: str, folder: Path) -> KohyaSettings:
    """The settings of the first command line that trains, and of the files that it names."""
    lines = [line for line in CONTINUED.sub(" ", text).splitlines() if line.strip() and not COMMENT.match(line)]
    variables = {found[1]: found[2].strip("\"'") for line in lines if (found := ASSIGNMENT.fullmatch(line))}
    windows = bool(DRIVE.search(text)) or "^" in text
    commands = [_words(line, windows) for line in lines if re.search(r"\.py\b|\s--\w|^--\w", line)]
    command = next((words for words in commands if any(map(OTHERS.search, words))), commands[0] if commands else [])
    at = next((index for index, word in enumerate(command) if OTHERS.search(word)), -1)
    script = OTHERS.search(command[at])[1] if at >= 0 else ""  # pyright: ignore[reportOptionalSubscript]
    if script and script not in SCRIPTS:
        raise RecipeError(
            f"{script}.py is not what likeness does: it trains LoRAs of Stable Diffusion 1.x, 2.x and XL, as "
            "train_network.py and sdxl_train_network.py do."
        )
    entries = list(_flags([_expanded(word, variables) for word in command[at + 1 :]]))
    if not entries:
        raise RecipeError(
            "There is no command line with --flags in it. Name a .toml, or a script that calls sd-scripts."
        )
    before = itertools.dropwhile(lambda word: not word.startswith("--"), command[: max(at, 0)])
    launcher = tuple(_flags([_expanded(word, variables) for word in before]))
    more, read = _named_files(entries, folder)
    return KohyaSettings(script, (*entries, *more), launcher, read)


def _words(line: str, windows: bool) -> list[str]:
    """The words of a line as a shell splits them; where paths have backslashes, these escape nothing."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=False)
    lexer.whitespace_split, lexer.commenters = True, ""
    if windows:
        lexer.escape = ""
    try:
        return list(lexer)
    except ValueError as fault:
        raise RecipeError(
            f"The command line cannot be split into words: {fault}. Is a quotation mark missing?"
        ) from fault


def _expanded(word: str, variables: Mapping[str, str]) -> str:
    """A word with the variables in it that the script itself sets, as text; all others stay as they are."""
    return VARIABLE.sub(lambda found: variables.get(found[found.lastindex or 0], found[0]), word)


def _flags(words: Sequence[str]) -> Iterator[Entry]:
    """`--name value`, `--name=value`, `--name` alone, and `--name value value`; a word without a flag is told too."""
    name, values = "", []
    for word in [*words, "--"]:
        if not word.startswith("--"):
            values.append(word)
            continue
        if name:
            yield Entry("command", name, _plain(name, (values[0] if len(values) == 1 else values) if values else True))
        elif values:
            yield Entry("command", " ".join(values), None)
        name, equals, value = word[2:].partition("=")
        values = [value] if equals else []


def _plain(name: str, value: Any) -> Any:
    """A number or a truth that is written as text, as what it is; names stay text."""
    if not isinstance(value, str) or name in TEXTS:
        return value
    if value.lower() in ("true", "false"):
        return value.lower() == "true"
    if not NUMBER.fullmatch(value):
        return value
    return float(value) if re.search(r"[.eE]", value) else int(value)


def _named_files(entries: Sequence[Entry], folder: Path) -> tuple[list[Entry], tuple[str, ...]]:
    """The entries of the files that a command names, and the flags that named those which are there."""
    found: list[Entry] = []
    read = []
    for entry in entries:
        named = folder / Path(str(entry.value)).expanduser() if entry.name in DATASET else None
        for path in (named, named.with_name(f"{named.name}.toml")) if named else ():
            if path.is_file():
                found += _from_table(_table(path, path.read_text(encoding="utf-8-sig")))
                read.append(entry.name)
                break
    return found, tuple(read)

"""Labels: what a person says of pictures, in a table that spreadsheets open too. It always wins over an instrument."""

import csv
import difflib
import hashlib
import io
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

from pydantic import AfterValidator, Field, ValidationError

from likeness.errors import WorkspaceError
from likeness.records import Reading, Record, write_atomically

__all__ = ["COLUMNS", "FRAMINGS", "USES", "VIEWS", "Label", "changed", "labelled", "read_labels", "write_labels"]

VIEWS = ("front", "three-quarter left", "three-quarter right", "profile left", "profile right", "back")
"""What a view may be; left and right are the picture's side that the character faces."""

FRAMINGS = ("face", "upper body", "full body")
"""How much of the character a picture may show."""

USES = ("train", "held-out", "rejected")
"""What a person may lock a picture to, or ban it to."""

COLUMNS = ("path", "use", "view", "framing", "expression", "pose", "background", "people")
"""The columns whose meaning is fixed, in the order in which they are written; any other one is a trait."""

PERSON = "person"
MARK = "\ufeff"  # what Excel puts in front of UTF-8, and needs to see it


def _one_of(allowed: Sequence[str]) -> AfterValidator:
    def check(word: str) -> str:
        if word not in allowed:
            raise ValueError(f"use one of {', '.join(allowed)}{_meant(word, allowed)}")
        return word

    return AfterValidator(check)


def _meant(word: str, known: Collection[str]) -> str:
    turned = [name for name in known if sorted(name.split()) == sorted(word.lower().split())]  # "left profile"
    close = turned or difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else ""


class Label(Record):
    """What a person says of a picture. None, or a trait that is absent: nothing was said.

    Attributes:
        path: relative to `images/`, with forward slashes.
        use: what the picture is to be used for, whatever is found of it: a lock or a ban.
        people: how many characters are in the picture.
        traits: what belongs to the character, name to value in words.
    """

    path: str
    use: Literal["train", "held-out", "rejected"] | None = None
    view: Annotated[str, _one_of(VIEWS)] | None = None
    framing: Annotated[str, _one_of(FRAMINGS)] | None = None
    expression: str | None = None
    pose: str | None = None
    background: str | None = None
    people: int | None = Field(default=None, ge=0)
    traits: dict[str, str] = {}

    @property
    def seen(self) -> dict[str, Any]:
        """What it says of what the picture shows, by field of a `Reading`, without traits."""
        facts = {name: getattr(self, name) for name in COLUMNS if name not in ("path", "use")}
        return {name: value for name, value in facts.items() if value is not None}

    @property
    def is_empty(self) -> bool:
        """Whether nothing is said."""
        return not (self.use or self.seen or self.traits)


def labelled(reading: Reading | None, label: Label) -> Reading | None:
    """The reading with a person's words in place of the instrument's, each with confidence 1.

    A yaw goes with the view that it was read with: a person's other view leaves none. Where no instrument looked, the
    person is the instrument; where neither says anything of the picture, there is no reading.
    """
    said, traits = label.seen, label.traits
    if not said and not traits:
        return reading
    if reading is None:
        sha256 = hashlib.sha256(label.model_dump_json().encode()).hexdigest()
        reading = Reading(instrument=PERSON, instrument_sha256=sha256)
    changes = {**said, "traits": {**reading.traits, **traits}}
    changes["confidence"] = {**reading.confidence, **dict.fromkeys([*said, *traits], 1.0)}
    if "view" in said and said["view"] != reading.view:
        changes["yaw"] = None
    return reading.model_copy(update=changes)


def changed(label: Label, words: Mapping[str, str]) -> Label:
    """The label with other values, as written in cells; an empty one takes back what was said.

    Raises:
        WorkspaceError: for a name that seems to be a slip, or a value that is not allowed.
    """
    if "path" in words:
        raise WorkspaceError(
            f"path={words['path']}: a label stays with its picture. Name the picture in front: likeness label FOLDER "
            "PICTURE KEY=VALUE."
        )
    cells = _cells(label)
    for name, value in words.items():
        cells[_column(name, f"{name}={value}")] = value.strip()
    return _label(cells, "")


def read_labels(path: Path, known: Collection[str] | None = None) -> dict[str, Label]:
    """The labels of a table, by path, in its order; none where there is no table.

    Commas, semicolons (as Excel writes in half of Europe) and tabs part cells; a byte order mark is passed over.

    Args:
        path: of the table.
        known: paths of pictures that there are; None: a label may be of any.

    Raises:
        WorkspaceError: for a table that is not UTF-8, or lacks the column `path`, or in which a row is at fault: of an
            unknown or a second picture, with a value that is not allowed, or with more cells than there are columns.
    """
    text, dialect = _read(path)
    if not text.strip():
        return {}
    try:
        rows = [_trimmed(row) for row in csv.reader(io.StringIO(text, newline=""), delimiter=dialect, strict=True)]
    except csv.Error as fault:
        raise WorkspaceError(f"{path} is not a table of cells that {dialect!r} parts: {fault}.") from fault
    columns = _columns(path, rows[0])
    labels: dict[str, Label] = {}
    for number, row in enumerate(rows[1:], start=2):
        if not row:
            continue
        where = f"{path}, row {number}"
        if len(row) > len(columns):
            _refuse(f"{where} has {len(row)} cells, but there are {len(columns)} columns. Quote a cell with a comma.")
        label = _label(dict(zip(columns, row, strict=False)), f"{where}: ")
        if label.path in labels:
            _refuse(f"{where} is a second row for {label.path}. Make one of the two.")
        if known is not None and label.path not in known:
            _refuse(f"{where}: there is no picture {label.path!r}{_meant(label.path, known)}. Mend or remove the row.")
        labels[label.path] = label
    return labels


def write_labels(path: Path, labels: Mapping[str, Label]) -> None:
    """`path` is a table of `labels`, without those that say nothing; the order and separator that it had are kept.

    Raises:
        WorkspaceError: for a table that was there and cannot be read, or one that cannot be written.
    """
    before, dialect = _read(path)
    first = _trimmed(next(csv.reader(io.StringIO(before, newline=""), delimiter=dialect), []))
    rows = [_cells(label) for label in labels.values() if not label.is_empty]
    new = (name for row in rows for name in row)
    columns = list(dict.fromkeys([*_columns(path, first or COLUMNS), *new]))
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, columns, restval="", delimiter=dialect, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    has_mark = path.exists() and path.read_bytes().startswith(MARK.encode())
    write_atomically(path, (MARK if has_mark else "") + table.getvalue())


def _read(path: Path) -> tuple[str, str]:
    """A table's text and what parts its cells; nothing and a comma where there is none."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return "", ","
    except UnicodeDecodeError as fault:
        raise WorkspaceError(f"{path} is not in UTF-8. Save it as 'CSV UTF-8'.") from fault
    except OSError as fault:
        raise WorkspaceError.of(path, fault) from fault
    head = text.partition("\n")[0]
    return text, max(",;\t", key=head.count)


def _trimmed(row: Sequence[str]) -> list[str]:
    """The cells of a row, without the empty ones behind the last, which spreadsheets add."""
    cells = [cell.strip() for cell in row]
    while cells and not cells[-1]:
        cells.pop()
    return cells


def _columns(path: Path, head: Sequence[str]) -> list[str]:
    """The columns by their first row, checked."""
    columns = [_column(name, f"{path}: the column {name!r}") for name in head]
    if "path" not in columns:
        _refuse(f"{path} has no column `path`, which says the picture. Its first row must be like {','.join(COLUMNS)}.")
    if twice := next((name for name in columns if columns.count(name) > 1), None):
        _refuse(f"{path} has two columns {twice!r}. Make one of them.")
    return columns


def _column(name: str, where: str) -> str:
    """The name of a column or trait: in small letters, words joined by underscores."""
    plain = re.sub(r"\s+", "_", name.strip().lower())
    if not plain:
        _refuse(f"{where} has no name. A column is one of {', '.join(COLUMNS)}, or a trait, as in hair_colour.")
    twisted = [name for name in COLUMNS if sorted(name) == sorted(plain)]  # "veiw"; "nose" is a trait and no "pose"
    if plain not in COLUMNS and (close := twisted or difflib.get_close_matches(plain, COLUMNS, n=1, cutoff=0.8)):
        _refuse(f"{where} is not known; did you mean {close[0]!r}? A trait needs a name that is less like it.")
    return plain


def _cells(label: Label) -> dict[str, str]:
    """The cells of a label's row that are not empty."""
    said = {"path": label.path, "use": label.use or "", **{name: str(value) for name, value in label.seen.items()}}
    return {name: cell for name, cell in {**said, **label.traits}.items() if cell}


def _label(cells: Mapping[str, str], where: str) -> Label:
    fixed = {name: value for name, value in cells.items() if name in COLUMNS and value}
    traits = {name: value for name, value in cells.items() if name not in COLUMNS and value}
    if "path" not in fixed:
        _refuse(f"{where}there is no path. Write the picture's path in images/, or remove the row.")
    try:
        return Label(**{**fixed, "path": fixed["path"].replace("\\", "/")}, traits=traits)  # pyright: ignore[reportArgumentType]
    except ValidationError as fault:
        first = fault.errors()[0]
        name = str(first["loc"][0])
        allowed = first["msg"].removeprefix("Value error, ")
        if name == "use":
            allowed = f"use one of {', '.join(USES)}{_meant(first['input'], USES)}"
        raise WorkspaceError(f"{where}{name} = {first['input']!r}: {allowed[:1].lower()}{allowed[1:]}") from fault


def _refuse(words: str) -> NoReturn:
    raise WorkspaceError(words)

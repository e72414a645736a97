"""Digests: what files hold, by sha256, without reading those again that nobody touched."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from likeness.errors import WorkspaceError
from likeness.images import sha256_of
from likeness.records import make_folder, write_atomically

__all__ = ["digests_of"]

Stamp = tuple[int, int, int]

_MEMORY = TypeAdapter(dict[str, tuple[Stamp, str]])
_FRESH = 2_000_000_000  # ns; a file may change again within one tick of its clock, which is 2 s on FAT


def digests_of(files: Sequence[Path], *, root: Path, memory: Path) -> list[str]:
    """The sha256 of each file's bytes, in lower-case hexadecimal; read anew where its size or times are not as they
    were.

    Args:
        files: where they lie, all below `root`.
        root: the folder by which the memory knows them, so that both may move together.
        memory: the file to keep digests in. It may be deleted at any time; a broken one is forgotten.

    Raises:
        WorkspaceError: where a file cannot be read, or the memory cannot be written.
    """
    known, now = _remembered(memory), time.time_ns()
    stamps, names = {file: _stamp(file) for file in files}, {file: file.relative_to(root).as_posix() for file in files}
    found = {file: known[name][1] for file, name in names.items() if known.get(name, (None,))[0] == stamps[file]}
    new = [file for file in files if file not in found]
    if new:
        with ThreadPoolExecutor() as workers:
            found |= zip(new, workers.map(sha256_of, new), strict=True)
        settled = {names[file]: (stamps[file], found[file]) for file in files if stamps[file][2] < now - _FRESH}
        make_folder(memory.parent)
        write_atomically(memory, _MEMORY.dump_json(settled))
    return [found[file] for file in files]


def _stamp(file: Path) -> Stamp:
    """Size and times, ns: of its content, and of its last change of any kind, which nothing sets back (on Windows:
    of its creation)."""
    try:
        facts = file.stat()
    except OSError as fault:
        raise WorkspaceError.of(file, fault) from fault
    return facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns


def _remembered(memory: Path) -> dict[str, tuple[Stamp, str]]:
    try:
        return _MEMORY.validate_json(memory.read_bytes())
    except (OSError, ValidationError):
        return {}

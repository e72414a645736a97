"""How likeness was called, for messages that say what to type next."""

import shlex
import shutil
import sys
from pathlib import Path

__all__ = ["typed"]


def typed(command: str, *arguments: Path | str) -> str:
    """A command as this person can type it: "likeness run mira", where the shell would find this likeness.

    Else it begins with the path that was called, or with this Python: "/home/ann/.venv/bin/python -m likeness".
    """
    return shlex.join([*_called(), command, *map(str, arguments)])


def _called() -> list[str]:
    called, found = Path(sys.argv[0]), shutil.which("likeness")
    if called.name != "likeness":
        return [sys.executable, "-m", "likeness"]
    return ["likeness"] if found and called.resolve() == Path(found).resolve() else [str(called)]

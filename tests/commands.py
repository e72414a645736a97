"""What tests of commands share: a command as a person types it, and the words that one is refused with."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from likeness.cli import app
from likeness.errors import LikenessError


def called(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def refused(*arguments: str | Path, by: type[LikenessError]) -> str:
    """The message that a command is refused with."""
    with pytest.raises(by) as fault:
        CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    return str(fault.value)

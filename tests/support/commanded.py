"""`gatehouse` commands in this process, with no other settings than those that are given."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gatehouse.cli import app


@dataclass(frozen=True)
class Said:
    """What a command printed."""

    out: str
    error: str

    @property
    def json(self) -> Any:
        """The one JSON value that was printed."""
        assert self.out.count("\n") == 1
        return json.loads(self.out)


def commanded(state_dir: Path, *arguments: str, code: int = 0, **settings: str) -> Said:
    """Give a command to the deployment of a state folder; `settings` are GATEHOUSE_… variables. It must end with that exit code."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("GATEHOUSE_")]:
            patch.delenv(name)
        for name, value in (settings | {"GATEHOUSE_STATE_DIR": str(state_dir)}).items():
            patch.setenv(name, value)
        done = CliRunner().invoke(app, list(arguments), prog_name="gatehouse")
    assert done.exit_code == code, (done.output, done.exception)
    if 0 < code < 128:  # above, a signal ended it
        assert done.stderr.count("\n") == 1, "one line says what to do"
        assert done.stderr.startswith("gatehouse: ")
    return Said(done.stdout, done.stderr)

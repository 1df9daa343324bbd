#!/usr/bin/env python3
"""API keys for shell scripts and cron: what `gatehouse keys` does, answered in JSON.

manage_keys.py create --tenant acme --name nightly --expires 90d | jq -r .key
manage_keys.py list --tenant acme
manage_keys.py revoke KEY_ID

Exit codes: 0 done, 1 refused with one line on stderr, 2 not a command.
"""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

PYTHON = Path(__file__).resolve().parents[1] / ".venv" / "bin" / "python"

if find_spec("gatehouse") is None and PYTHON.exists() and Path(sys.executable) != PYTHON:
    # started by the system's own Python, as cron does it
    os.execv(PYTHON, [str(PYTHON), __file__, *sys.argv[1:]])

from gatehouse.cli import main  # noqa: E402

main(["keys", *sys.argv[1:], "--json"] if sys.argv[1:] else ["keys", "--help"])

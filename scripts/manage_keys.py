#!/usr/bin/env python3
"""API keys for shell scripts and cron: what `gatehouse keys` does, in JSON.

manage_keys.py create --tenant acme --name nightly --expires 90d | jq -r .key
manage_keys.py create --json-in < wish.json      # {"tenant": "acme", "scopes": ["models:read"], "networks": ["192.0.2.0/24"]}
manage_keys.py list --tenant acme
manage_keys.py show KEY_ID
manage_keys.py edit KEY_ID --expires never
manage_keys.py edit --json-in                    # {"id": "KEY_ID", "expires": null}
manage_keys.py rotate KEY_ID --grace 24h | jq -r .key
manage_keys.py identify < leaked-key.txt
manage_keys.py revoke KEY_ID
manage_keys.py revoke - < leaked-key.txt

Out: one JSON value on stdout. In, with --json-in: one JSON object on stdin, whose members are the options and `id`.
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
from gatehouse.cli.json_input import with_json_input  # noqa: E402
from gatehouse.errors import Refused  # noqa: E402

try:
    arguments = with_json_input(sys.argv[1:], sys.stdin)
except Refused as refusal:
    sys.exit(f"gatehouse: {refusal}")
main(["keys", *arguments[:1], "--json", *arguments[1:]] if arguments else ["keys", "--help"])

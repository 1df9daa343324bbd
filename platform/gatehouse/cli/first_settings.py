"""The settings of a local deployment: made once, with secrets of its own."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gatehouse.cli.secret_settings import SECRETS, fresh_secret
from gatehouse.cli.settings_file import change_settings, settings_file, what_is_set, with_values, write_private
from gatehouse.settings import anything_set

REPOSITORY = Path(__file__).resolve().parents[3]
DEVELOPMENT = {"GATEHOUSE_ENVIRONMENT": "development", "GATEHOUSE_DOCS": "open"}
HEAD = "# Settings of this deployment; secrets are worth a password. docs/operations.md lists all of them.\n"


@contextmanager
def first_deployment() -> Iterator[str | None]:
    """Makes a development deployment where neither a file nor the environment holds a setting, and says so.

    What ends within by an exception leaves no new state folder behind.
    """
    file = settings_file()
    if anything_set() or file.exists():
        yield None
        return
    folder, there = file.parent, file.parent.exists()
    try:
        make_settings(file)
        yield f"made a new deployment in {folder}, for development and with new secrets; GATEHOUSE_STATE_DIR names another"
    except BaseException:
        if not there:
            shutil.rmtree(folder, ignore_errors=True)
        raise


def make_settings(file: Path, port: int | None = None) -> None:
    """Write the file (mode 600) from the repository's example, where that is there."""
    values = DEVELOPMENT | {name: fresh_secret() for name in SECRETS}
    if port is not None:
        values["GATEHOUSE_LISTEN_PORT"] = str(port)
    example = REPOSITORY / ".env.example"
    text = example.read_text(encoding="utf-8") if example.is_file() else HEAD
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_private(file, with_values(text, values))


def add_missing_secrets(file: Path) -> list[str]:
    """Give a development deployment that an older version made the secrets that came since; their names. Raises Refused."""
    in_file, above = what_is_set(file)
    missing = [name for name in SECRETS if name not in in_file | above]
    if not missing or in_file.get("GATEHOUSE_ENVIRONMENT") != "development":
        return []
    change_settings(file, {name: fresh_secret() for name in missing})
    return missing


def set_port(file: Path, port: int) -> None:
    """Change the port in a file that is there."""
    change_settings(file, {"GATEHOUSE_LISTEN_PORT": str(port)})

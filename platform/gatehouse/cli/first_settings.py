"""The settings of a local deployment: made once, with secrets of its own."""

import os
import secrets
from pathlib import Path

from dotenv import dotenv_values

from gatehouse.settings import SETTINGS_FILE, anything_set, find_state_dir

REPOSITORY = Path(__file__).resolve().parents[3]
SECRETS = ("GATEHOUSE_SECRET_KEY", "GATEHOUSE_KEY_PEPPER", "GATEHOUSE_AUDIT_KEY")
DEVELOPMENT = {"GATEHOUSE_ENVIRONMENT": "development", "GATEHOUSE_DOCS": "open"}
HEAD = "# Settings of this deployment; secrets are worth a password. docs/operations.md lists all of them.\n"


def settings_file() -> Path:
    """Where the settings of this folder are, or would be."""
    return find_state_dir(os.environ, Path.cwd()) / SETTINGS_FILE


def make_settings_where_there_are_none() -> str | None:
    """A development deployment where neither a file nor the environment holds a setting; says what was made."""
    file = settings_file()
    if anything_set() or file.exists():
        return None
    make_settings(file)
    return f"made {file} for development, with new secrets"


def make_settings(file: Path, port: int | None = None) -> None:
    """Write the file (mode 600) from the repository's example, where that is there."""
    values = DEVELOPMENT | {name: secrets.token_urlsafe(32) for name in SECRETS}
    if port is not None:
        values["GATEHOUSE_LISTEN_PORT"] = str(port)
    example = REPOSITORY / ".env.example"
    text = example.read_text(encoding="utf-8") if example.is_file() else HEAD
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _write_private(file, _with_values(text, values))


def add_missing_secrets(file: Path) -> list[str]:
    """Give a development deployment that an older version made the secrets that came since; their names."""
    text = file.read_text(encoding="utf-8")
    given = {name for name, value in dotenv_values(file, interpolate=False).items() if value}
    missing = [name for name in SECRETS if name not in given and not os.environ.get(name)]
    if not missing or "GATEHOUSE_ENVIRONMENT=development" not in text.splitlines():
        return []
    _write_private(file, _with_values(text, {name: secrets.token_urlsafe(32) for name in missing}))
    return missing


def set_port(file: Path, port: int) -> None:
    """Change the port in a file that is there."""
    _write_private(file, _with_values(file.read_text(encoding="utf-8"), {"GATEHOUSE_LISTEN_PORT": str(port)}))


def _with_values(text: str, values: dict[str, str]) -> str:
    """The settings text with some values set, each where it stands or at the end."""
    left = dict(values)
    lines = []
    for line in text.splitlines():
        name = line.partition("=")[0].strip()
        lines.append(f"{name}={left.pop(name)}" if name in left else line)
    return "\n".join([*lines, *(f"{name}={value}" for name, value in left.items())]) + "\n"


def _write_private(file: Path, text: str) -> None:
    temporary = file.with_suffix(".new")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as handle:
        handle.write(text)
    temporary.replace(file)

"""The file `settings.env` of a state folder: read by people, changed line by line, for its owner alone."""

import os
from collections.abc import Collection, Mapping
from pathlib import Path

from gatehouse.errors import Refused
from gatehouse.settings import SETTINGS_FILE, SettingsInvalid, find_state_dir, given_values, values_in


def settings_file() -> Path:
    """Where the settings of this folder are, or would be."""
    return find_state_dir(os.environ, Path.cwd()) / SETTINGS_FILE


def what_is_set(file: Path) -> tuple[dict[str, str], dict[str, str]]:
    """By the file, and above it by the environment, whether or not a server would start by it. Raises Refused."""
    try:
        return given_values(file)
    except SettingsInvalid as error:
        raise Refused(str(error)) from None
    except UnicodeDecodeError as error:
        raise Refused(f"{file} cannot be read: {error}") from None


def change_settings(file: Path, values: Mapping[str, str], removed: Collection[str] = ()) -> None:
    """Set some values and take others out; the file is made where there is none. Raises Refused, and then nothing was changed."""
    before = file.read_text(encoding="utf-8") if file.exists() else ""
    text = with_values(before, values, removed)
    expected = {name: value for name, value in values_in(before).items() if name not in removed} | dict(values)
    if values_in(text) != expected:
        raise Refused(f"{file} has lines that only a person can change, such as a value over several: set {', '.join(values)} by hand")
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_private(file.resolve(), text)


def with_values(text: str, values: Mapping[str, str], removed: Collection[str] = ()) -> str:
    """The settings text with some values set, each where it stands or at the end, and some names without a value."""
    left = dict(values)
    lines = []
    for line in text.splitlines():
        name = line.partition("=")[0].strip().removeprefix("export ").strip()
        if name in values:
            line = f"{name}={values[name]}"
            left.pop(name, None)
        lines.append(f"{name}=" if name in removed else line)
    return "\n".join([*lines, *(f"{name}={value}" for name, value in left.items())]) + "\n"


def write_private(file: Path, text: str) -> None:
    """Replace the file as a whole (mode 600); it stays that of the user who serves, also where root changes it."""
    owner = (file if file.exists() else file.parent).stat()
    temporary = file.with_suffix(".new")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as handle:
        os.fchmod(handle.fileno(), 0o600)
        if os.geteuid() == 0:
            os.fchown(handle.fileno(), owner.st_uid, owner.st_gid)
        handle.write(text)
    temporary.replace(file)

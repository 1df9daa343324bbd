"""The file `settings.env` of a state folder: read by people, changed line by line, for its owner alone."""

import os
from collections.abc import Collection, Mapping
from pathlib import Path

from gatehouse.cli.written_file import replaced_file
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
    place = trusted_place(file)
    before = file.read_text(encoding="utf-8") if file.exists() else ""
    text = with_values(before, values, removed)
    expected = {name: value for name, value in values_in(before).items() if name not in removed} | dict(values)
    if values_in(text) != expected:
        raise Refused(f"{file} has lines that only a person can change, such as a value over several: set {', '.join(values)} by hand")
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_private(place, text)


def trusted_place(file: Path) -> Path:
    """Where it really is. Raises Refused for a link by which another user would have root change a file that is not theirs."""
    place = file.resolve()
    if not file.is_symlink() or os.geteuid() != 0:
        return place
    owner = (place if place.exists() else place.parent).stat().st_uid
    if file.lstat().st_uid not in (0, owner):
        raise Refused(f"{file} is a link to {place}, made by another user than whose file that is: replace it by a file")
    return place


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
    with replaced_file(file) as target:
        if os.geteuid() == 0:
            os.fchown(target.fileno(), owner.st_uid, owner.st_gid)
        target.write(text)

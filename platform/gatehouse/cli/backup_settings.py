"""The settings of a backup: what goes into it with and without secrets, and what holds where it is restored."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import SecretStr

from gatehouse.cli.secret_settings import SECRETS
from gatehouse.cli.settings_file import what_is_set
from gatehouse.errors import Refused
from gatehouse.operating.backup_place import VARIABLES
from gatehouse.settings import PREFIX, Settings, values_in

PLACES = (f"{PREFIX}DATABASE_URL", *VARIABLES.values())
WITHOUT = "# The settings of a backup without secrets: those that are missing come from where they are kept.\n"


def secret_names() -> list[str]:
    """Every setting that is, or may hold, a secret."""
    return [PREFIX + field.upper() for field, info in Settings.model_fields.items() if info.annotation is SecretStr]


def settings_text(file: Path, *, secrets: bool) -> str | None:
    """What goes into a backup; None where there is no file. Raises Refused.

    Comments may hold a secret of old, so they are left out with the secrets.
    """
    if not file.is_file():
        return None
    text = file.read_text(encoding="utf-8")
    if secrets:
        return text
    kept = {name: value for name, value in values_in(text).items() if name not in secret_names()}
    plain = WITHOUT + "".join(f"{name}={_quoted(value)}\n" for name, value in kept.items())
    if values_in(plain) != kept:
        raise Refused(f"{file} has a value that cannot be told without the file: leave --without-secrets away, or write it on one line")
    return plain


def left_out(file: Path, *, secrets: bool) -> list[str]:
    """Secrets that are set here and not in the backup: with --without-secrets all, else those of the environment."""
    in_file, above = what_is_set(file)
    here = in_file | above
    return [name for name in secret_names() if name in here and (not secrets or name in above)]


def still_missing(names: Sequence[str], values: Mapping[str, str]) -> list[str]:
    """Of the settings that a backup lacks, those that nothing sets here: neither the secrets that each deployment has, nor its places."""
    return [name for name in secret_names() if name in names and name not in values and name not in (*SECRETS, *PLACES)]


def values_of_place(text: str | None, file: Path) -> dict[str, str]:
    """What will be set where a backup with this text is restored: the environment stands above the file. Raises Refused."""
    return values_in(text or "") | what_is_set(file)[1]


def told_here_alone(text: str | None, values: Mapping[str, str]) -> list[str]:
    """Settings by which this command found its places, and a server that goes by the restored file alone would not."""
    in_file = values_in(text or "")
    return [name for name in PLACES if name in values and values[name] != in_file.get(name)]


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"

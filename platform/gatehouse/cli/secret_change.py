"""A secret that takes over from the one before it: what each step of the way sets. What is set already is named, never said."""

from collections.abc import Sequence
from dataclasses import dataclass

from gatehouse.cli.secret_settings import SecretSetting, Values, VersionedSecret, fresh_secret, joined
from gatehouse.cli.settings_file import change_settings, settings_file, what_is_set
from gatehouse.errors import Refused
from gatehouse.settings import Settings, SettingsInvalid, settings_from

ONE_BY_ONE = "restart the servers one by one"


@dataclass(frozen=True, slots=True)
class Step:
    """What is set at once, why, and with what it ends."""

    purpose: str
    values: Values


@dataclass(frozen=True, slots=True)
class NextSecret:
    """A fresh secret; `first` is what to write at once, `shown` all steps for people who set them elsewhere."""

    version: int | None
    first: Values
    shown: Sequence[Step]


def next_secret(secret: SecretSetting, settings: Settings) -> NextSecret:
    """Raises Refused while another one is on its way."""
    if isinstance(secret, VersionedSecret):
        return _next_version(secret, settings)
    current, before = (part.decode() for part in settings.secret_keys)
    if before:
        raise Refused(f"{secret.before} is set: a new one is on its way. gatehouse secrets check says what is left to do")
    values = {secret.name: fresh_secret(), secret.before: current}
    shown = values | {secret.before: _now(secret.name)}
    return NextSecret(None, values, [Step(f"make it the current one beside the one before; then {ONE_BY_ONE}", shown)])


def _next_version(secret: VersionedSecret, settings: Settings) -> NextSecret:
    current, *others = secret.versions(settings)
    waiting = max([current, *others])
    if waiting > current:
        raise Refused(f"{secret.before} holds version {waiting} already: {ONE_BY_ONE}, then: gatehouse secrets promote {secret.name}")
    version, fresh = current + 1, fresh_secret()
    held = joined({number: text for number, text in _texts(secret, settings).items() if number != current})
    kept = f"{_now(secret.before)}," if held else ""
    shown = [
        Step(f"accept it beside the present one; then {ONE_BY_ONE}", secret.accepted(version, fresh, kept.rstrip(","))),
        Step(f"make it the current one; then {ONE_BY_ONE}", secret.promoted(version, fresh, f"{kept}{current}:{_now(secret.name)}")),
    ]
    return NextSecret(version, secret.accepted(version, fresh, held), shown)


def promotion(secret: SecretSetting, settings: Settings) -> tuple[int, Values]:
    """The version that waits to become the current one, and what makes it that. Raises Refused."""
    if not isinstance(secret, VersionedSecret):
        raise Refused(f"{secret.name} has no versions: a new one is the current one at once, beside {secret.before}")
    known = _texts(secret, settings)
    version = min((number for number in known if number > next(iter(known))), default=None)
    if version is None:
        raise Refused(f"{secret.before} holds no newer version: gatehouse secrets create --only {secret.name} --next --write")
    return version, secret.promoted(version, known.pop(version), joined(known))


def without(secret: VersionedSecret, settings: Settings, versions: set[int]) -> Values:
    """What forgets these versions, none of which is the current one."""
    _, *others = _texts(secret, settings).items()
    return {secret.before: joined({number: text for number, text in others if number not in versions})}


def write_settings(secret: SecretSetting, values: Values) -> str:
    """Into the file of this state folder, which it says; none of it where no server would start by it. Raises Refused."""
    file = settings_file()
    in_file, above = what_is_set(file)
    if fixed := [name for name in (secret.name, *values) if name in above]:
        elsewhere = f"gatehouse secrets create --only {secret.name} --next says what to set there"
        raise Refused(f"{fixed[0]} is set in the environment, which wins over {file}: {elsewhere}")
    after = in_file | above | values
    after.pop("GATEHOUSE_STATE_DIR", None)
    try:
        settings_from(after, file.parent)
    except SettingsInvalid as error:
        raise Refused(f"nothing was changed: {error}") from None
    change_settings(file, {name: value for name, value in values.items() if value}, [name for name, value in values.items() if not value])
    return str(file)


def _texts(secret: VersionedSecret, settings: Settings) -> dict[int, str]:
    return {version: text.decode() for version, text in secret.versions(settings).items()}


def _now(name: str) -> str:
    return f"(what {name} is now)"

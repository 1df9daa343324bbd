"""All settings, and the only reader of the environment. A setting that is missing, weak or unknown stops the start."""

import difflib
import os
import re
from collections.abc import Mapping
from io import StringIO
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from dotenv import dotenv_values
from dotenv.parser import parse_stream
from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from gatehouse.principal import Network

PREFIX = "GATEHOUSE_"
STATE_FOLDER = ".gatehouse"
SETTINGS_FILE = "settings.env"
INJECTED = ("GATEHOUSE_SERVICE_", "GATEHOUSE_PORT")
"""Kubernetes puts these into the environment of every pod beside a service called gatehouse."""
EVERY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - nothing listens by it
"""What is listened on, and by which of its addresses it is reached on the machine itself."""
MIN_SECRET_CHARACTERS = 32
MIN_SECRET_ALPHABET = 12
_PUBLIC_URL = re.compile(r"https?://[A-Za-z0-9.-]+(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~/-]*)?|https?://\[[0-9A-Fa-f:.]+\](?::[0-9]{1,5})?/?")
_HOST_NAME = re.compile(r"\*|(?:\*\.)?[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252})")
_CONTACT = re.compile(r"https?://[A-Za-z0-9][!#-;=?-~]{1,200}|[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9.-]{1,190}")
_VERSION = re.compile(r"([1-9][0-9]{0,8}):(\S+)", re.ASCII)
EXAMPLE_MARKS = ("change-me", "changeme", "example", "secret", "password", "replace")


class SettingsInvalid(Exception):
    """One line that says what to set."""


class Settings(BaseSettings):
    """What a deployment decides. Every field is `GATEHOUSE_` + its name in capitals; see `.env.example`."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, extra="ignore", frozen=True, hide_input_in_errors=True)

    state_dir: Path
    environment: Literal["production", "development"] = "production"
    secret_key: SecretStr
    """Encrypts token keys in the database."""
    secret_key_before: SecretStr = SecretStr("")
    """Opens, while `secret_key` is being changed, what was encrypted under the one before."""
    key_pepper: SecretStr
    """Keys the digests of API keys."""
    key_pepper_version: int = Field(default=1, ge=1, le=2**31 - 1)
    """The number of `key_pepper`, stored beside each digest; a new pepper needs a higher one."""
    other_key_peppers: SecretStr = SecretStr("")
    """`VERSION:SECRET`, a comma between them: peppers that are accepted beside the current one."""
    audit_key: SecretStr
    """Keys the chain of the audit trail."""
    audit_key_version: int = Field(default=1, ge=1, le=2**31 - 1)
    """The number of `audit_key`, stored in each row; a new key needs a higher one."""
    other_audit_keys: SecretStr = SecretStr("")
    """`VERSION:SECRET`, a comma between them: keys that older rows are verified under."""
    database_url: SecretStr = SecretStr("")
    redis_url: SecretStr = SecretStr("")
    """Decides on the rates of all processes together; without it each takes its share of every limit."""
    models_dir: Path = Path("models")
    spool_dir: Path = Path("spool")
    trusted_keys_dir: Path = Path("trusted-keys")
    """Public publishing keys, one PEM file each: who may sign what is loaded."""
    public_url: str = ""
    contact: str = ""
    """Whom partners ask: an e-mail address or a page."""
    allowed_hosts: str = ""
    """Names that calls may be addressed to, beside that of `public_url`, localhost and IP addresses."""
    listen_host: str = "127.0.0.1"
    listen_port: int = Field(default=8000, ge=1, le=65535)
    metrics_host: str = "127.0.0.1"
    metrics_port: int = Field(default=0, ge=0, le=65535)
    """`/metrics` for whoever reaches it, without a key; 0 is none."""
    trusted_proxies: str = ""
    """Networks whose X-Forwarded-For is believed."""
    notices_networks: str = ""
    """Networks beside the public ones that notices may be sent into, by http:// too."""
    docs: Literal["open", "key", "off"] = "key"
    log_format: Literal["auto", "text", "json"] = "auto"
    log_answers_per_s: int = Field(default=20, ge=0)
    """Answered predictions of a second that get a line, of each process; refused and failed calls all do."""
    max_body_bytes: int = Field(default=64 * 1024 * 1024, ge=1024)
    max_body_bytes_at_once: int = Field(default=512 * 1024 * 1024, ge=2048)
    """Of all calls under way together; a tenant may hold as many as are left free."""
    body_deadline_s: float = Field(default=30.0, gt=0, le=3600, allow_inf_nan=False)
    head_deadline_s: float = Field(default=10.0, gt=0, le=3600, allow_inf_nan=False)
    idle_deadline_s: float = Field(default=75.0, gt=0, le=86_400, allow_inf_nan=False)
    max_connections: int = Field(default=8192, ge=1)
    max_connections_per_address: int = Field(default=512, ge=1)
    drain_s: float = Field(default=5.0, ge=0, le=3600, allow_inf_nan=False)
    """From SIGTERM on, calls are answered and told to go elsewhere."""
    shutdown_deadline_s: float = Field(default=0.0, ge=0, le=3600, allow_inf_nan=False)
    """For calls under way, after `drain_s`; 0 is as long as one may take."""
    prediction_deadline_s: float = Field(default=30.0, gt=0, le=3600, allow_inf_nan=False)
    max_calls_at_once: int = Field(default=256, ge=1)
    max_calls_at_once_per_tenant: int = Field(default=64, ge=1)
    """Those that wait included."""
    max_calls_waiting: int = Field(default=256, ge=0)
    waiting_deadline_s: float = Field(default=5.0, ge=0, le=3600, allow_inf_nan=False)
    failed_credentials_per_minute: int = Field(default=60, ge=1)
    token_requests_per_minute: int = Field(default=60, ge=1)
    account_requests_per_minute: int = Field(default=120, ge=1)
    spool_min_free_bytes: int = Field(default=64 * 1024 * 1024, ge=0)
    spool_max_bytes: int = Field(default=1024 * 1024 * 1024, ge=16 * 1024 * 1024)
    """Of one process's usage that waits for the database."""
    usage_retention_days: int = Field(default=90, ge=32, le=36_500)
    """For so long usage events are kept; sums by hour and day stay."""
    usage_fsync: bool = False
    """Whether an answer waits until its usage event outlives a loss of power."""
    stale_identity_s: float = Field(default=300.0, ge=1, le=86_400, allow_inf_nan=False)
    """How long known credentials go on when the database cannot be reached; changes are read every 0.1 s."""
    load_models: Literal["eager", "lazy"] = "eager"
    model_memory_bytes: int = Field(default=0, ge=0)
    """Loaded models beyond this are unloaded, the one used longest ago first; 0 is no limit."""
    database_wait_s: float = Field(default=30.0, ge=0, le=3600, allow_inf_nan=False)

    @field_validator("secret_key", "key_pepper", "audit_key")
    @classmethod
    def _strong(cls, value: SecretStr) -> SecretStr:
        check_strength(value.get_secret_value())
        return value

    @field_validator("other_key_peppers", "other_audit_keys")
    @classmethod
    def _strong_too(cls, value: SecretStr) -> SecretStr:
        for secret in _versions(value).values():
            check_strength(secret)
        return value

    @field_validator("public_url")
    @classmethod
    def _absolute(cls, value: str) -> str:
        if value and not _PUBLIC_URL.fullmatch(value):
            raise ValueError("must be http:// or https:// with a host and no query, for example https://api.example.org")
        return value

    @field_validator("contact")
    @classmethod
    def _reachable(cls, value: str) -> str:
        if value and not _CONTACT.fullmatch(value):
            raise ValueError("must be an e-mail address or a page, for example help@example.org or https://example.org/help")
        return value

    @field_validator("allowed_hosts")
    @classmethod
    def _host_names(cls, value: str) -> str:
        if not all(_HOST_NAME.fullmatch(name) for name in value.replace(",", " ").split()):
            raise ValueError("must be host names without a scheme or port, a comma between two, for example api.example.org, *.internal")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: str) -> str:
        parse_networks(value)
        return value

    @field_validator("notices_networks")
    @classmethod
    def _inner_networks(cls, value: str) -> str:
        parse_networks(value, "would let notices into every network; name those that targets lie in")
        return value

    @model_validator(mode="after")
    def _distinct(self) -> "Settings":
        taken: dict[str, str] = {}
        for field in ("secret_key", "key_pepper", "audit_key"):
            first = taken.setdefault(getattr(self, field).get_secret_value(), field)
            if first != field:
                raise ValueError(f"{_variable(first)} and {_variable(field)} must differ")
        if self.secret_key.get_secret_value() == self.secret_key_before.get_secret_value():
            raise ValueError("GATEHOUSE_SECRET_KEY_BEFORE must be the secret before, not GATEHOUSE_SECRET_KEY again: leave it out")
        secrets = set(taken)
        for field, others in (("key_pepper", "other_key_peppers"), ("audit_key", "other_audit_keys")):
            self._check_others(field, others, secrets)
        return self

    def _check_others(self, field: str, others: str, taken: set[str]) -> None:
        """The versions of `others` are none of the current one of `field`, and hold no secret that is `taken`."""
        current, versions = getattr(self, f"{field}_version"), _versions(getattr(self, others))
        if current in versions:
            raise ValueError(
                f"{_variable(others)} holds version {current}, which is {_variable(field)}'s: "
                f"give the new {'pepper' if 'pepper' in field else 'key'} a higher {_variable(field)}_VERSION"
            )
        for secret in versions.values():
            if secret in taken:
                raise ValueError(f"{_variable(others)} holds a secret twice, or one that another setting has: they must differ")
            taken.add(secret)

    @model_validator(mode="after")
    def _room_for_the_largest_body(self) -> "Settings":
        if self.max_body_bytes_at_once < 2 * self.max_body_bytes:
            raise ValueError(
                "GATEHOUSE_MAX_BODY_BYTES_AT_ONCE must be at least twice GATEHOUSE_MAX_BODY_BYTES: a tenant alone may use half of it"
            )
        return self

    @property
    def secret_keys(self) -> tuple[bytes, bytes]:
        """The current one and the one before; the latter is empty while there is none."""
        return self.secret_key.get_secret_value().encode(), self.secret_key_before.get_secret_value().encode()

    @property
    def key_peppers(self) -> dict[int, bytes]:
        """All peppers by version, the current one first."""
        return _by_version(self.key_pepper_version, self.key_pepper, self.other_key_peppers)

    @property
    def audit_keys(self) -> dict[int, bytes]:
        """All keys of the audit trail by version, the current one first."""
        return _by_version(self.audit_key_version, self.audit_key, self.other_audit_keys)

    def under_state(self, path: Path) -> Path:
        """`path`, taken from the state folder when it is relative."""
        return path if path.is_absolute() else self.state_dir / path

    @property
    def trusted_networks(self) -> tuple[Network, ...]:
        """The networks of `trusted_proxies`."""
        return parse_networks(self.trusted_proxies)

    @property
    def target_networks(self) -> tuple[Network, ...]:
        """The networks of `notices_networks`."""
        return parse_networks(self.notices_networks)

    @property
    def host_names(self) -> tuple[str, ...]:
        """What calls may be addressed to: a name, `*.name` for all below it, or `*`."""
        return (urlsplit(self.base_url).hostname or "localhost", "localhost", *self.allowed_hosts.replace(",", " ").split())

    @property
    def database(self) -> str:
        """The database URL; by default SQLite in the state folder."""
        return self.database_url.get_secret_value() or f"sqlite:///{self.state_dir / 'gatehouse.db'}"

    @property
    def base_url(self) -> str:
        """The base of every absolute URL, without a slash at the end."""
        host = EVERY_ADDRESS.get(self.listen_host, self.listen_host)
        host = f"[{host}]" if ":" in host else host
        return (self.public_url or f"http://{host}:{self.listen_port}").rstrip("/")


def is_example(text: str) -> bool:
    """Whether it was never meant as a secret; no server has started by it."""
    return any(mark in text.lower() for mark in EXAMPLE_MARKS)


def check_strength(text: str) -> None:
    """Raises ValueError for an example and for what could be guessed."""
    if is_example(text):
        raise ValueError("is an example, not a secret")
    if len(text) < MIN_SECRET_CHARACTERS or len(set(text)) < MIN_SECRET_ALPHABET:
        raise ValueError(f"is too weak: it needs {MIN_SECRET_CHARACTERS} random characters or more")


def _versions(value: SecretStr) -> dict[int, str]:
    """`1:SECRET,2:SECRET`, taken apart."""
    secrets: dict[int, str] = {}
    for entry in filter(None, (part.strip() for part in value.get_secret_value().split(","))):
        found = _VERSION.fullmatch(entry)
        if found is None or int(found[1]) in secrets:
            raise ValueError("must be VERSION:SECRET, such as 1:… , a comma between two; each version once")
        secrets[int(found[1])] = found[2]
    return secrets


def _by_version(version: int, secret: SecretStr, others: SecretStr) -> dict[int, bytes]:
    """The current secret first, then the others."""
    every = {version: secret.get_secret_value()} | _versions(others)
    return {number: text.encode() for number, text in every.items()}


def _variable(field: str) -> str:
    """The name of a field as people set it."""
    return PREFIX + field.upper()


class GivenSettings(Settings):
    """Settings from given values alone: neither the environment nor a file is read."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


def parse_networks(
    text: str, everybody: str = "would believe everybody; name the proxies' own addresses or networks"
) -> tuple[Network, ...]:
    """Networks in CIDR notation with commas or spaces between them. Raises ValueError for anything else, and for the whole internet."""
    try:
        networks = tuple(ip_network(part) for part in text.replace(",", " ").split())
    except ValueError:
        raise ValueError("must be addresses or networks without host bits, for example 10.0.0.0/8, 2001:db8::7") from None
    if any(network.prefixlen == 0 for network in networks):
        raise ValueError(everybody)
    return networks


def find_state_dir(environment: Mapping[str, str], start: Path) -> Path:
    """GATEHOUSE_STATE_DIR, else the nearest `.gatehouse` from `start` upwards, else `.gatehouse` in `start`."""
    named = environment.get(PREFIX + "STATE_DIR")
    if named:
        return Path(named).expanduser().resolve()
    for folder in (start, *start.parents):
        if (folder / STATE_FOLDER).is_dir():
            return (folder / STATE_FOLDER).resolve()
    return (start / STATE_FOLDER).resolve()


def anything_set() -> bool:
    """Whether the environment holds a setting, beside the place of the state folder."""
    passed = (*INJECTED, PREFIX + "STATE_DIR")
    return any(value and name.startswith(PREFIX) and not name.startswith(passed) for name, value in os.environ.items())


def values_in(text: str) -> dict[str, str]:
    """What a settings file of this text sets."""
    return {name: value for name, value in dotenv_values(stream=StringIO(text), interpolate=False).items() if value}


def given_values(file: Path) -> tuple[dict[str, str], dict[str, str]]:
    """What the file and what the environment sets, by the whole name, as it stands there. Raises SettingsInvalid."""
    in_file = _read_file(file)
    above = {name.upper(): value for name, value in os.environ.items() if value and name.upper().startswith(PREFIX)}
    return {PREFIX + field.upper(): value for field, value in in_file.items()}, above


def read_settings() -> Settings:
    """Settings from the environment and, under it, the state folder's `settings.env`. Raises SettingsInvalid."""
    state_dir = find_state_dir(os.environ, Path.cwd())
    overridden = {name.upper() for name, value in os.environ.items() if value}
    for name in os.environ:
        check_name(name)
    # read here and not by pydantic-settings, which would replace ${…} in a secret
    given = {field: value for field, value in _read_file(state_dir / SETTINGS_FILE).items() if PREFIX + field.upper() not in overridden}
    try:
        return Settings(**(given | {"state_dir": state_dir}))
    except ValidationError as error:
        raise SettingsInvalid(_one_line(error)) from None


def _read_file(file: Path) -> dict[str, Any]:
    """What the file sets, by field; nothing when there is none."""
    if not file.is_file():
        return {}
    given: dict[str, Any] = {}
    with file.open(encoding="utf-8") as text:
        lines = list(parse_stream(text))
    for line in lines:
        name, value = line.key, line.value
        if line.error:  # not shown: half of it may be a secret
            raise SettingsInvalid(f"{SETTINGS_FILE}: line {line.original.line} is not of the form GATEHOUSE_NAME=value")
        if name is None:  # a comment
            continue
        if value is None or not name.startswith(PREFIX):
            raise SettingsInvalid(f"{SETTINGS_FILE}: {name[:40]!r} is not a line of the form GATEHOUSE_NAME=value")
        check_name(name)
        if value:
            given[name.removeprefix(PREFIX).lower()] = value
        else:
            given.pop(name.removeprefix(PREFIX).lower(), None)  # the last line of a name holds
    return given


def settings_from(values: Mapping[str, str], state_dir: Path) -> Settings:
    """Settings from these `GATEHOUSE_…` values and nothing else. Raises SettingsInvalid."""
    for name in values:
        check_name(name)
    given: dict[str, Any] = {name.removeprefix(PREFIX).lower(): value for name, value in values.items() if value != ""}
    try:
        return GivenSettings(**(given | {"state_dir": state_dir}))
    except ValidationError as error:
        raise SettingsInvalid(_one_line(error)) from None


def check_name(name: str) -> None:
    """A variable that looks like a setting of ours must be one. Raises SettingsInvalid."""
    upper = name.upper()  # the sources do not tell cases apart
    if not upper.startswith(PREFIX) or upper.startswith(INJECTED):
        return
    known = [field.upper() for field in Settings.model_fields]
    if name.removeprefix(PREFIX) not in known:
        close = difflib.get_close_matches(upper.removeprefix(PREFIX), known, n=1)
        hint = f"did you mean {PREFIX}{close[0]}?" if close else "remove it; .env.example lists all settings"
        raise SettingsInvalid(f"{name} is not a setting; {hint}")


def _one_line(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    said = str(first["msg"]).removeprefix("Value error, ").replace("Input should", "must")
    if not first["loc"]:
        return said
    name = _variable(str(first["loc"][0]))
    if first["type"] == "missing":
        return f"{name} is not set; set it to 32 or more random characters, for example the output of: openssl rand -base64 32"
    return f"{name} {said}"

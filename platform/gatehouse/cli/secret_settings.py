"""Which secrets a deployment is set to, and the settings by which a new one takes over from the one before."""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gatehouse.errors import NotKnown
from gatehouse.settings import Settings, check_strength

Values = dict[str, str]
"""Settings by their whole names."""


@dataclass(frozen=True, slots=True)
class SecretSetting:
    """One secret. `before` is the setting that holds what it was."""

    name: str
    before: str


@dataclass(frozen=True, slots=True)
class VersionedSecret(SecretSetting):
    """A secret whose number is stored beside what it keys; `before` holds `VERSION:SECRET`, a comma between two."""

    versions: Callable[[Settings], Mapping[int, bytes]]
    """All of them, the current one first."""

    @property
    def number(self) -> str:
        """The setting that holds the current one's version."""
        return f"{self.name}_VERSION"

    def accepted(self, version: int, fresh: str, others: str) -> Values:
        """What lets a new one in beside the current one."""
        return {self.before: ",".join(filter(None, [others, f"{version}:{fresh}"]))}

    def promoted(self, version: int, fresh: str, others: str) -> Values:
        """What makes it the current one; `others` are those before."""
        return {self.name: fresh, self.number: str(version), self.before: others}


SECRET_KEY = SecretSetting("GATEHOUSE_SECRET_KEY", "GATEHOUSE_SECRET_KEY_BEFORE")
KEY_PEPPER = VersionedSecret("GATEHOUSE_KEY_PEPPER", "GATEHOUSE_OTHER_KEY_PEPPERS", lambda settings: settings.key_peppers)
AUDIT_KEY = VersionedSecret("GATEHOUSE_AUDIT_KEY", "GATEHOUSE_OTHER_AUDIT_KEYS", lambda settings: settings.audit_keys)
SECRETS: Mapping[str, SecretSetting] = {secret.name: secret for secret in (SECRET_KEY, KEY_PEPPER, AUDIT_KEY)}


def named_secret(name: str) -> SecretSetting:
    """Raises NotKnown."""
    if name not in SECRETS:
        raise NotKnown("secret", name, list(SECRETS))
    return SECRETS[name]


def fresh_secret() -> str:
    """256 random bits in characters that need no quotes in a settings file, a shell or a URL."""
    return secrets.token_urlsafe(32)


def weakness(value: str) -> str | None:
    """What is wrong with it, if anything."""
    try:
        check_strength(value)
    except ValueError as error:
        return str(error)
    return None


def joined(secrets_by_version: Mapping[int, str]) -> str:
    """As the setting `before` holds them."""
    return ",".join(f"{version}:{secret}" for version, secret in sorted(secrets_by_version.items()))

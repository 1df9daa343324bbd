"""The keys of the audit trail's chain, which lie outside the database: whoever has only that cannot forge a row."""

import hmac
from collections.abc import Mapping


class AuditKeys:
    """The current key, under which every new row is sealed, and those of older rows."""

    def __init__(self, by_version: Mapping[int, bytes]) -> None:
        """The first one is the current one."""
        self.version = next(iter(by_version))
        self._secrets = dict(by_version)

    def __repr__(self) -> str:
        return f"AuditKeys(versions={sorted(self._secrets)})"

    def __contains__(self, version: int) -> bool:
        return version in self._secrets

    def named(self, version: int) -> str:
        """The setting that holds the key of a version."""
        return f"{'GATEHOUSE_AUDIT_KEY' if version == self.version else 'GATEHOUSE_OTHER_AUDIT_KEYS'} (version {version})"

    def seal(self, version: int, message: bytes) -> str:
        """HMAC-SHA256 (RFC 2104) in hexadecimal, 64 characters. Raises KeyError for a version that is not known."""
        return hmac.digest(self._secrets[version], message, "sha256").hex()

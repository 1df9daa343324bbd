"""Peppers: what keys the digests of API keys, kept outside the database. A new one takes over while the ones before are still known."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pepper:
    """A secret and its number, which is stored beside each digest."""

    secret: bytes
    version: int = 1

    def __repr__(self) -> str:
        return f"Pepper(version={self.version})"


class Peppers:
    """The current pepper, which keys every new digest, and others under which digests may still be stored."""

    def __init__(self, by_version: Mapping[int, bytes]) -> None:
        """The first one is the current one."""
        version, secret = next(iter(by_version.items()))
        self.current = Pepper(secret, version)
        self._secrets = dict(by_version)

    @property
    def versions(self) -> Collection[int]:
        """Those whose secrets are known."""
        return self._secrets.keys()

    def __contains__(self, version: int) -> bool:
        return version in self._secrets

    def secret_of(self, version: int) -> bytes:
        """The secret of a version; of the current one where it is not known, so that a proof takes the same steps and fails."""
        return self._secrets.get(version, self.current.secret)

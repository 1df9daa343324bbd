"""Passwords of people: which ones are good enough, and the only door to passlib.

Argon2id at the size that OWASP's Password Storage Cheat Sheet names first; lengths and lists as ASVS 5.0 6.2 asks.
"""

import unicodedata
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from threading import BoundedSemaphore, Lock

from gatehouse.errors import Overloaded
from gatehouse.identity.key_wishes import WishRefused

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # passlib asks for crypt and for argon2's version as was done of old
    from passlib.context import CryptContext
    from passlib.handlers.argon2 import argon2

    argon2.set_backend("argon2_cffi")

SHORTEST, LONGEST = 8, 128
"""Characters of a password, in normal form C."""
SHORTEST_CONTEXT_WORD = 3
COST = {"memory_cost": 19_456, "time_cost": 2, "parallelism": 1}
"""Of one hash: KiB, passes, lanes."""
AT_ONCE = 2
WAITING = 8
"""Hashes that wait for their turn. Each holds a thread, which others need too."""
RETRY_AFTER_S = "1"
COMMON = Path(__file__).parent / "assets" / "common_passwords.txt"
NOBODYS = "$argon2id$v=19$m=19456,t=2,p=1$zjnHWGtt7X2vFQJA6H2PkQ$5pOVjKBqZVkEQ3d+oHnHYx8vpoLcYAtEF0gQGdqgwHE"
"""What a password is held against where there is none: a hash of this cost that no known password has."""


class Passwords:
    """Hashes passwords and proves them, at most AT_ONCE at a time in a process; called in threads."""

    def __init__(self, cost: Mapping[str, int] = COST, at_once: int = AT_ONCE, waiting: int = WAITING) -> None:
        self._context = CryptContext(["argon2"], argon2__type="ID", **{f"argon2__{name}": value for name, value in cost.items()})
        self._places = BoundedSemaphore(at_once + waiting)
        self._turns = BoundedSemaphore(at_once)
        self._counting = Lock()
        self.computed = 0
        """Hashes so far."""

    def hash(self, password: str) -> str:
        """What is stored of a password. Raises Overloaded."""
        with self._turn():
            return str(self._context.hash(_bytes(password)))

    def proves(self, password: str, stored: str | None) -> bool:
        """Whether it is the password of `stored`, found by one hash also where nothing is stored. Raises Overloaded."""
        with self._turn():
            same = bool(self._context.verify(_bytes(password), stored or NOBODYS))
        return same and stored is not None

    def outdated(self, stored: str) -> bool:
        """Whether it was hashed at another cost than new ones are."""
        return bool(self._context.needs_update(stored))

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._places.acquire(blocking=False):
            raise Overloaded(reason="passwords_waiting", headers=[("Retry-After", RETRY_AFTER_S)])
        try:
            with self._turns:
                yield
        finally:
            self._places.release()
        with self._counting:
            self.computed += 1


def could_be(password: str) -> bool:
    """Whether somebody's password may have this length; one that cannot be is worth no hash."""
    return len(password) <= LONGEST and SHORTEST <= len(normal_form(password)) <= LONGEST


def check_password(password: str, context: Iterable[str]) -> None:
    """Raises WishRefused for one that is too short or long, among the common ones, or little more than words of its `context`."""
    if not could_be(password):
        raise WishRefused("password", f"a password has {SHORTEST} to {LONGEST} characters, of whatever kind")
    plain = normal_form(password).casefold()
    if plain in common_passwords():
        raise WishRefused("password", "the password is one of those that are guessed first: take several words of your own")
    rest = plain
    for word in sorted({word.casefold() for word in context if len(word) >= SHORTEST_CONTEXT_WORD}, key=len, reverse=True):
        rest = rest.replace(word, "")
    if len(rest) < SHORTEST or rest in common_passwords():
        raise WishRefused("password", "the password is little more than your name, your tenant's or this service's: take other words")


def normal_form(password: str) -> str:
    """The same for one password, however a keyboard composes its characters (RFC 8265 4.2)."""
    return unicodedata.normalize("NFC", password)


@cache
def common_passwords() -> frozenset[str]:
    """Passwords that anybody tries first, folded."""
    return frozenset(COMMON.read_text(encoding="utf-8").splitlines())


def _bytes(password: str) -> bytes:
    return normal_form(password).encode("utf-8")

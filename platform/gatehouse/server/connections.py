"""All connections of one process: how many there may be, which of them are silent, and which take too long over their headers.

A call costs an entry in a dictionary; no timer is set for it. Both dictionaries are ordered by time: a sweep looks only at what is due.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from time import monotonic
from typing import Protocol

from gatehouse.errors import Overloaded
from gatehouse.limits.failed_credentials import network_of
from gatehouse.principal import Network
from gatehouse.server.lingering import LINGER_S, Turns
from gatehouse.server.starts import Starts

SWEEP_S = 0.25
RETRY_AFTER_S = "1"
MOST_TURNED_AWAY = 64
"""Connections beyond a limit that are being told so."""


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Of one process; an address is an IPv4 address or an IPv6 /64 network."""

    at_once: int
    per_address: int
    head_deadline_s: float
    """From the first byte of a request to the end of its headers."""
    idle_deadline_s: float
    """Without a byte of a request, or without a byte of an answer being taken."""
    proxies: Sequence[Network] = ()
    """Their connections carry many callers: only the limit of all holds for them."""
    linger_deadline_s: float = LINGER_S
    """From the last byte of an answer on, where its caller may be sending still."""


class Held(Protocol):
    """What is asked of a connection here."""

    def is_idle(self) -> bool:
        """Whether no call is under way and no part of an answer is unsent."""

    def end(self) -> None:
        """Close it; for one that has nothing to say."""

    def silence_is_over(self) -> bool:
        """End a silent one; False if its caller is still taking an answer, or has just sent something."""

    def headers_are_late(self) -> None:
        """The headers of a request did not come in time."""


class Connections:
    """The connections of one process and what they are waiting for."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self.limits = limits
        self.at_once = limits.at_once
        self.silent: dict[Held, float] = {}
        """Since when nothing has come, oldest first: between calls, before the first one, or while an answer is not taken."""
        self.heads: dict[Held, float] = {}
        """Since when a request's headers are unfinished, oldest first."""
        self.lingering: dict[Held, float] = {}
        """Since when their last answer has been given while they may be sending still, oldest first."""
        self.turned_away: dict[Held, None] = {}
        """Beyond a limit and told so, oldest first; they count for none."""
        self.turns = Turns()
        self.starts = Starts()
        self.draining = False
        """The process is about to end: each answer is the last one of its connection."""
        self.held = 0
        self.ended_for_room = 0
        self.refused = 0
        self.ended_late = 0
        """Ended at a deadline."""
        self._by_network: dict[str, set[Held]] = {}
        self._sweeping = False

    def admit(self, connection: Held, address: str, loop: asyncio.AbstractEventLoop) -> Overloaded | None:
        """Hold a new connection and make room for it, by ending those that linger, then idle ones, then those with unfinished headers.

        Of each kind the oldest ends first. Returns what to answer where every other one has a call under way.
        """
        own = self._by_network.setdefault(network_of(address), set())
        refusal = self._refusal(own, address)
        own.add(connection)
        self.held += 1
        self.silent[connection] = monotonic()
        if refusal is not None:
            self._turn_away(connection)
        if not self._sweeping:
            self._sweeping = True
            loop.call_later(SWEEP_S, self._sweep, loop)
        return refusal

    def forget(self, connection: Held, address: str) -> None:
        """A connection has ended."""
        network = network_of(address)
        own = self._by_network.get(network, set())
        if connection not in own:
            return
        own.remove(connection)
        if not own:
            del self._by_network[network]
        self.held -= 1
        self.turned_away.pop(connection, None)
        self.waits_no_more(connection)

    def waits_no_more(self, connection: Held) -> None:
        """No deadline of this module runs for it."""
        self.silent.pop(connection, None)
        self.heads.pop(connection, None)
        self.lingering.pop(connection, None)

    def lingers(self, connection: Held, now: float) -> None:
        """From now on it has `linger_deadline_s`."""
        self.waits_no_more(connection)
        self.lingering[connection] = now

    def falls_silent(self, connection: Held, now: float) -> None:
        """From now on it has `idle_deadline_s`."""
        self.silent.pop(connection, None)  # to the end of the order
        self.silent[connection] = now

    def _refusal(self, own: set[Held], address: str) -> Overloaded | None:
        limit = self.limits.per_address
        full = len(own) >= limit and len(own - self.turned_away.keys()) >= limit
        if full and not self._is_proxy(address) and not self._make_room(self._waiting_longest(own)):
            self.refused += 1
            return _overloaded(f"{limit} connections from your address have calls under way, which is its limit.", "connections_of_address")
        full = self.held - len(self.turned_away) >= self.at_once
        if full and not any(self._make_room(waiting) for waiting in (self.lingering, self.silent, self.heads)):
            self.refused += 1
            return _overloaded("All connections of this server have calls under way.", "connections")
        return None

    def _waiting_longest(self, own: set[Held]) -> list[Held]:
        kinds = (self.lingering, self.silent, self.heads)
        return [each for waiting in kinds for each in sorted(own & waiting.keys(), key=waiting.__getitem__)]

    def _is_proxy(self, address: str) -> bool:
        try:
            parsed = ip_address(address)
        except ValueError:
            return False
        plain = getattr(parsed, "ipv4_mapped", None) or parsed
        return any(plain in network for network in self.limits.proxies)

    def _make_room(self, candidates: Iterable[Held]) -> bool:
        oldest = next((each for each in candidates if (each in self.heads or each.is_idle()) and each not in self.turned_away), None)
        if oldest is None:
            return False
        self.ended_for_room += 1
        self._end(oldest)
        return True

    def _turn_away(self, connection: Held) -> None:
        if len(self.turned_away) >= MOST_TURNED_AWAY:
            oldest = next(iter(self.turned_away))
            self._end(oldest)
            del self.turned_away[oldest]
            self.turned_away[oldest] = None  # it counts for none until it has ended; the next one is another's turn
        self.turned_away[connection] = None

    def end_lingering(self) -> None:
        """The process ends: those that have had their answer are closed."""
        for connection in list(self.lingering):
            self._end(connection)

    def _end(self, connection: Held) -> None:
        self.waits_no_more(connection)
        connection.end()

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        now = monotonic()
        for connection in _due(self.silent, now - self.limits.idle_deadline_s):
            del self.silent[connection]
            if connection.silence_is_over():
                self.ended_late += 1
            else:
                self.silent[connection] = now
        for connection in _due(self.lingering, now - self.limits.linger_deadline_s):
            self.ended_late += 1
            self._end(connection)
        for connection in _due(self.heads, now - self.limits.head_deadline_s):
            self.ended_late += 1
            connection.headers_are_late()
        if self.held:
            loop.call_later(SWEEP_S, self._sweep, loop)
        else:
            self._sweeping = False


def _due(waiting: dict[Held, float], before: float) -> list[Held]:
    """Those that wait since `before` or longer; the others are not looked at."""
    found = []
    for connection, since in waiting.items():
        if since > before:
            break
        found.append(connection)
    return found


def _overloaded(why: str, reason: str) -> Overloaded:
    return Overloaded(f"{why} Connect again after {RETRY_AFTER_S} s.", reason=reason, headers=[("Retry-After", RETRY_AFTER_S)])

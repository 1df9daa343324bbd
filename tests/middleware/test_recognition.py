"""Calls with one credential that nobody knows yet are looked up once, and none of them waits for ever or fails for another one."""

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from gatehouse.call import Call
from gatehouse.errors import CredentialInvalid, IdentityUnavailable, TooManyFailures
from gatehouse.identity.proof import CredentialEnded
from gatehouse.middleware import recognition
from gatehouse.middleware.recognition import Recognition
from gatehouse.principal import Plan, Principal, Rate, Verified

CALLERS = 40
KEY = "gate_key"


class Memory:
    """What identity remembers, without its clock."""

    generation = 0

    def __init__(self) -> None:
        self.known: dict[str, Principal] = {}
        self.ended: set[str] = set()

    def recall(self, text: str, _address: str) -> Principal | None:
        if text in self.ended:
            raise CredentialEnded(PRINCIPAL, reason="key_revoked")
        return self.known.get(text)

    def remember(self, text: str, verified: Verified, _generation: int) -> None:
        self.known[text] = verified.principal

    def remember_ended(self, text: str, _ended: CredentialEnded, _generation: int) -> None:
        self.ended.add(text)


class Failures:
    """Lets `most` of them be."""

    def __init__(self, most: int) -> None:
        self.left = most

    def check(self, _address: str) -> None:
        if self.left <= 0:
            raise TooManyFailures()

    def fail(self, address: str) -> None:
        self.check(address)
        self.left -= 1


WIDE = Plan("wide", Rate(1, 1, 1), Rate(1, 1, 1), 1, "soft", 1, 1)
PRINCIPAL = Principal("ten_1", "acme", "key_1", frozenset(), WIDE)


class LookUps:
    """Of a database that answers when it is told to."""

    def __init__(self, answer: Verified | Exception) -> None:
        self.answer = answer
        self.count = 0
        self.goes_on = threading.Event()

    def prove(self, _text: str, _address: str) -> Verified:
        self.count += 1
        self.goes_on.wait(20)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def recognised(ups: LookUps, failures: int = CALLERS, most_cancelled: int = 0) -> list[Any]:
    """What became of many calls with one key at one moment; the first ones' callers go at once."""

    async def scenario() -> list[Any]:
        with ThreadPoolExecutor(4) as threads:
            by = Recognition(Memory(), ups.prove, Failures(failures), threads)
            tasks = [asyncio.ensure_future(by.look_up(Call(f"req_{n}", 0, credential=KEY))) for n in range(CALLERS)]
            await asyncio.sleep(0)
            for task in tasks[:most_cancelled]:
                task.cancel()
            await asyncio.sleep(0)
            ups.goes_on.set()
            found = await asyncio.gather(*tasks, return_exceptions=True)
            assert not by._under_way
            return found

    return in_loop(scenario())


def in_loop(scenario: Coroutine[Any, Any, list[Any]]) -> list[Any]:
    return asyncio.run(asyncio.wait_for(scenario, 20))


def test_many_calls_with_one_key_are_one_look_up() -> None:
    ups = LookUps(Verified(PRINCIPAL, float("inf")))
    assert recognised(ups) == [PRINCIPAL] * CALLERS
    assert ups.count == 1


def test_many_calls_with_a_key_that_has_ended_are_one_look_up_and_each_but_the_first_counts_by_itself() -> None:
    ups = LookUps(CredentialEnded(PRINCIPAL, reason="key_revoked"))
    found = recognised(ups, failures=10)  # the first one is counted by who looks it up
    assert [type(each) for each in found[:11]] == [CredentialEnded] * 11
    assert [type(each) for each in found[11:]] == [TooManyFailures] * (CALLERS - 11)
    assert len({id(each) for each in found}) == CALLERS, "no two calls share a refusal"
    assert ups.count == 1


def test_what_is_not_remembered_is_looked_up_for_each() -> None:
    ups = LookUps(CredentialInvalid(reason="secret_wrong"))
    assert [type(each) for each in recognised(ups)] == [CredentialInvalid] * CALLERS
    assert ups.count == CALLERS


@pytest.mark.parametrize("gone", [1, CALLERS // 2])
def test_where_the_first_caller_goes_the_others_are_recognised(gone: int) -> None:
    ups = LookUps(Verified(PRINCIPAL, float("inf")))
    found = recognised(ups, most_cancelled=gone)
    assert [type(each) for each in found[:gone]] == [asyncio.CancelledError] * gone
    assert found[gone:] == [PRINCIPAL] * (CALLERS - gone)


def test_a_database_that_hangs_is_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recognition, "LOOK_UP_DEADLINE_S", 0.05)
    ups = LookUps(Verified(PRINCIPAL, float("inf")))
    ups.goes_on.wait = lambda _s: threading.Event().wait(0.2)  # type: ignore[assignment,method-assign]
    found = recognised(ups)
    assert [(type(each), each.reason) for each in found] == [(IdentityUnavailable, "identity_database_hangs")] * CALLERS
    assert ups.count == 1

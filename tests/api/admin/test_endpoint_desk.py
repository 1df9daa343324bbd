"""Proofs for calls of `/admin`: one at a time in a process, each with an end."""

from typing import Any

import pytest

from gatehouse.api.admin.endpoint_desk import LONGEST_PROOF_S, Desks
from gatehouse.errors import Overloaded, Refused


def desks(clock: Any) -> Desks:
    parts: Any = None  # no call is made
    return Desks(parts, clock, turn_wait_s=0)


def test_a_proof_ends_with_its_time_and_lets_the_next_one_begin() -> None:
    now = [0.0]
    made = desks(lambda: now[0])
    with made.proving() as pause:
        pause()
        now[0] = LONGEST_PROOF_S
        pause()
        now[0] += 0.001
        with pytest.raises(Refused, match="the proof took longer than the 20 s of a call"):
            pause()
    with made.proving() as pause:
        pause()


def test_of_two_proofs_at_once_one_is_to_come_again() -> None:
    made = desks(lambda: 0.0)
    with made.proving():
        with pytest.raises(Overloaded) as refused, made.proving():
            pass
        assert refused.value.headers == (("Retry-After", "5"),)

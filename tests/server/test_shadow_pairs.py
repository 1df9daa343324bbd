"""How long a version that fails is left alone."""

import pytest

from gatehouse.server.shadow_pairs import LONGEST_PAUSE_S, Pairs
from gatehouse.server.shadow_wire import Pair

PAIR = Pair("iris", "v1", "1.2.0", "v2", "2.0.3")


def test_each_failure_in_a_row_makes_the_pause_longer_and_a_success_ends_it(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    pairs = Pairs(lambda: now)
    pauses = []
    for _ in range(9):
        pairs.note_ready(PAIR)
        pairs.note_failed(PAIR, "it is\nbroken")
        assert (pairs.ready(PAIR), pairs.paused(PAIR)) == (False, True)
        begun = now
        while pairs.paused(PAIR):
            now += 1.0
        pauses.append(now - begun)
    assert pauses == [5, 10, 20, 40, 80, 160, 300, 300, LONGEST_PAUSE_S]
    assert "it is?broken" in caplog.text
    pairs.note_scored(PAIR)
    pairs.note_failed(PAIR, "again")
    now += 5.0
    assert not pairs.paused(PAIR)


def test_what_is_not_wanted_any_more_is_forgotten() -> None:
    pairs = Pairs(lambda: 0.0)
    pairs.note_failed(PAIR, "broken")
    pairs.keep(set())
    assert not pairs.paused(PAIR)

"""Row 8 by the clock: how long a refusal takes does not tell whether there is a key of this id. Run by `make soak`."""

import gc
import random
import statistics
import time

import pytest
from stage import Live, Stage
from wire import Wire, head

from gatehouse.identity.api_keys import checksum, mint_key

CALLS = 10_000
HALVINGS = 200


def wrong_secret(key: str) -> str:
    body = key[:22] + mint_key(b"other").text[22:-6]
    return body + checksum(body)


def interleaved(live: Live, key: str) -> dict[str, list[int]]:
    """Nanoseconds of each call with a wrong secret and with an unknown id, in pairs of random order."""
    took: dict[str, list[int]] = {"wrong": [], "unknown": []}
    connection = Wire(live.port)
    for _ in range(CALLS // 2):
        pair = [("wrong", wrong_secret(key)), ("unknown", mint_key(b"other").text)]
        random.shuffle(pair)
        for kind, credential in pair:
            request = head("GET /account", f"Authorization: Bearer {credential}")
            begun = time.perf_counter_ns()
            connection.send(request)
            answer = connection.answer("GET")
            took[kind].append(time.perf_counter_ns() - begun)
            assert answer.status == 401
    connection.close()
    return took


def difference(left: list[int], right: list[int]) -> float:
    return abs(statistics.median(left) - statistics.median(right))


def largest_difference_of_halves(times: list[int]) -> float:
    """Of many ways to divide one case in two: in the order of the calls, and at random."""
    half = len(times) // 2
    shuffled, found = list(times), [difference(times[:half], times[half:])]
    for _ in range(HALVINGS):
        random.shuffle(shuffled)
        found.append(difference(shuffled[:half], shuffled[half:]))
    return max(found)


@pytest.mark.soak
def test_row_8_an_unknown_id_takes_as_long_as_a_wrong_secret(stage_on_each_database: Stage) -> None:
    key = stage_on_each_database.tenant("acme", "iris")
    with stage_on_each_database.serving(failed_credentials_per_minute="10000000") as live:
        interleaved(live, key)  # until everything is warm
        gc.disable()
        try:
            took = interleaved(live, key)
        finally:
            gc.enable()
    apart = difference(took["wrong"], took["unknown"])
    allowed = max(largest_difference_of_halves(times) for times in took.values())
    assert apart <= allowed, (apart, allowed, {kind: statistics.median(times) for kind, times in took.items()})

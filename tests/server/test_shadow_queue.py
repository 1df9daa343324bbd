"""Calls that wait for their shadow: bounded, in turns, and each dropped one is counted."""

import numpy as np
import pytest

from gatehouse.server.shadow_queue import BATCH_CALLS, BATCH_CELLS, BATCH_ROWS, Answered, ShadowCall, ShadowQueue, reckoned_bytes

IRIS, LINE = Answered("iris", "v1", "1.0.0"), Answered("line", "v1", "1.0.0")


def call(rows: int = 1, of: Answered = IRIS, bytes: int = 10, tenant: str = "t1") -> ShadowCall:
    return ShadowCall(of, tenant, 20_000, np.zeros((rows, 1)), np.zeros(rows), bytes)


@pytest.mark.parametrize(
    ("queue", "room", "too_many"),
    [
        (ShadowQueue(calls=2), [call(), call()], call()),
        (ShadowQueue(rows=10), [call(4), call(5)], call(2)),
        (ShadowQueue(bytes=100), [call(bytes=60)], call(bytes=41)),
    ],
)
def test_what_finds_no_room_is_dropped_and_counted_until_there_is_room(
    queue: ShadowQueue, room: list[ShadowCall], too_many: ShadowCall
) -> None:
    for each in room:
        queue.put(each)
    queue.put(too_many)
    queue.put(too_many)
    assert queue.calls == len(room)
    assert queue.take_dropped() == {(IRIS, "t1", 20_000): 2}
    batch = queue.next()
    queue.put(too_many)
    assert queue.take_dropped().total() == 1, "what is being scored still takes its room"
    queue.done(batch)
    queue.put(too_many)
    assert (queue.calls, queue.take_dropped()) == (1, {})


def test_versions_take_turns_and_a_batch_is_of_one() -> None:
    queue = ShadowQueue()
    for _ in range(BATCH_CALLS + 1):
        queue.put(call())
    queue.put(call(of=LINE))
    batches = [queue.next() for _ in range(4)]
    assert [(len(batch), {each.of for each in batch}) for batch in batches] == [
        (BATCH_CALLS, {IRIS}),
        (1, {LINE}),
        (1, {IRIS}),
        (0, set()),
    ]


def test_a_large_call_is_a_batch_of_its_own() -> None:
    queue = ShadowQueue()
    sizes = [1, BATCH_ROWS - 1, 5 * BATCH_ROWS, 1]
    for rows in sizes:
        queue.put(call(rows))
    assert [[len(each.values) for each in queue.next()] for _ in range(3)] == [sizes[:2], sizes[2:3], sizes[3:]]


def test_calls_of_many_columns_are_joined_in_fewer_rows() -> None:
    queue = ShadowQueue()
    wide = call()._replace(values=np.zeros((1, BATCH_CELLS // 3)))
    for _ in range(4):
        queue.put(wide)
    assert [len(queue.next()) for _ in range(2)] == [3, 1]


def test_cells_that_are_objects_are_reckoned_with_their_texts() -> None:
    numbers, scores = np.zeros((2, 3)), np.zeros((2, 2))
    assert reckoned_bytes(numbers, scores, 1_000_000) == 48 + 32
    assert reckoned_bytes(numbers.astype(object), scores, 1_000_000) > 1_000_000

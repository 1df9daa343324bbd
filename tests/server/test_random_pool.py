"""Random bytes of the system: each is given out once, in a process that forks too."""

import os

import pytest

from gatehouse.random_pool import FETCHED_BYTES, RandomPool


def test_each_byte_is_given_out_once_and_in_the_order_in_which_it_came(monkeypatch: pytest.MonkeyPatch) -> None:
    fetched = [bytes([number]) * FETCHED_BYTES for number in range(3)]
    monkeypatch.setattr(os, "urandom", lambda count: fetched.pop(0)[:count])
    pool = RandomPool()
    taken = [pool.take(FETCHED_BYTES // 2 + 1) for _ in range(3)]
    assert [set(each) for each in taken] == [{0}, {1}, {2}], "what is left over is thrown away, not put together"
    assert {len(each) for each in taken} == {FETCHED_BYTES // 2 + 1}


def test_parts_of_what_was_fetched_never_overlap(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = bytes(range(256)) * (FETCHED_BYTES // 256)
    monkeypatch.setattr(os, "urandom", lambda count: whole[:count])
    pool = RandomPool()
    assert b"".join(pool.take(12) for _ in range(20)) == whole[:240]


@pytest.mark.parametrize("count", [1, 7, 8, 74, 80])
def test_bits_are_as_many_as_were_asked_for_and_all_of_them_come_up(count: int) -> None:
    pool = RandomPool()
    numbers = [pool.bits(count) for _ in range(200)]
    assert all(0 <= number < 2**count for number in numbers)
    seen = 0
    for number in numbers:
        seen |= number
    assert seen == 2**count - 1


def test_a_forked_process_gives_out_none_of_its_parents_bytes() -> None:
    pool = RandomPool()
    pool.take(1)
    end, begin = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(begin, pool.take(32))
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(end, 32) != pool.take(32)
    os.close(end)
    os.close(begin)

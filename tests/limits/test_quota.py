"""Monthly quotas by blocks, on both databases."""

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert
from sqlmodel import Session, select

from gatehouse.db.session import GONE, Database, open_database
from gatehouse.db.tables import ProcessTable, QuotaBlockTable, QuotaTable, UsageEventTable, UsageSummaryTable
from gatehouse.errors import QuotaExhausted, QuotaUnavailable, RowsExceedLimit
from gatehouse.limits.holding import BLOCK_FENCE, BLOCK_LEASE, Taken
from gatehouse.limits.month import month_of
from gatehouse.limits.quota import RECALL_EVERY_S, RETRY_S, QuotaBook
from gatehouse.limits.store import QuotaStore
from gatehouse.principal import Plan

NOON = datetime(2026, 11, 15, 12, tzinfo=UTC)


class Clock:
    def __init__(self, now: datetime = NOON) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


class Outage:
    """A database that can be away."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.away = False

    @property
    def dialect(self) -> str:
        return self._database.dialect

    def read(self):
        return self._gone().read() if self.away else self._database.read()

    def write(self):
        return self._gone().write() if self.away else self._database.write()

    def _gone(self) -> Database:
        return open_database("sqlite:////nowhere/at/all.db")


def book(database: Database | Outage, process_id: str = "p1", processes: int = 1, now: Callable[[], datetime] | None = None) -> QuotaBook:
    return QuotaBook(QuotaStore(database), process_id, lambda: processes, now or Clock())  # type: ignore[arg-type]


def of_rows(plan: Plan, rows: int) -> Plan:
    return replace(plan, rows_per_month=rows)


def taken(database: Database, month: str = "2026-11") -> int:
    with database.read() as session:
        return session.exec(select(QuotaTable.taken).where(QuotaTable.tenant_id == "t", QuotaTable.month == month)).first() or 0


def blocks(database: Database) -> dict[str, int]:
    with database.read() as session:
        return {block.process_id: block.rows for block in session.exec(select(QuotaBlockTable))}


def meter(session: Session, rows: int, process_id: str = "p1", number: int = 1) -> None:
    columns = {
        "process_id": process_id,
        "tenant_id": "t",
        "key_id": "k",
        "month": "2026-11",
        "model": "m",
        "api_version": "v1",
        "status": 200,
    }
    counts = {"rows": rows, "latency_us": 1, "bytes_in": 1, "bytes_out": 1}
    at_us = int(NOON.timestamp()) * 1_000_000
    session.execute(insert(UsageEventTable).values(id=str(number), at_us=at_us, request_id="r", **columns, **counts))
    summary = {name: value for name, value in columns.items() if name not in {"process_id", "month"}}
    session.execute(insert(UsageSummaryTable).values(hour=at_us // 3_600_000_000 + number, calls=1, **summary, **counts))


def take(of: QuotaBook, plan: Plan, rows: int, others: Sequence[QuotaBook] = ()) -> Taken:
    """As the gate takes them; `others` answer meanwhile, as their processes would."""
    while True:
        taken = of.try_take("t", plan, rows) or of.take("t", plan, rows)
        if taken is not None:
            return taken
        for other in others:
            other.answer_recalls()


def take_all(of: QuotaBook, plan: Plan, rows: int = 1, others: Sequence[QuotaBook] = ()) -> int:
    answered = 0
    while True:
        try:
            answered += take(of, plan, rows, others).rows
        except QuotaExhausted:
            return answered


def test_memory_serves_after_the_first_block(database: Database, trial: Plan) -> None:
    mine = book(database)
    assert mine.try_take("t", trial, 1) is None
    assert take(mine, trial, 1) == Taken("t", "2026-11", 1, counted=True)
    assert taken(database) == blocks(database)["p1"] == 2500
    assert all(mine.try_take("t", trial, 1) for _ in range(2499))
    assert mine.try_take("t", trial, 1) is None


def test_a_call_larger_than_what_is_held_takes_the_difference(database: Database, trial: Plan) -> None:
    mine = book(database)
    take(mine, trial, 100)
    take(mine, trial, 6000)
    assert taken(database) == 6100
    assert mine.try_take("t", trial, 1) is None


@pytest.mark.parametrize("processes", [1, 3])
def test_a_block_is_at_most_a_share_of_what_is_left(database: Database, trial: Plan, processes: int) -> None:
    plan = of_rows(trial, 1000)
    mine = book(database, processes=processes)
    before = 0
    while before < 1000:
        take(mine, plan, 1)
        block = taken(database) - before
        assert block in (0, max(1, (1000 - before) // (4 * processes)))
        before += block


def test_a_quota_is_let_in_to_its_last_row_and_not_one_more(database: Database, trial: Plan) -> None:
    assert take_all(book(database), of_rows(trial, 137)) == 137
    assert taken(database) == 137


def test_concurrent_callers_of_several_processes_never_pass_the_quota(database: Database, trial: Plan) -> None:
    plan = of_rows(trial, 500)
    books = [book(database, process_id=f"p{number}", processes=3) for number in range(3)]
    answered: Counter[int] = Counter()

    def call(number: int) -> None:
        rows = number % 7 + 1
        mine = books[number % 3]
        try:
            took = take(mine, plan, rows, books)
        except QuotaExhausted:
            return
        if number % 5 == 0:
            mine.give_back(took)
        else:
            answered[number] = took.rows

    with ThreadPoolExecutor(12) as threads:
        list(threads.map(call, range(300)))
    total = answered.total()
    assert total <= 500
    assert total + take_all(books[0], plan, others=books) == 500


def test_processes_that_take_blocks_at_once_get_the_quota_and_no_more(database: Database) -> None:
    quotas = QuotaStore(database)

    def take(number: int) -> int:
        got = 0
        while True:
            block = quotas.take_block(f"p{number}", "t", "2026-11", limit=60, needed=1, shares=24, expires_at=NOON)
            if not block.rows:
                return got
            got += block.rows

    with ThreadPoolExecutor(6) as threads:
        assert sum(threads.map(take, range(6))) == 60
    assert taken(database) == sum(blocks(database).values()) == 60


def test_an_exhausted_quota_says_what_is_left_and_when_it_starts_anew(database: Database, trial: Plan) -> None:
    clock = Clock(datetime(2026, 12, 31, 23, 59, 30, 500_000, tzinfo=UTC))
    mine = book(database, now=clock)
    take(mine, of_rows(trial, 100), 90)
    with pytest.raises(QuotaExhausted) as caught:
        take(mine, of_rows(trial, 100), 11)
    assert caught.value.members == {
        "quota": {"name": "tenant-month", "scope": "tenant", "rows_per_month": 100, "rows_left": 10, "resets_at": "2027-01-01T00:00:00Z"}
    }
    assert caught.value.headers == (("Retry-After", "30"),)
    assert take(mine, of_rows(trial, 100), 10).rows == 10
    clock.now += timedelta(seconds=30)
    assert take(mine, of_rows(trial, 100), 11).month == "2027-01"


def test_a_call_larger_than_a_whole_month_is_422(database: Database, trial: Plan) -> None:
    with pytest.raises(RowsExceedLimit):
        take(book(database), of_rows(trial, 10), 11)


def test_row_60_rows_that_were_not_metered_can_be_taken_again(database: Database, trial: Plan) -> None:
    plan = of_rows(trial, 10)
    mine = book(database)
    mine.give_back(take(mine, plan, 10))
    assert take(mine, plan, 10).rows == 10


def test_a_soft_quota_never_asks_the_database(sqlite_database: Database, trial: Plan) -> None:
    outage = Outage(sqlite_database)
    outage.away = True
    mine = book(outage)
    took = mine.try_take("t", replace(trial, quota_mode="soft", rows_per_month=1), 500)
    assert took == Taken("t", "2026-11", 500, counted=False)
    mine.give_back(took)


def test_row_100_without_the_database_a_block_goes_on_and_a_spent_one_is_503(database: Database, trial: Plan) -> None:
    outage, clock = Outage(database), Clock()
    plan = of_rows(trial, 100)
    mine = book(outage, now=clock)
    take(mine, plan, 1)
    outage.away = True
    clock.now += timedelta(minutes=5)
    mine.return_idle()
    assert sum(mine.try_take("t", plan, 1) is not None for _ in range(30)) == 24
    with pytest.raises(QuotaUnavailable) as caught:
        take(mine, of_rows(trial, 100), 1)
    assert caught.value.headers == (("Retry-After", "1"),)
    with pytest.raises(QuotaUnavailable):
        mine.left("t", trial)
    outage.away = False
    assert take(mine, of_rows(trial, 100), 75).rows == 75


def test_rows_of_a_soft_quota_are_not_given_to_a_hard_one(database: Database, trial: Plan) -> None:
    mine = book(database)
    took = mine.try_take("t", replace(trial, quota_mode="soft"), 500)
    assert took is not None
    mine.give_back(took)
    assert take_all(mine, of_rows(trial, 10)) == 10


def test_rows_of_a_past_month_are_dropped(database: Database, trial: Plan) -> None:
    clock = Clock()
    mine = book(database, now=clock)
    took = take(mine, trial, 1)
    clock.now = datetime(2026, 12, 1, tzinfo=UTC)
    assert mine.try_take("t", trial, 1) is None
    mine.give_back(took)
    assert mine.try_take("t", trial, 1) is None
    assert take(mine, trial, 1).month == "2026-12"
    mine.give_back(took)
    assert sum(mine.try_take("t", trial, 1) is not None for _ in range(3000)) == 2499


def test_close_returns_what_was_not_used(database: Database, trial: Plan) -> None:
    mine = book(database)
    take(mine, trial, 3)
    mine.close()
    mine.close()
    assert taken(database) == blocks(database)["p1"] == 3


def test_an_old_block_goes_back_for_other_processes(database: Database, trial: Plan) -> None:
    clock = Clock()
    idle = book(database, now=clock)
    take(idle, of_rows(trial, 100), 1)
    idle.return_idle()
    assert taken(database) == 25
    clock.now += timedelta(minutes=1)
    idle.return_idle()
    assert taken(database) == 1
    assert take_all(book(database, process_id="p2"), of_rows(trial, 100), others=[idle]) == 99


def test_row_101_a_dead_process_leaves_what_it_metered_and_no_more(database: Database, trial: Plan) -> None:
    dead = book(database)
    take(dead, trial, 3)
    with database.write() as session:
        meter(session, 3)
    heir = book(database, process_id="p2")
    heir.settle("p1")
    heir.settle("p1")
    assert taken(database) == 3
    assert blocks(database) == {}


def test_rows_returned_after_settling_are_not_counted_twice(database: Database, trial: Plan) -> None:
    mine = book(database)
    take(mine, trial, 3)
    book(database, process_id="p2").settle("p1")
    mine.close()
    assert taken(database) == 0


def soft(plan: Plan) -> Plan:
    return replace(plan, quota_mode="soft")


def test_a_quota_that_becomes_hard_counts_what_all_processes_let_in_before(database: Database, trial: Plan) -> None:
    plan = of_rows(trial, 100)
    mine, other = book(database), book(database, process_id="p2")
    other.try_take("t", soft(plan), 20)
    other.count_soft()
    mine.try_take("t", soft(plan), 40)  # not counted yet
    assert take_all(mine, plan) == 40


def test_rows_of_a_soft_quota_are_counted_once_and_less_what_came_back(database: Database, trial: Plan) -> None:
    mine = book(database)
    for _ in range(2):
        took = mine.try_take("t", soft(trial), 30)
        assert took is not None
        mine.try_take("t", soft(trial), 7)
        mine.count_soft()
        mine.give_back(took)
        mine.count_soft()
        mine.count_soft()
    assert taken(database) == blocks(database)["p1"] == 14


def test_rows_of_a_soft_quota_are_counted_when_the_database_is_back(database: Database, trial: Plan) -> None:
    outage = Outage(database)
    mine = book(outage)
    mine.try_take("t", soft(trial), 30)
    outage.away = True
    with pytest.raises(GONE):
        mine.count_soft()
    mine.try_take("t", soft(trial), 7)
    outage.away = False
    mine.count_soft()
    assert taken(database) == 37


def test_rows_of_a_soft_quota_that_a_lost_process_had_no_time_to_count_are_counted_when_it_is_settled(
    database: Database, trial: Plan
) -> None:
    plan = of_rows(trial, 100)
    lost = book(database, process_id="lost")
    lost.try_take("t", soft(plan), 10)
    lost.count_soft()
    lost.try_take("t", soft(plan), 20)
    with database.write() as session:
        meter(session, 30, process_id="lost")
    heir = book(database)
    heir.settle("lost")
    assert taken(database) == 30
    assert take_all(heir, plan) == 70


def test_a_quota_that_is_hard_soft_and_hard_again_counts_each_row_once(database: Database, trial: Plan) -> None:
    plan = of_rows(trial, 100)
    mine = book(database)
    before = take(mine, plan, 25)
    assert mine.try_take("t", soft(plan), 30)
    mine.give_back(before)
    mine.count_soft()
    assert take_all(mine, plan) == 70


def test_what_a_soft_quota_let_in_is_not_free_for_others_to_recall(database: Database, trial: Plan) -> None:
    plan = of_rows(trial, 100)
    other, mine = book(database, process_id="other"), book(database)
    other.try_take("t", soft(plan), 60)
    other.count_soft()
    assert take_all(mine, plan, others=[other]) == 40


def test_left_is_the_quota_less_what_is_metered(database: Database, trial: Plan) -> None:
    mine = book(database)
    take(mine, trial, 60)
    with database.write() as session:
        meter(session, 60)
    assert mine.left("t", trial) == 9940
    assert mine.left("t", of_rows(trial, 50)) == 0
    assert mine.left("t", trial, month_of(datetime(2026, 10, 1, tzinfo=UTC))) == 10_000


@pytest.mark.parametrize(
    ("moment", "name", "end"),
    [
        (datetime(2026, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC), "2026-12", datetime(2027, 1, 1, tzinfo=UTC)),
        (datetime(2028, 2, 29, tzinfo=UTC), "2028-02", datetime(2028, 3, 1, tzinfo=UTC)),
        (datetime.fromisoformat("2026-12-01T00:30:00+02:00"), "2026-11", datetime(2026, 12, 1, tzinfo=UTC)),
    ],
)
def test_months_turn_in_utc(moment: datetime, name: str, end: datetime) -> None:
    month = month_of(moment)
    assert (month.name, month.end) == (name, end)
    assert month.holds(moment)
    assert not month.holds(end)


class Seconds:
    """A monotonic clock; it goes on a little with each look at it, or nothing that waits would ever end."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 0.0001
        return self.now


def pass_time(clock: Clock, seconds: Seconds, by: timedelta) -> None:
    clock.now += by
    seconds.now += by.total_seconds()


def seen(database: Database, process_id: str, at: datetime) -> None:
    with database.write() as session:
        session.merge(ProcessTable(id=process_id, host="h", pid=1, started_at=at, last_seen_at=at, revision_seen=0))


def test_what_other_processes_hold_and_do_not_need_is_let_in_before_a_call_is_refused(database: Database, trial: Plan) -> None:
    plan = of_rows(trial, 100)
    idle = [book(database, process_id=f"idle{number}") for number in range(2)]
    for other in idle:
        take(other, plan, 1)
    mine = book(database)
    take(mine, plan, 57)
    assert mine.take("t", plan, 40) is None  # there are 1 + 24 + 18 rows, the most of them with the others
    assert take(mine, plan, 40, others=idle).rows == 40
    assert take_all(mine, plan, others=idle) == 1
    assert [sum(of.try_take("t", plan, 1) is not None for _ in range(9)) for of in idle] == [0, 0]


def test_processes_that_do_not_answer_are_waited_for_once_in_a_while_and_not_long(database: Database, trial: Plan) -> None:
    plan, clock, seconds = of_rows(trial, 4), Clock(), Seconds()
    take(book(database, process_id="stuck"), plan, 1)
    mine = QuotaBook(QuotaStore(database), "p1", lambda: 1, clock, seconds)
    take(mine, plan, 3)
    waited = []
    for _ in range(90):
        try:
            waited.append(mine.take("t", plan, 1) is None)
        except QuotaExhausted:
            waited.append(False)
        pass_time(clock, seconds, timedelta(seconds=0.1))
    assert waited[:10] == [True] * 10
    assert waited[11:59] == [False] * 48
    assert sum(waited[60:]) in range(9, 12)


def test_rows_given_back_after_a_recall_was_answered_are_not_lost(database: Database, trial: Plan) -> None:
    plan, clock, seconds = of_rows(trial, 100), Clock(), Seconds()
    other = book(database, process_id="other")
    mine = QuotaBook(QuotaStore(database), "p1", lambda: 1, clock, seconds)
    under_way = take(other, plan, 25)
    assert take_all(mine, plan, others=[other]) == 75
    other.give_back(under_way)
    pass_time(clock, seconds, timedelta(seconds=RECALL_EVERY_S + 2))
    assert take_all(mine, plan, others=[other]) == 25


def test_rows_held_since_before_the_fence_are_exchanged_for_others(database: Database, trial: Plan) -> None:
    plan, clock, seconds = of_rows(trial, 100), Clock(), Seconds()
    mine = QuotaBook(QuotaStore(database), "p1", lambda: 1, clock, seconds)
    take(mine, plan, 1)
    pass_time(clock, seconds, BLOCK_FENCE)
    assert mine.try_take("t", plan, 1) is None
    assert take(mine, plan, 1).rows == 1
    assert mine.try_take("t", plan, 1) is not None


@pytest.mark.parametrize("set_back", [timedelta(0), timedelta(days=2)])
def test_no_clock_that_is_set_back_moves_the_fence(database: Database, trial: Plan, set_back: timedelta) -> None:
    plan, clock, seconds, outage = of_rows(trial, 100), Clock(), Seconds(), Outage(database)
    mine = QuotaBook(QuotaStore(outage), "p1", lambda: 1, clock, seconds)  # type: ignore[arg-type]
    take(mine, plan, 1)
    outage.away = True
    clock.now -= set_back
    seconds.now += BLOCK_FENCE.total_seconds() - 1
    assert take(mine, plan, 1).rows == 1
    seconds.now += 1
    with pytest.raises(QuotaUnavailable):
        take(mine, plan, 1)


def test_blocks_of_a_lost_process_are_free_again_when_they_have_expired(database: Database, trial: Plan) -> None:
    plan, clock = of_rows(trial, 100), Clock()
    lost = book(database, process_id="lost", now=clock)
    take(lost, plan, 3)
    with database.write() as session:
        meter(session, 3, process_id="lost")
    heir = book(database, now=clock)
    clock.now += BLOCK_LEASE - timedelta(seconds=1)
    heir.settle_expired()
    assert blocks(database) == {"lost": 25}
    clock.now += timedelta(seconds=1)
    heir.settle_expired()
    heir.settle_expired()
    assert blocks(database) == {"lost": 3}
    assert take_all(heir, plan) == 97


def test_blocks_of_a_process_that_is_seen_do_not_expire(database: Database, trial: Plan) -> None:
    plan, clock = of_rows(trial, 100), Clock()
    take(book(database, process_id="alive", now=clock), plan, 3)
    clock.now += BLOCK_LEASE
    seen(database, "alive", clock.now - timedelta(seconds=14))
    heir = book(database, now=clock)
    heir.settle_expired()
    assert blocks(database) == {"alive": 25}
    clock.now += timedelta(seconds=2)
    heir.settle_expired()
    assert blocks(database) == {"alive": 0}


def test_what_a_lost_process_had_answered_counts_when_its_spool_is_found_late(database: Database, trial: Plan) -> None:
    plan, clock = of_rows(trial, 100), Clock()
    take(book(database, process_id="lost", now=clock), plan, 20)
    clock.now += BLOCK_LEASE
    heir = book(database, now=clock)
    heir.settle_expired()
    assert taken(database) == 0
    with database.write() as session:
        meter(session, 20, process_id="lost")
    heir.settle("lost")
    assert taken(database) == 20
    assert take_all(heir, plan) == 80


def test_expired_blocks_of_past_months_go(database: Database, trial: Plan) -> None:
    clock = Clock()
    take(book(database, process_id="lost", now=clock), trial, 20)
    clock.now = datetime(2026, 12, 1, tzinfo=UTC)
    book(database, now=clock).settle_expired()
    assert blocks(database) == {}


def test_a_block_that_expired_does_not_take_back_what_comes_late(database: Database, trial: Plan) -> None:
    """Or the same rows would be free twice: settled, and given back."""
    plan, clock = of_rows(trial, 100), Clock()
    slow = book(database, process_id="slow", now=clock)
    take(slow, plan, 20)
    with database.write() as session:
        meter(session, 20, process_id="slow")
    clock.now += BLOCK_LEASE
    heir = book(database, now=clock)
    heir.settle_expired()
    slow.close()
    assert taken(database) == 20
    assert take_all(heir, plan) == 80


@pytest.mark.parametrize(("later", "left"), [(60, 40), (20, 0), (10, 0), (200, 180)])
def test_a_quota_edited_in_mid_month_holds_for_all_of_the_month(database: Database, trial: Plan, later: int, left: int) -> None:
    """20 rows of 100 are used when it changes; what blocks hold of the old one is not spent under the new one."""
    processes = [book(database, process_id=f"p{number}") for number in range(2)]
    for mine in processes:
        take(mine, of_rows(trial, 100), 10)
    assert sum(blocks(database).values()) == 43
    plan = of_rows(trial, later)
    assert sum(take_all(mine, plan, others=processes) for mine in processes) == left
    assert taken(database) == 20 + left


def test_nobody_waits_for_a_process_whose_block_has_expired(database: Database, trial: Plan) -> None:
    plan, clock = of_rows(trial, 4), Clock()
    take(book(database, process_id="lost", now=clock), plan, 1)
    mine = book(database, now=clock)
    take(mine, plan, 3)
    clock.now += BLOCK_LEASE
    with pytest.raises(QuotaExhausted):
        mine.take("t", plan, 1)


def test_a_quota_that_changes_while_calls_are_in_flight_is_never_passed(database: Database, trial: Plan) -> None:
    plans = [of_rows(trial, rows) for rows in (400, 300, 500, 350)]
    processes = [book(database, process_id=f"p{number}", processes=3) for number in range(3)]
    answered: Counter[int] = Counter()

    def call(number: int) -> None:
        try:
            took = take(processes[number % 3], plans[number // 100], number % 5 + 1, processes)
        except QuotaExhausted:
            return
        if number % 7 == 0:
            processes[number % 3].give_back(took)
        else:
            answered[number // 100] += took.rows

    with ThreadPoolExecutor(9) as threads:
        list(threads.map(call, range(400)))
    total = answered.total()
    assert total <= 500
    assert answered[0] > 0
    smallest = of_rows(trial, 350)
    assert total + sum(take_all(mine, smallest, others=processes) for mine in processes) == max(350, total)


def test_a_process_that_stands_still_with_a_quota_in_its_hands_holds_up_that_tenant_alone(postgresql_url: str, trial: Plan) -> None:
    database, plan, seconds = open_database(postgresql_url), of_rows(trial, 40), [0.0]
    mine = QuotaBook(QuotaStore(database), "p1", lambda: 1, Clock(), lambda: seconds[0])
    take(mine, plan, 1)
    with database.write() as still:
        still.exec(select(QuotaTable).with_for_update()).all()
        for _ in range(20):  # but for the first they do not wait for it again
            with pytest.raises(QuotaUnavailable):
                mine.take("t", plan, 30)
        assert mine.take("another", plan, 30).rows == 30
    seconds[0] += RETRY_S
    assert mine.take("t", plan, 30).rows == 30
    database.close()

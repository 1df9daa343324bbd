"""Who has just been let in does not stand behind a crowd of others that call at the same moment."""

import asyncio
import json
import logging
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from stage import IRIS_ROW, WIDE, Live, Stage, instances, wait_until
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from wire import Wire, head, post, wire

from gatehouse.call import Call
from gatehouse.middleware.refusal_pace import RefusalPace
from gatehouse.principal import Rate
from gatehouse.server.connection import Connection
from gatehouse.server.starts import MOST_STARTS, Starts

GOOD = json.dumps(instances(IRIS_ROW)).encode()
CROWD = 16 * MOST_STARTS
LATE = "req-of-the-late-one"


@contextmanager
def standing_still(live: Live) -> Iterator[None]:
    """All that is sent meanwhile has come when the event loop goes on."""
    held, goes_on = threading.Event(), threading.Event()

    def hold() -> None:
        held.set()
        goes_on.wait(20)

    next(iter(live.server.server_state.connections)).loop.call_soon_threadsafe(hold)  # type: ignore[union-attr]
    assert held.wait(20)
    try:
        yield
    finally:
        goes_on.set()


class Calls(logging.Handler):
    """Answered predictions."""

    def __init__(self) -> None:
        super().__init__()
        self.ended: list[Call] = []

    def emit(self, record: logging.LogRecord) -> None:
        call = getattr(record, "call", None)
        if isinstance(call, Call) and call.route is not None and call.status == 200:
            self.ended.append(call)

    def begun(self) -> list[str]:
        """Their request ids, in the order in which they began."""
        return [call.request_id for call in sorted(self.ended, key=lambda call: call.started_ns)]


@pytest.fixture
def calls() -> Iterator[Calls]:
    handler, logger = Calls(), logging.getLogger("gatehouse.calls")
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(before)


def begun_before(live: Live, calls: Calls, connection: Wire, key: str) -> int:
    """How many of a crowd's calls begin before a call of this connection that comes last."""
    with ExitStack() as stack:
        crowd = [stack.enter_context(wire(live.port)) for _ in range(CROWD)]
        for each in crowd:
            assert each.send(head("GET /health/live")).answer("GET").status == 200  # from here on it is listened to
        calls.ended.clear()
        with standing_still(live):
            for each in crowd:
                each.send(post(key, GOOD))
            connection.send(post(key, GOOD, f"X-Request-Id: {LATE}"))
        assert connection.answer().status == 200
        assert [each.answer().status for each in crowd] == [200] * CROWD
    wait_until(lambda: len(calls.ended) == CROWD + 1)
    return calls.begun().index(LATE)


@contextmanager
def serving(stage: Stage) -> Iterator[Live]:
    many = str(2 * CROWD)
    own = {"max_connections_per_address": many, "max_calls_at_once": many, "max_calls_at_once_per_tenant": many}
    with stage.serving(**own, log_answers_per_s="1000000") as running:
        running.client.close()
        yield running


@pytest.fixture
def live(stage: Stage) -> Iterator[Live]:
    with serving(stage) as running:
        yield running


@pytest.mark.endpoints("iris v1")
def test_a_call_of_who_was_let_in_before_begins_before_the_rest_of_a_crowd(live: Live, calls: Calls) -> None:
    key = live.stage.tenant("acme", "iris")
    with wire(live.port) as connection:
        assert connection.send(post(key, GOOD)).answer().status == 200
        assert begun_before(live, calls, connection, key) <= MOST_STARTS
        assert connection.send(post(key, b'{"instances": 7}')).answer().status == 422  # who is known and within limits may be wrong
        assert begun_before(live, calls, connection, key) <= MOST_STARTS


TOKEN = b"grant_type=client_credentials&client_id=nobody&client_secret=wrong"
FORM = ("Content-Type: application/x-www-form-urlencoded", f"Content-Length: {len(TOKEN)}")
WITHOUT_PROOF = {
    "nothing yet": None,
    "no credential": post(None, GOOD),
    "a wrong key": post("gate_wrong", GOOD),
    "a public path": head("POST /health/live", "Content-Length: 0"),
    "a token that is refused": head("POST /oauth/token", *FORM) + TOKEN,
}


@pytest.mark.endpoints("iris v1")
@pytest.mark.parametrize("sent", WITHOUT_PROOF.values(), ids=WITHOUT_PROOF.keys())
def test_who_was_not_let_in_waits_with_the_others(live: Live, calls: Calls, sent: bytes | None) -> None:
    key = live.stage.tenant("acme", "iris")
    with wire(live.port) as connection:
        if sent:
            assert connection.send(sent).answer().status in (400, 401, 404, 405)
        assert begun_before(live, calls, connection, key) == CROWD


@pytest.mark.endpoints("iris v1")
def test_a_limit_that_is_found_later_makes_a_caller_one_of_the_others(live: Live, calls: Calls) -> None:
    plan = live.stage.plan(replace(WIDE, name="few", rows=Rate(1, 86_400, 2), rows_per_call=2))
    few = live.stage.tenant("few", "iris", plan=plan)
    with wire(live.port) as connection:
        rows = json.dumps(instances(IRIS_ROW, IRIS_ROW)).encode()
        assert [connection.send(post(few, rows)).answer().status for _ in range(2)] == [200, 429]
        assert begun_before(live, calls, connection, live.stage.tenant("acme", "iris")) == CROWD


@pytest.mark.endpoints("iris v1")
def test_calls_that_are_sent_behind_others_wait_as_well(live: Live, calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    key = live.stage.tenant("acme", "iris")
    turns: list[int] = []
    begin_turn, start = Starts._next_turn, Connection._start_asgi_task
    monkeypatch.setattr(Starts, "_next_turn", lambda *given: (turns.append(0), begin_turn(*given)))

    def counted(*given: Any) -> None:
        turns[-1] += 1
        start(*given)

    turns.append(0)
    monkeypatch.setattr(Connection, "_start_asgi_task", counted)
    wrong = post(key, GOOD).replace(b"application/json", b"text/csv")
    with ExitStack() as stack:
        crowd = [stack.enter_context(wire(live.port)) for _ in range(CROWD)]
        for each in crowd:
            assert each.send(wrong).answer().status == 415
        with standing_still(live):
            for each in crowd:
                each.send(wrong * 4)
        for each in crowd:
            assert [each.answer().status for _ in range(4)] == [415] * 4
    assert sum(turns) == 5 * CROWD
    assert max(turns) <= MOST_STARTS


@pytest.mark.endpoints("iris v1")
def test_what_others_have_sent_is_read_in_their_turn(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    turns = [0]
    begin_turn, read = Starts._next_turn, Connection._read
    monkeypatch.setattr(Starts, "_next_turn", lambda *given: (turns.append(0), begin_turn(*given)))

    def counted(*given: Any) -> None:
        turns[-1] += 1
        read(*given)

    monkeypatch.setattr(Connection, "_read", counted)
    with ExitStack() as stack:
        crowd = [stack.enter_context(wire(live.port)) for _ in range(CROWD)]
        wait_until(lambda: live.app.connections.held >= CROWD)
        parts = [b"GET /health/live HTTP/1.1\r\nHost: ", b"a.example\r\n", b"\r\n"]  # a head that comes in parts pays for each
        for part in parts:
            with standing_still(live):
                for each in crowd:
                    each.send(part)
            wait_until(lambda part=part: sum(turns) == CROWD * (parts.index(part) + 1))
        assert [each.answer("GET").status for each in crowd] == [200] * CROWD
    assert max(turns) <= MOST_STARTS


@pytest.mark.endpoints("iris v1")
def test_what_comes_while_the_first_bytes_wait_is_read_behind_them(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    key, begin_turn = live.stage.tenant("acme", "iris"), Starts._next_turn
    held: list[tuple[Starts, asyncio.AbstractEventLoop]] = []
    monkeypatch.setattr(Starts, "_next_turn", lambda *given: held.append(given))  # the one turn does not end
    with ExitStack() as stack:
        others = [stack.enter_context(wire(live.port)) for _ in range(MOST_STARTS)]
        for each in others:
            each.send(head("GET /health/live")).answer("GET")
        late, sent = stack.enter_context(wire(live.port)), post(key, GOOD + b" " * 8 * HIGH_WATER_LIMIT)
        late.send(sent[:9])
        connection = unread(live)
        late.send(sent[9:40])
        wait_until(lambda: connection._unread == sent[:40])
        assert not connection.is_idle(), "no room is made by closing it"
        assert not connection.silence_is_over()
        late.send(sent[40:])
        wait_until(lambda: connection.flow.read_paused)
        assert len(connection._unread) < len(sent), "so much may wait unread"
        monkeypatch.setattr(Starts, "_next_turn", begin_turn)
        starts, loop = held.pop()
        loop.call_soon_threadsafe(begin_turn, starts, loop)
        assert late.answer().status == 200


def unread(live: Live) -> Connection:
    """The one connection of which something waits to be read."""
    found: list[Any] = []
    wait_until(lambda: found.extend(each for each in list(live.server.server_state.connections) if each._unread) or found)  # type: ignore[attr-defined,func-returns-value]
    [connection] = found
    return connection  # type: ignore[no-any-return]


@pytest.mark.endpoints("iris v1")
def test_a_connection_goes_on_until_it_is_asked_to_end(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    taken, read = [0], Connection._read
    with wire(live.port) as line:
        assert line.send(head("GET /health/live")).answer("GET").status == 200
        monkeypatch.setattr(Connection, "_read", lambda *given: (read(*given), taken.append(1)))
        live.app.connections.draining = True  # that the end is near is announced
        line.send(b"\r\n")  # which begins no request
        wait_until(lambda: len(taken) == 2)
        assert line.send(head("GET /health/live")).answer("GET").status == 200


@pytest.mark.endpoints("iris v1")
def test_what_was_sent_by_who_has_gone_is_not_read(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    key, begin_turn, read = live.stage.tenant("acme", "iris"), Starts._next_turn, Connection._read
    held: list[tuple[Starts, asyncio.AbstractEventLoop]] = []
    monkeypatch.setattr(Starts, "_next_turn", lambda *given: held.append(given))  # the one turn does not end
    with ExitStack() as stack:
        others = [stack.enter_context(wire(live.port)) for _ in range(MOST_STARTS)]
        for each in others:
            each.send(head("GET /health/live")).answer("GET")
        with wire(live.port) as gone:
            gone.send(post(key, GOOD))
            connection = unread(live)
        wait_until(lambda: connection._lost)
        assert connection._unread == b"", "nothing of it is kept"
        readers: list[Connection] = []
        monkeypatch.setattr(Connection, "_read", lambda *given: (readers.append(given[0]), read(*given)))
        late = stack.enter_context(wire(live.port)).send(head("GET /health/live"))
        wait_until(lambda: len(held[0][0]._waiting) == 2)
        starts, loop = held.pop()
        loop.call_soon_threadsafe(begin_turn, starts, loop)
        assert late.answer("GET").status == 200
    assert len(readers) == 1
    assert connection not in readers


@pytest.mark.endpoints("iris v1")
def test_a_server_that_ends_answers_what_has_come_and_waits(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    key, begin_turn = live.stage.tenant("acme", "iris"), Starts._next_turn
    waited: list[int] = []

    def ends(starts: Starts, loop: asyncio.AbstractEventLoop) -> None:
        if not live.app.connections.draining and starts._waiting:
            live.app.connections.draining = True
            waited.append(len(starts._waiting))
            for each in list(live.server.server_state.connections):
                each.shutdown()
        begin_turn(starts, loop)

    with ExitStack() as stack:
        crowd = [stack.enter_context(wire(live.port)) for _ in range(CROWD)]
        for each in crowd:
            assert each.send(head("GET /health/live")).answer("GET").status == 200
        nothing = stack.enter_context(wire(live.port)).send(head("GET /health/live"))
        assert nothing.answer("GET").status == 200
        monkeypatch.setattr(Starts, "_next_turn", ends)
        with standing_still(live):
            for each in crowd:
                each.send(post(key, GOOD))
            nothing.send(b"\r\n")  # which begins no request
        answers = [each.answer() for each in crowd]
        assert [(each.status, each.header("connection")) for each in answers] == [(200, "close")] * CROWD
        assert nothing.closed()
    assert waited[0] >= CROWD - 2 * MOST_STARTS


@pytest.mark.endpoints("iris v1")
def test_refusals_of_callers_that_have_gone_before_they_began_wait_for_no_turn(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RefusalPace.__init__, "__defaults__", (60.0,))  # a turn that no test waits for
    with serving(stage) as live, wire(live.port) as connection:
        crowd = [Wire(live.port) for _ in range(CROWD)]
        for each in (connection, *crowd):
            assert each.send(head("GET /health/live")).answer("GET").status == 200
        with standing_still(live):
            for each in crowd:
                each.send(post(None, GOOD))
                each.reset()
        wait_until(lambda: live.app.connections.held == 1 and not live.server.server_state.tasks)


@pytest.mark.endpoints("iris v1")
def test_callers_that_go_while_they_wait_leave_nothing(live: Live) -> None:
    key = live.stage.tenant("acme", "iris")
    with wire(live.port) as connection:
        crowd = [Wire(live.port) for _ in range(CROWD)]
        wait_until(lambda: live.app.connections.held == CROWD + 1)
        with standing_still(live):
            for each in crowd:
                each.send(post(key, GOOD))
                each.reset()
        wait_until(lambda: live.app.connections.held == 1 and not live.server.server_state.tasks)
        assert live.app.limits.concurrency.all_inside == 0
        assert connection.send(post(key, GOOD)).answer().status == 200


def test_a_start_that_fails_takes_no_turn_from_the_others() -> None:
    begun: list[int] = []
    told: list[dict[str, Any]] = []

    async def crowd() -> None:
        loop, starts = asyncio.get_running_loop(), Starts()
        loop.set_exception_handler(lambda _loop, about: told.append(about))

        def start(number: int) -> None:
            begun.append(number)
            if number == MOST_STARTS:
                raise RuntimeError("this one fails")

        for number in range(3 * MOST_STARTS):
            starts.begin(partial(start, number), loop)
        while len(begun) < 3 * MOST_STARTS:
            turn = len(begun)
            await asyncio.sleep(0)
            assert len(begun) > turn

    asyncio.run(crowd())
    assert begun == list(range(3 * MOST_STARTS))
    assert [str(each["exception"]) for each in told] == ["this one fails"]

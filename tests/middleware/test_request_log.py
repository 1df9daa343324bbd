"""The log: one line a call, for people and for programs, with nothing of what was sent."""

import io
import json
import logging
import re
import sys
import time

import pytest
from starlette.types import Receive, Send
from starlette.types import Scope as AsgiScope

from gatehouse.call import Call
from gatehouse.identity.api_keys import mint_key
from gatehouse.middleware.log_pace import LogPace
from gatehouse.middleware.request_log import (
    LOGGER,
    MAX_LOGGED_PATH,
    JsonLines,
    Lines,
    ReadableLines,
    RequestLog,
    begin_call,
    configure_logging,
    facts,
)
from gatehouse.principal import Plan, Principal, Rate, Scope

PLAN = Plan("p", Rate(1, 1, 1), Rate(1, 1, 1), 1, "soft", 1, 1)
PRINCIPAL = Principal("ten_1", "acme", "Key1", frozenset({Scope.ACCOUNT_READ}), PLAN)


def record(call: Call | None = None, message: str = "call") -> logging.LogRecord:
    made = logging.LogRecord("gatehouse.calls", logging.INFO, __file__, 1, message, None, None)
    if call is not None:
        made.call = call
    return made


def answered() -> Call:
    call = Call(request_id="req_1", started_ns=0, address="::1", method="POST", path="/v1/predict", principal=PRINCIPAL)
    call.status, call.model, call.model_version, call.rows = 200, "iris", "1.0.0", 3
    return call


def test_row_98_a_line_says_who_what_outcome_and_request_id() -> None:
    entry = json.loads(JsonLines().format(record(answered())))
    expected = {"tenant": "acme", "key": "Key1", "method": "POST", "path": "/v1/predict", "status": 200, "request_id": "req_1", "rows": 3}
    assert expected.items() <= entry.items()
    assert {"at", "ms", "level", "model", "model_version"} <= set(entry)
    line = ReadableLines().format(record(answered()))
    for word in ("200", "POST", "/v1/predict", "acme/Key1", "iris@1.0.0", "rows=3", "req_1"):
        assert word in line


@pytest.mark.parametrize("odd", ["\r\n", "\n", "\x1b[31m", "\u2028", "\x85", "\x00", "\ud800"])
@pytest.mark.parametrize("style", [JsonLines, ReadableLines])
def test_row_77_no_path_begins_a_line_of_its_own(style: type[logging.Formatter], odd: str) -> None:
    call = answered()
    call.path = f"/a{odd}200 GET /forged"
    line = style().format(record(call))
    assert line.isprintable()
    assert len(line.splitlines()) == 1


@pytest.mark.parametrize("style", [JsonLines, ReadableLines])
def test_row_77_nor_does_the_message_of_a_library(style: type[logging.Formatter]) -> None:
    line = style().format(record(message="odd\r\n200 GET /forged \x1b[31m"))
    assert line.isprintable()


KEY = mint_key(b"pepper").text


@pytest.mark.parametrize("style", [JsonLines, ReadableLines])
@pytest.mark.parametrize(
    "secret", [KEY, f"gatetest_{KEY[5:]}", "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl"], ids=["key", "test key", "token"]
)
def test_row_98_a_credential_in_the_path_is_not_written_down(style: type[logging.Formatter], secret: str) -> None:
    for path in (f"/v1/models/{secret}/predict", f"/{secret}", "/" + "a" * (MAX_LOGGED_PATH - 30) + secret):
        call = answered()
        call.path = path
        line = style().format(record(call))
        assert secret[:24] not in line
        assert "[credential]" in line


def test_a_path_is_cut_in_the_log() -> None:
    call = answered()
    call.path = "/" + "a" * 30_000
    assert len(JsonLines().format(record(call))) < 1_200


def test_a_key_is_no_request_id() -> None:
    scope = {"headers": [(b"x-request-id", KEY[:60].encode())], "client": None, "method": "GET", "path": "/"}
    assert begin_call(scope).request_id.startswith("req_")


def test_a_call_without_an_answer_is_499() -> None:
    assert facts(Call(request_id="req_1", started_ns=0))["status"] == 499


def test_an_exception_stays_within_its_json_line() -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError:
        made = record(message="failed")
        made.exc_info = sys.exc_info()
    line = JsonLines().format(made)
    assert line.isprintable()
    assert "two\nlines" in json.loads(line)["exception"]


@pytest.mark.parametrize(("style", "expected"), [("text", ReadableLines), ("json", JsonLines), ("auto", JsonLines)])
def test_the_style_is_chosen_and_auto_means_json_where_nobody_looks(style: str, expected: type) -> None:
    root, package = logging.getLogger(), logging.getLogger("gatehouse")
    kept = (root.handlers, root.level, package.level)
    try:
        configure_logging(style)
        assert [type(handler.formatter) for handler in root.handlers] == [expected]
    finally:
        root.handlers, _, _ = kept
        root.setLevel(kept[1])
        package.setLevel(kept[2])


def test_lines_are_what_the_usual_handler_writes() -> None:
    written: dict[type[logging.Handler], str] = {}
    for kind in (logging.StreamHandler, Lines):
        stream = io.StringIO()
        handler = kind(stream)
        handler.setFormatter(JsonLines())
        assert handler.handle(record(answered()))
        handler.addFilter(lambda made: made.levelno > logging.INFO)
        assert not handler.handle(record(answered()))
        written[kind] = re.sub(r'"(at|ms)":[^,]*', "", stream.getvalue())
    assert written[Lines] == written[logging.StreamHandler]
    assert written[Lines].count("\n") == 1


def test_a_line_that_cannot_be_written_ends_no_call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    full = io.StringIO()
    handler = Lines(full)
    full.close()
    assert handler.handle(record())
    assert "--- Logging error ---" in capsys.readouterr().err
    monkeypatch.setattr(handler, "stream", again := io.StringIO())
    assert handler.handle(record())
    assert again.getvalue() == "call\n", "the lock is free"


def test_a_calls_record_is_what_the_logger_would_make_of_it(caplog: pytest.LogCaptureFixture) -> None:
    log, begun = RequestLog(nothing, LogPace(9)), time.time()
    calls = [answered(), Call(request_id="req_2", started_ns=0)]
    with caplog.at_level(logging.INFO, LOGGER.name):
        for left_out, call in enumerate(calls):
            log.write_line(call, left_out)
            LOGGER.info("call", extra={"call": call, "left_out": left_out})
    made = [vars(each) for each in caplog.records]
    told_by_place = {"pathname", "filename", "module", "lineno", "funcName"}
    told_by_time = {"created", "msecs", "relativeCreated"}
    for ours, logged, call in zip(made[::2], made[1::2], calls, strict=True):
        assert set(ours) == set(logged)
        assert ours["call"] is call
        same = set(logged) - told_by_place - told_by_time
        assert {name: ours[name] for name in same} == {name: logged[name] for name in same}
        assert begun <= ours["created"] <= logged["created"]
        assert ours["msecs"] == pytest.approx(ours["created"] % 1 * 1000, abs=1)
        assert logged["relativeCreated"] - ours["relativeCreated"] == pytest.approx((logged["created"] - ours["created"]) * 1000, abs=1)
    with caplog.at_level(logging.WARNING, LOGGER.name):
        log.write_line(calls[0], 0)
    assert len(caplog.records) == len(made)


async def nothing(_scope: AsgiScope, _receive: Receive, _send: Send) -> None: ...

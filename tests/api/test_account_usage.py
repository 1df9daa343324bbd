"""`GET /account/usage`: what a tenant has used, added up as it asks, as JSON and CSV."""

import csv
import errno
import io
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from stage import IRIS_ROW, Live, Stage, instances, key_id, problem, wait_until

from gatehouse.principal import Plan, Rate


@pytest.fixture(scope="module")
def used(live: Live) -> tuple[str, str]:
    """Two keys of a tenant that was answered two calls of three rows by the first and one of one row by the second."""
    first = live.stage.tenant("metered", "iris")
    second = live.stage.key("metered")
    for key, *rows in ((first, IRIS_ROW, IRIS_ROW), (first, IRIS_ROW), (second, IRIS_ROW)):
        wait_until(lambda key=key: live.get("/account", key).status_code == 200)
        assert live.predict(key, instances(*rows)).status_code == 200
    assert live.predict(first, b"{").status_code == 400
    wait_until(lambda: live.get("/account/usage", first).json()["calls"] == 4)
    return first, second


def lines(live: Live, key: str, query: str) -> list[dict[str, Any]]:
    answer: list[dict[str, Any]] = live.get(f"/account/usage?{query}", key).json()["usage"]
    return answer


def test_usage_is_by_day_key_endpoint_and_status_unless_asked_otherwise(live: Live, used: tuple[str, str]) -> None:
    usage, today = live.get("/account/usage", used[0]).json(), datetime.now(UTC).date()
    assert (usage["tenant"], usage["until"], usage["since"]) == ("metered", today.isoformat(), (today - timedelta(days=30)).isoformat())
    assert (usage["calls"], usage["rows"], usage["refused"]) == (4, 4, [])
    endpoint = {"day": today.isoformat(), "model": "iris", "api_version": "v1"}
    first, second = ({"key": key_id(key)} for key in used)
    expected = [first | {"status": 200, "calls": 2, "rows": 3}, first | {"status": 400, "calls": 1, "rows": 0}]
    expected.append(second | {"status": 200, "calls": 1, "rows": 1})
    shown = [{name: value for name, value in line.items() if not name.startswith("bytes")} for line in usage["usage"]]
    assert shown == [endpoint | line for line in sorted(expected, key=lambda line: (line["key"], line["status"]))]
    assert min(line["bytes_in"] for line in usage["usage"]) == len(b"{")
    assert all(line["bytes_out"] > 0 for line in usage["usage"])


@pytest.mark.parametrize("by", ["day", "hour", "key", "model", "api_version", "status", "day,hour", "status, key"])
def test_usage_is_added_up_as_asked(live: Live, used: tuple[str, str], by: str) -> None:
    found = lines(live, used[0], f"by={by}")
    names = {name.strip() for name in by.split(",")}
    assert all(set(line) == names | {"calls", "rows", "bytes_in", "bytes_out"} for line in found)
    assert (sum(line["calls"] for line in found), sum(line["rows"] for line in found)) == (4, 4)
    assert len({tuple(line[name] for name in sorted(names)) for line in found}) == len(found)


def test_an_hour_is_named_by_its_beginning(live: Live, used: tuple[str, str]) -> None:
    for line in lines(live, used[0], "by=hour"):
        assert datetime.fromisoformat(line["hour"]).date() == datetime.now(UTC).date()
        assert line["hour"].endswith(":00:00Z")


def test_csv_holds_the_same_lines_and_no_cell_starts_a_formula(live: Live, used: tuple[str, str]) -> None:
    answer = live.get("/account/usage?by=key,status&format=csv", used[0])
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"].startswith('attachment; filename="usage-')
    header, *rows = csv.reader(io.StringIO(answer.text))
    assert header == ["key", "status", "calls", "rows", "bytes_in", "bytes_out"]
    shown = lines(live, used[0], "by=key,status")
    assert rows == [[str(line[name]) for name in header] for line in shown]
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row)


def test_usage_of_days_without_calls_is_empty(live: Live, used: tuple[str, str]) -> None:
    before = live.get(f"/account/usage?until={datetime.now(UTC).date() - timedelta(days=1)}", used[0]).json()
    assert (before["calls"], before["rows"], before["usage"]) == (0, 0, [])


def test_calls_over_a_limit_are_counted_beside_it(stage: Stage) -> None:
    stage.plan(Plan("few", Rate(1, 3600, 2), Rate(10, 1, 10), 100, "hard", 2, 2048))
    key = stage.tenant("limited", "iris", plan="few")
    with stage.serving() as live:
        answers = [live.predict(key, instances(IRIS_ROW)).status_code for _ in range(5)]
        assert answers == [200, 200, 429, 429, 429]
        refused = [{"status": 429, "limit": "tenant-requests", "calls": 3}]
        wait_until(lambda: live.get("/account/usage", key).json()["refused"] == refused)
        assert live.get("/account/usage", key).json()["calls"] == 2


@pytest.mark.parametrize("query", ["by=day&by=key", "since=2026-01-01&since=2026-01-02", "untill=2026-01-01"])
def test_a_parameter_that_is_unknown_or_there_twice_is_422(live: Live, used: tuple[str, str], query: str) -> None:
    name = query.partition("=")[0]
    errors = problem(live.get(f"/account/usage?{query}", used[0]), 422, "invalid_input")["errors"]
    assert [error["parameter"] for error in errors] == [name]


@pytest.mark.parametrize("query", ["by=tenant", "by=", "by=day,=cmd", "format=xml", "by=hour&since=2026-01-01&until=2026-02-01"])
def test_what_cannot_be_asked_for_is_422(live: Live, used: tuple[str, str], query: str) -> None:
    problem(live.get(f"/account/usage?{query}", used[0]), 422, "invalid_input")


@pytest.mark.parametrize(
    "query",
    [
        "since=x",
        "since=2026-13-01",
        "since=0000-00-00",
        "since=",
        "until=10000-01-01",
        "since=2026-02-02&until=2026-02-01",
        "since=2020-01-01&until=2026-01-01",
        "since=1700000000",
        "since=2026-01-01T00:00:00Z&until=nan",
    ],
)
def test_a_span_that_cannot_be_is_422_and_names_the_parameter(live: Live, used: tuple[str, str], query: str) -> None:
    errors = problem(live.get(f"/account/usage?{query}", used[0]), 422, "invalid_input")["errors"]
    assert {error["parameter"] for error in errors} <= {"since", "until"}


@pytest.mark.parametrize("query", ["until=0001-01-01", "since=0001-01-01&until=0001-01-31", "since=9999-12-31&until=9999-12-31"])
def test_the_edges_of_the_calendar_are_answered(live: Live, used: tuple[str, str], query: str) -> None:
    assert live.get(f"/account/usage?{query}", used[0]).json()["calls"] == 0


def test_with_fsync_an_answer_has_waited_for_the_disk(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    key = stage.tenant("careful", "iris")
    synced, really = [0], os.fdatasync

    def count(file: int) -> None:
        really(file)
        synced[0] += 1

    monkeypatch.setattr(os, "fdatasync", count)
    with stage.serving(usage_fsync="true") as live:
        for number in range(1, 4):
            assert live.predict(key, instances(IRIS_ROW)).status_code == 200
            assert synced[0] >= number
        monkeypatch.setattr(os, "fdatasync", broken)
        problem(live.predict(key, instances(IRIS_ROW)), 503, "usage_unavailable")
        monkeypatch.setattr(os, "fdatasync", really)
        wait_until(lambda: live.predict(key, instances(IRIS_ROW)).status_code == 200)
        wait_until(lambda: live.get("/account/usage", key).json()["rows"] == 4)
        answered = [line for line in lines(live, key, "by=status") if line["status"] == 200]
        assert [line["calls"] for line in answered] == [4]


@pytest.mark.parametrize("works", [True, False], ids=["the disk works", "the disk fails"])
def test_with_fsync_calls_that_are_scored_together_wait_for_the_disk_as_well(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, works: bool
) -> None:
    key, let_go, really = stage.tenant("careful", "iris"), threading.Event(), os.fdatasync

    def slow(file: int) -> None:
        let_go.wait(20)
        (really if works else broken)(file)

    with stage.serving(usage_fsync="true") as live, ThreadPoolExecutor(6) as pool:
        monkeypatch.setattr(os, "fdatasync", slow)
        spool = live.app.metering.spool
        calls = [pool.submit(live.predict, key, instances(IRIS_ROW))]
        wait_until(lambda: spool.backlog_bytes > 0)
        calls += [pool.submit(live.predict, key, instances(IRIS_ROW)) for _ in range(5)]
        wait_until(lambda: live.app.rounds.calls == 5)  # all but the one that was alone
        assert not any(each.done() for each in calls)
        let_go.set()
        assert {each.result().status_code for each in calls} == {200 if works else 503}
        monkeypatch.setattr(os, "fdatasync", really)
        wait_until(lambda: live.predict(key, instances(IRIS_ROW)).status_code == 200)
        wait_until(lambda: live.get("/account/usage", key).json()["rows"] == (7 if works else 1))


def broken(_file: int) -> None:
    raise OSError(errno.EIO, "Input/output error")

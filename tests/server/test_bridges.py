"""What a running server does with bridges: it follows their beginning, their end and their other end's releases, and loses no call."""

import gc
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NoReturn

import pytest
from line_versions import LINE, NEWER, deployment, open_newer, publish_line, publish_newer, release
from sqlmodel import col, select
from stage import ACTOR, IRIS_ROW, Live, Stage, instances, problem, wait_until

from gatehouse.db.tables import UsageEventTable
from gatehouse.migration.life_store import change_life
from gatehouse.migration.release import released
from gatehouse.migration.store import named_endpoint, store_release
from gatehouse.migration.transitions import Announcement, deprecated
from gatehouse.operating import releasing
from gatehouse.operating.bridging import begin_bridge, end_bridge

NEW_LINE = "/v2/models/line/predict"
ONE = {"size": 1.5}


@pytest.fixture
def line(stage: Stage, published: Path) -> Stage:
    """A deployment with line 2.0.0 and 2.5.0, which answer v1's rows with their size plus 0 and 0.5; v1 is not bridged yet."""
    for offset in (0, 5):
        publish_newer(published, stage, offset)
    open_newer(stage)
    return stage


def bridge(stage: Stage) -> None:
    begin_bridge(deployment(stage), "line", "v1", "v2")


def unbridge(stage: Stage) -> None:
    end_bridge(deployment(stage), "line", "v1", None)


def release_newer(stage: Stage, offset: int) -> None:
    releasing.release(deployment(stage), "line", "v2", f"2.{offset}.0", None, force=False)


def release_unseen(stage: Stage, version: str) -> None:
    """What a command would refuse: nobody looks at the files."""
    with stage.database.write() as session:
        seen = named_endpoint(session, "line", "v2")
        store_release(session, ACTOR, "release", seen, released(seen, version))


def without_model(stage: Stage, version: str = "1.0.0") -> None:
    for artifact in (stage.state_dir / "models" / "line" / version).glob("model.*"):
        artifact.unlink()


def answered(live: Live, key: str, size: float = 1.5, **headers: str) -> tuple[str, float, bool]:
    """Version, value and whether over the bridge."""
    answer = live.predict(key, instances({"size": size}), LINE, **headers)
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert said["api_version"] == "v1"
    return said["model_version"], said["predictions"][0]["value"], said.get("bridged", False)


def failures(live: Live, operator: str) -> dict[str, str]:
    said: dict[str, str] = live.get("/health/ready", operator).json()["failures"]
    return said


@contextmanager
def load(live: Live, key: str) -> Iterator[set[tuple[str, bool]]]:
    """Callers of v1 that ask on and on, whose answers must all be right; yields the versions that have answered."""
    seen: set[tuple[str, bool]] = set()
    ended, wrong = threading.Event(), list[str]()

    def call(number: int) -> None:
        while not ended.is_set():
            try:
                version, value, over = answered(live, key, number)
            except AssertionError as error:
                wrong.append(str(error))
                return
            expected = number + (int(version.split(".")[1]) / 10 if over else int(version.split(".")[1]))
            if value != expected or over != version.startswith("2"):
                wrong.append(f"{version} {value} {over}")
            seen.add((version, over))

    with ThreadPoolExecutor(4) as pool:
        callers = [pool.submit(call, number) for number in range(4)]
        try:
            yield seen
        finally:
            ended.set()
        for caller in callers:
            caller.result()
    assert wrong == []


def test_a_bridge_its_releases_and_its_end_are_followed_within_a_second_and_lose_no_call(line: Stage) -> None:
    with line.serving() as live:
        key = line.tenant("acme", "line")
        with load(live, key) as seen:
            for step, expected in (
                (lambda: None, ("1.0.0", False)),
                (lambda: bridge(line), ("2.0.0", True)),
                (lambda: release_newer(line, 5), ("2.5.0", True)),
                (lambda: releasing.rollback(deployment(line), "line", "v2", force=False), ("2.0.0", True)),
                (lambda: unbridge(line), ("1.0.0", False)),
            ):
                step()
                assert wait_until(lambda expected=expected: answered(live, key)[::2] == expected) < 1  # type: ignore[misc]
        assert seen == {("1.0.0", False), ("2.0.0", True), ("2.5.0", True)}
        assert {name for name in live.app.serving.registry.loaded if name[0] == "line"} == {("line", "1.0.0"), ("line", "2.0.0")}


def test_the_older_model_may_be_gone_while_it_is_bridged_and_nothing_of_it_is_loaded(line: Stage) -> None:
    with line.serving() as live, line.serving() as other:
        key = line.tenant("acme", "line")
        assert answered(live, key) == ("1.0.0", 1.5, False)
        bridge(line)
        assert wait_until(lambda: answered(live, key)[0] == answered(other, key)[0] == "2.0.0") < 1
        assert ("line", "1.0.0") not in live.app.serving.registry.loaded
        without_model(line)
        assert answered(live, key) == ("2.0.0", 1.5, True)
    with line.serving() as anew:
        operator = line.key("_operator")
        assert answered(anew, key) == ("2.0.0", 1.5, True)
        assert failures(anew, operator) == {}


def test_a_row_that_cannot_be_upgraded_is_refused_with_its_place_and_takes_nothing(stage: Stage, published: Path) -> None:
    publish_newer(published, stage, 0, most=1000)
    open_newer(stage)
    bridge(stage)
    with stage.serving() as live:
        key = stage.tenant("acme", "line", plan="trial")
        left = live.get("/account", key).json()["rows_left"]
        refused = problem(live.predict(key, instances(ONE, {"size": 101}), LINE), 422, "invalid_input")
        assert refused["errors"] == [
            {
                "pointer": "/instances/1/size",
                "code": "upgrade_out_of_range",
                "detail": "becomes 'size_mm', which must be 0 to 1000",
                "field": "size_mm",
                "minimum": 0,
                "maximum": 1000,
            }
        ]
        columns = {"columns": ["size"], "data": [[150], [1.5], [200]]}
        refused = problem(live.predict(key, columns, LINE), 422, "invalid_input")
        assert [each["pointer"] for each in refused["errors"]] == ["/data/0/0", "/data/2/0"]
        many = {"columns": ["size"], "data": [[1.5]] * 990 + [[150]] * 10}
        padded = str(many).replace("'", '"').encode().replace(b", ", b"," + b" " * 70)
        assert len(padded) > 64 * 1024
        refused = problem(live.predict(key, padded, LINE), 422, "invalid_input")
        assert [each["pointer"] for each in refused["errors"]] == [f"/data/{row}/0" for row in range(990, 1000)]
        assert live.get("/account", key).json()["rows_left"] == left
        assert answered(live, key, 100) == ("2.0.0", 100.0, True)
    with stage.database.read() as session:
        found = session.exec(select(UsageEventTable).order_by(col(UsageEventTable.at_us))).all()
    assert [(row.status, row.rows, row.model_version) for row in found] == [(422, 0, "2.0.0")] * 3 + [(200, 1, "2.0.0")]


@pytest.mark.parametrize(
    ("rules", "why"),
    [
        ("", "has no rules from v1"),
        ('[upgrade.from.v1]\none_way = true\nrules = [{scale = "size", to = "size_mm", factor = 10}]\n', "is one-way"),
    ],
)
def test_a_release_that_no_longer_fits_is_503_for_the_bridge_alone_until_it_is_rolled_back(
    line: Stage, published: Path, rules: str, why: str
) -> None:
    publish_line(published, line, 6, NEWER.format(most=2000).partition("[upgrade")[0] + rules, major=2)
    bridge(line)
    with line.serving() as live:
        key, operator = line.tenant("acme", "line"), line.key("_operator")
        assert answered(live, key)[0] == "2.0.0"
        release_unseen(line, "2.6.0")
        wait_until(lambda: live.predict(key, instances(ONE), LINE).status_code == 503)
        refused = problem(live.predict(key, instances(ONE), LINE), 503, "endpoint_unavailable")
        assert "detail" in refused
        assert live.predict(key, instances(ONE), LINE).headers["retry-after"] == "5"
        assert live.predict(key, instances({"size_mm": 15}), NEW_LINE).json()["model_version"] == "2.6.0"
        wait_until(lambda: list(failures(live, operator)) == ["line/v1"])
        assert why in failures(live, operator)["line/v1"]
        assert live.get("/health/ready", key).json() == {"status": "degraded"}
        with line.serving() as anew:
            problem(anew.predict(key, instances(ONE), LINE), 503, "endpoint_unavailable")
            assert list(failures(anew, operator)) == ["line/v1"]
        release_unseen(line, "2.0.0")
        wait_until(lambda: live.predict(key, instances(ONE), LINE).status_code == 200)
        wait_until(lambda: failures(live, operator) == {})


def test_where_the_other_end_cannot_be_loaded_both_are_503_and_listed(line: Stage) -> None:
    bridge(line)
    without_model(line, "2.0.0")
    operator = line.key("_operator")
    key = line.tenant("acme", "line", "iris")
    for lazy in ("eager", "lazy"):
        with line.serving(load_models=lazy) as live:
            problem(live.predict(key, instances(ONE), LINE), 503, "endpoint_unavailable")
            assert set(failures(live, operator)) == ({"line/v1", "line/v2"} if lazy == "eager" else {"line/v2", "line/v1"})
            assert live.predict(key, instances(IRIS_ROW)).status_code == 200


def test_a_bridge_that_cannot_be_taken_leaves_the_older_model_and_an_end_that_cannot_leaves_the_bridge(
    line: Stage, published: Path
) -> None:
    publish_line(published, line, 6, NEWER.format(most=2000).partition("[upgrade")[0], major=2)
    release_unseen(line, "2.6.0")
    with line.serving() as live:
        key, operator = line.tenant("acme", "line"), line.key("_operator")
        change_unseen(line, "v2")
        wait_until(lambda: "line/v1" in failures(live, operator))
        assert answered(live, key) == ("1.0.0", 1.5, False)
        release_unseen(line, "2.0.0")
        wait_until(lambda: answered(live, key) == ("2.0.0", 1.5, True))
        wait_until(lambda: failures(live, operator) == {})
        without_model(line)
        change_unseen(line, None)
        wait_until(lambda: "line/v1" in failures(live, operator))
        assert answered(live, key) == ("2.0.0", 1.5, True)
        assert live.get("/v1/models", key).json()["models"][0]["bridged"] is True


def change_unseen(stage: Stage, to: str | None) -> None:
    """A bridge as the database may say it, whatever a command would refuse."""
    with stage.database.write() as session:
        change_life(session, ACTOR, "bridge", "line", "v1", lambda seen, _all: replace(seen, bridged_to=to))


@pytest.mark.parametrize("load_models", ["eager", "lazy"])
def test_with_little_memory_the_other_end_is_loaded_again_when_it_is_called(line: Stage, load_models: str) -> None:
    bridge(line)
    without_model(line)
    with line.serving(load_models=load_models, model_memory_bytes="1") as live:
        key = line.tenant("acme", "line", "iris")
        for _ in range(2):
            assert answered(live, key) == ("2.0.0", 1.5, True)
            assert set(live.app.serving.registry.loaded) == {("line", "2.0.0")}
            assert live.predict(key, instances(IRIS_ROW)).status_code == 200
            assert set(live.app.serving.registry.loaded) == {("iris", "1.0.0")}
        gc.collect()
        assert not live.app.serving.releases._bridges._made  # nothing of what was unloaded is held
        with ThreadPoolExecutor(8) as pool:
            assert {*pool.map(lambda _: answered(live, key), range(8))} == {("2.0.0", 1.5, True)}
        assert failures(live, line.key("_operator")) == {}


def test_a_repeat_is_answered_as_its_first_call_was_before_over_and_after_the_bridge(line: Stage, published: Path) -> None:
    publish_line(published, line, 2)
    release(line, 2)
    key = line.tenant("acme", "line")

    def once(name: str) -> tuple[tuple[str, float, bool], bool]:
        answer = live.predict(key, instances(ONE), LINE, idempotency_key=name)
        assert answer.status_code == 200, answer.text
        said = answer.json()
        told = said["model_version"], said["predictions"][0]["value"], said.get("bridged", False)
        return told, answer.headers.get("idempotency-replayed") == "true"

    before, over, newer = ("1.2.0", 3.5, False), ("2.0.0", 1.5, True), ("2.5.0", 2.0, True)
    with line.serving() as live:
        assert once("before") == (before, False)
        bridge(line)
        wait_until(lambda: answered(live, key) == over)
        assert once("before") == (before, True)
        assert once("over") == (over, False)
        release_newer(line, 5)
        wait_until(lambda: answered(live, key) == newer)
        assert once("newer") == (newer, False)
        assert [once("before"), once("over"), once("newer")] == [(before, True), (over, True), (newer, True)]
        unbridge(line)
        wait_until(lambda: answered(live, key) == before)
        assert [once("before"), once("over"), once("newer")] == [(before, True), (over, True), (newer, True)]
    bridge(line)
    without_model(line, "1.2.0")
    shutil.rmtree(line.state_dir / "models" / "line" / "2.0.0")
    with line.serving() as live:
        for name in ("before", "over"):
            problem(live.predict(key, instances(ONE), LINE, idempotency_key=name), 409, "idempotency_version_gone")
        assert once("newer") == (newer, True)
    with line.database.read() as session:
        rows = session.exec(select(UsageEventTable).where(UsageEventTable.status == 200)).all()
    metered = [(row.model_version, row.rows) for row in rows]
    assert metered.count(("2.0.0", 1)) >= 2  # one keyed, others were asked without a key
    assert len({row.id for row in rows}) == len(rows)


def test_a_canary_of_the_other_end_never_answers_over_the_bridge(line: Stage) -> None:
    bridge(line)
    releasing.release(deployment(line), "line", "v2", "2.5.0", 99, force=False)
    with line.serving() as live:
        keys = [line.tenant("acme", "line"), *(line.key("acme") for _ in range(9))]
        own = {live.predict(key, instances({"size_mm": 15}), NEW_LINE).json()["model_version"] for key in keys}
        assert "2.5.0" in own
        assert {answered(live, key) for key in keys} == {("2.0.0", 1.5, True)}


def test_an_end_that_was_announced_is_still_told_over_the_bridge(line: Stage) -> None:
    sunset = (datetime.now(UTC) + timedelta(days=100)).date()
    with line.database.write() as session:
        said, now = Announcement(sunset, "v2"), datetime.now(UTC)
        change_life(session, ACTOR, "deprecate", "line", "v1", lambda seen, all_: deprecated(seen, all_, said, now))
    bridge(line)
    with line.serving() as live:
        key = line.tenant("acme", "line")
        answer = live.predict(key, instances(ONE), LINE)
        assert {"deprecation", "sunset", "link"} <= set(answer.headers)
        assert (answer.json()["bridged"], answer.json()["notices"][0]["code"]) == (True, "endpoint_deprecated")


def test_what_cannot_be_bound_for_whatever_reason_is_a_failure_of_the_bridge_alone(line: Stage, caplog: pytest.LogCaptureFixture) -> None:
    with line.serving() as live:
        key, operator = line.tenant("acme", "line"), line.key("_operator")
        live.app.serving.releases._bridges._bind = fail
        change_unseen(line, "v2")
        wait_until(lambda: "line/v1" in failures(live, operator))
        assert "cannot answer calls by the contract of line 1.0.0 (ArithmeticError)" in failures(live, operator)["line/v1"]
        assert answered(live, key) == ("1.0.0", 1.5, False)
        release_newer(line, 5)
        wait_until(lambda: live.predict(key, instances({"size_mm": 15}), NEW_LINE).json()["model_version"] == "2.5.0")
    assert "line 1.0.0 cannot be bound to 2.0.0" in caplog.messages


def fail(*_: object) -> NoReturn:
    raise ArithmeticError


def test_what_cannot_be_taken_over_for_whatever_reason_keeps_nothing_else_waiting_and_is_tried_again(
    line: Stage, published: Path, caplog: pytest.LogCaptureFixture
) -> None:
    publish_line(published, line, 2)
    with line.serving() as live:
        key, operator, registry = line.tenant("acme", "line"), line.key("_operator"), live.app.serving.registry
        switch = registry.switch
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                registry, "switch", lambda stable, canary: fail() if stable.contract.contract.api_version == "v1" else switch(stable)
            )
            with line.database.write() as session:  # both in one, so that the one waits for the other
                for version, to in (("v1", "1.2.0"), ("v2", "2.5.0")):
                    seen = named_endpoint(session, "line", version)
                    store_release(session, ACTOR, "release", seen, released(seen, to))
            wait_until(lambda: live.predict(key, instances({"size_mm": 15}), NEW_LINE).json()["model_version"] == "2.5.0")
        wait_until(lambda: "could not be taken over (ArithmeticError)" in failures(live, operator).get("line/v1", ""))
        assert answered(live, key) == ("1.0.0", 1.5, False)
        with line.database.write() as session:
            seen = named_endpoint(session, "line", "v1")
            store_release(session, ACTOR, "release", seen, seen)
        wait_until(lambda: answered(live, key) == ("1.2.0", 3.5, False))
        assert failures(live, operator) == {}
    assert "line/v1 could not be taken over" in caplog.messages

"""A shadowed endpoint on a running server: callers see nothing of it, and the figures are those computed apart from the answers."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from math import ceil
from pathlib import Path
from typing import Any

import pytest
from line_versions import GROWN, LINE, deployment, open_newer, publish_line, publish_newer
from sqlmodel import col, select
from stage import ACTOR, Live, Stage, instances, wait_until

from gatehouse.db.tables import TenantTable
from gatehouse.migration.life_store import change_life
from gatehouse.migration.shadow import ShadowFigures, UpgradeFailures
from gatehouse.migration.shadow_store import shadow_figures, upgrade_failures
from gatehouse.migration.shadowing import shadowed, unshadowed
from gatehouse.migration.store import named_endpoint
from gatehouse.operating import releasing

V2 = "/v2/models/iris/predict"
SPECIES = {"Iris setosa": "setosa", "Iris versicolor": "versicolor", "Iris virginica": "virginica"}
SCORED_S = 60.0
"""Its process comes after everything else that runs here."""
SINCE = datetime.now(UTC).date() - timedelta(days=1)


@pytest.fixture(scope="module")
def live(published: Path, module_stage: Stage) -> Iterator[Live]:
    """A server with iris, and with a line of which 2.x takes only half of what 1.x takes and 1.x has grown."""
    publish_newer(published, module_stage, 0, most=1000)
    publish_newer(published, module_stage, 1, most=1000)
    publish_line(published, module_stage, 1, GROWN)
    open_newer(module_stage)
    with module_stage.serving() as running:
        yield running


def shadow(live: Live, model: str, version: str, percent: int = 100) -> None:
    """Begin a shadow, and wait until the server has seen it."""
    now = datetime.now(UTC)
    with live.stage.database.write() as session:
        change_life(session, ACTOR, "shadow", model, "v1", lambda seen, all_: shadowed(seen, all_, version, percent, now))
        wanted = named_endpoint(session, model, "v1").shadow
    wait_until(lambda: any((each.name, each.shadow) == (f"{model}/v1", wanted) for each in live.app.serving.endpoints.all()))


def unshadow(live: Live, model: str) -> None:
    with live.stage.database.write() as session:
        change_life(session, ACTOR, "unshadow", model, "v1", lambda seen, _all: unshadowed(seen))
    wait_until(lambda: not any(each.name == f"{model}/v1" and each.shadow for each in live.app.serving.endpoints.all()))


@contextmanager
def shadowing(live: Live, model: str, version: str) -> Iterator[None]:
    """The tests share a server: each leaves it without a shadow, also where it fails."""
    shadow(live, model, version)
    try:
        yield
    finally:
        unshadow(live, model)


@contextmanager
def released(live: Live, version: str, otherwise: str) -> Iterator[None]:
    """As the stable version of line v2, once the server has seen it; afterwards the other one."""
    releasing.release(deployment(live.stage), "line", "v2", version, None, force=False)
    try:
        wait_until(lambda: any((each.name, each.stable_version) == ("line/v2", version) for each in live.app.serving.endpoints.all()))
        yield
    finally:
        releasing.release(deployment(live.stage), "line", "v2", otherwise, None, force=False)


def calls_seen(live: Live) -> int:
    book = live.app.serving.shadow_book
    return book.compared + book.failed + book.dropped


class Seen:
    """Waits for the calls that are made within it to have been looked at."""

    def __init__(self, live: Live, calls: int) -> None:
        self.live = live
        self.calls = calls

    def __enter__(self) -> None:
        self.before = calls_seen(self.live)

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if error is None:  # else calls may be missing, and it is the error that counts
            wait_until(lambda: calls_seen(self.live) >= self.before + self.calls, SCORED_S)


def figures(live: Live, model: str, tenant: str) -> dict[str, ShadowFigures]:
    """By other version, as the database has them."""
    live.app.serving.shadow_book.flush()
    with live.stage.database.read() as session:
        tenant_id = session.exec(select(TenantTable.id).where(col(TenantTable.name) == tenant)).one()
        return {each.other_version: each for each in shadow_figures(session, model, "v1", SINCE, tenant_id)}


def failures(live: Live, model: str, tenant: str) -> list[UpgradeFailures]:
    with live.stage.database.read() as session:
        tenant_id = session.exec(select(TenantTable.id).where(col(TenantTable.name) == tenant)).one()
        return upgrade_failures(session, model, "v1", SINCE, tenant_id)


def flower(draw: random.Random) -> dict[str, float]:
    names = ("sepal_length", "sepal_width", "petal_length", "petal_width")
    return {name: round(draw.uniform(low, high), 1) for name, (low, high) in zip(names, ((4, 8), (2, 4), (1, 7), (0.1, 2.5)), strict=True)}


def predictions(live: Live, key: str, rows: list[dict[str, Any]], path: str) -> list[dict[str, Any]]:
    answer = live.predict(key, instances(*rows), path)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["predictions"]
    return found


def test_the_figures_of_each_tenant_are_those_of_its_answers(live: Live) -> None:
    draw = random.Random(8)
    sent = {name: [[flower(draw) for _ in range(draw.randint(1, 6))] for _ in range(12)] for name in ("ada", "bob", "cyd")}
    keys = {name: live.stage.tenant(name, "iris") for name in sent}
    with shadowing(live, "iris", "v2"), Seen(live, 36):
        got = {name: [predictions(live, keys[name], rows, "/v1/models/iris/predict") for rows in calls] for name, calls in sent.items()}
    for name, calls in sent.items():
        was = [row for answers in got[name] for row in answers]
        rows = [{f"{field}_mm": value * 10 for field, value in row.items()} for call in calls for row in call]
        now = predictions(live, keys[name], rows, V2)
        shifts = sorted(after["confidence"] - before["confidence"] for before, after in zip(was, now, strict=True))
        disagreed = sum(before["label"] != SPECIES[after["label"]] for before, after in zip(was, now, strict=True))
        [(version, found)] = figures(live, "iris", name).items()
        assert (version, found.calls, found.dropped, found.failed) == ("2.0.0", 12, 0, 0)
        assert (found.rows, found.not_upgraded, found.disagreed) == (len(rows), 0, disagreed)
        assert found.shift_mean == pytest.approx(sum(shifts) / len(shifts))
        for percent, shift in found.shift_quantiles.items():
            assert shift == pytest.approx(shifts[ceil(len(shifts) * percent / 100) - 1], rel=0.0201)
        assert failures(live, "iris", name) == []


def test_rows_that_do_not_become_rows_of_the_newer_version_are_counted_by_field_and_reason(live: Live) -> None:
    key = live.stage.tenant("eve", "line")
    with shadowing(live, "line", "v2"), Seen(live, 2):
        predictions(live, key, [{"size": 10.0}, {"size": 150.0}, {"size": 20.0}], LINE)
        predictions(live, key, [{"size": 199.0}], LINE)
    found = figures(live, "line", "eve")["2.0.0"]
    assert (found.calls, found.failed, found.rows, found.not_upgraded, found.compared) == (2, 0, 4, 2, 2)
    assert (found.disagreed, found.shift_mean) == (0, 0.0)
    [failure] = failures(live, "line", "eve")
    assert (failure.field, failure.code, failure.rows) == ("size", "upgrade_out_of_range", 2)


def test_another_version_of_the_same_major_is_compared_by_the_names_of_its_fields(live: Live) -> None:
    key = live.stage.tenant("fay", "line")
    with shadowing(live, "line", "1.1.0"), Seen(live, 1):
        predictions(live, key, [{"size": 10.0}, {"size": 150.0}], LINE)
    found = figures(live, "line", "fay")["1.1.0"]
    assert (found.compared, found.disagreed, found.shift_mean) == (2, 2, 5.0), "it adds 1, and the default of what v1.0 does not know, 4"


def test_the_stable_version_of_a_later_api_version_is_followed(live: Live) -> None:
    key = live.stage.tenant("gus", "line")
    with shadowing(live, "line", "v2"):
        with Seen(live, 1):
            predictions(live, key, [{"size": 10.0}], LINE)
        with released(live, "2.1.0", otherwise="2.0.0"), Seen(live, 1):
            predictions(live, key, [{"size": 10.0}], LINE)
    found = figures(live, "line", "gus")
    assert {version: (each.calls, each.disagreed, each.shift_mean) for version, each in found.items()} == {
        "2.0.0": (1, 0, 0.0),
        "2.1.0": (1, 1, pytest.approx(0.1)),
    }


def test_refused_calls_and_repeats_are_not_shadowed(live: Live) -> None:
    key = live.stage.tenant("hal", "line")
    with shadowing(live, "line", "1.1.0"):
        with Seen(live, 1):
            assert live.predict(key, instances({"size": 1000.0}), LINE).status_code == 422
            assert live.predict(key, instances({"size": 10.0}), LINE, idempotency_key="once").status_code == 200
            assert live.predict(key, instances({"size": 10.0}), LINE, idempotency_key="once").headers["idempotency-replayed"] == "true"
        with Seen(live, 1):
            predictions(live, key, [{"size": 11.0}], LINE)
    assert figures(live, "line", "hal")["1.1.0"].calls == 2


def test_large_bodies_are_compared_whole_or_dropped_whole(live: Live) -> None:
    key = live.stage.tenant("ian", "line")
    with shadowing(live, "line", "1.1.0"), Seen(live, 1):
        body = {"columns": ["size"], "data": [[n % 200] for n in range(20_000)]}
        assert live.predict(key, body, LINE).status_code == 200
    found = figures(live, "line", "ian")["1.1.0"]
    assert (found.calls, found.compared, found.disagreed, found.shift_mean) == (1, 20_000, 20_000, 5.0)


def test_the_process_that_scores_ends_with_the_last_shadow(live: Live) -> None:
    key = live.stage.tenant("joe", "line")
    shadows = live.app.serving.shadows
    wait_until(lambda: shadows.pid is None, SCORED_S)
    with shadowing(live, "line", "1.1.0"):
        wait_until(lambda: bool(shadows.comparing.pairs.all_ready()), SCORED_S)
        assert shadows.pid is not None
    wait_until(lambda: shadows.pid is None)
    before = calls_seen(live)
    predictions(live, key, [{"size": 10.0}], LINE)
    assert (calls_seen(live), live.app.serving.shadows.waiting) == (before, 0)

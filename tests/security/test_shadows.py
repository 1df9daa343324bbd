"""SECURITY.md, row 91: whatever the other version does, no caller sees any of it, and nothing untrue is counted."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from estimators import (
    HANGING_SIZE,
    INFINITE_SIZE,
    KILLING_SIZE,
    LYING_SIZE,
    NAN_SIZE,
    RAISING_SIZE,
    SHAPELESS_SIZE,
    Liar,
    Wicked,
)
from line_versions import LINE, TOML, write_version
from stage import ACTOR, CROWD_TOML, Live, Stage, instances, wait_until

from gatehouse.migration.life_store import change_life
from gatehouse.migration.shadow_store import shadow_figures
from gatehouse.migration.shadowing import shadowed
from gatehouse.migration.store import named_endpoint
from gatehouse.serving.manifest import GoldenRow

CROWD = "/v1/models/crowd/predict"
SUPPORT = str(Path(__file__).parents[1] / "support")
SCORE_S = 2.0
SCORED_S = 60.0
"""Its process comes after everything else that runs here."""


def shadow(live: Live, model: str, version: str) -> None:
    with live.stage.database.write() as session:
        change_life(session, ACTOR, "shadow", model, "v1", lambda seen, all_: shadowed(seen, all_, version, 100, datetime.now(UTC)))
        wanted = named_endpoint(session, model, "v1").shadow
    wait_until(lambda: any((each.name, each.shadow) == (f"{model}/v1", wanted) for each in live.app.serving.endpoints.all()))


@pytest.fixture(scope="module")
def misled(published: Path, module_stage: Stage) -> Iterator[Live]:
    """A server whose endpoints line and crowd are shadowed by versions that misbehave."""
    rows = [[1.5, 2.5]]
    write_version(published, module_stage, "line", "1.5.0", Wicked(5).fit([[1.5]], [1]), TOML, GoldenRow((1.5,), (6.5,)))
    golden = GoldenRow((1.5, 2.5), (0.5, 0.5, 1.0))
    write_version(published, module_stage, "crowd", "1.1.0", Liar().fit(rows, [1]), CROWD_TOML, golden, classes=(0, 1), own_labels=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", SUPPORT)
        with module_stage.serving() as live:
            comparing = live.app.serving.shadows.comparing
            comparing.score_s, comparing.pairs.first_pause_s = SCORE_S, 0.0
            shadow(live, "line", "1.5.0")
            shadow(live, "crowd", "1.1.0")
            yield live


def looked_at(live: Live) -> tuple[int, int, int]:
    book = live.app.serving.shadow_book
    return book.compared, book.failed, book.dropped


def counted(live: Live, calls: int, before: tuple[int, int, int]) -> tuple[int, int, int]:
    """Compared, failed and dropped since then, once there are so many."""
    wait_until(lambda: sum(looked_at(live)) == sum(before) + calls, SCORED_S)
    now = looked_at(live)
    return now[0] - before[0], now[1] - before[1], now[2] - before[2]


@pytest.mark.parametrize("size", [RAISING_SIZE, NAN_SIZE, INFINITE_SIZE, SHAPELESS_SIZE, HANGING_SIZE, KILLING_SIZE])
def test_row_91_a_shadow_that_misbehaves_changes_no_answer_and_fails_alone(misled: Live, size: float) -> None:
    key = misled.stage.tenant(f"t{size * 10_000:.0f}", "line")
    begun, before = time.monotonic(), looked_at(misled)
    answer = misled.predict(key, instances({"size": size}), LINE)
    assert time.monotonic() - begun < SCORE_S
    assert (answer.status_code, answer.json()["model_version"]) == (200, "1.0.0")
    assert answer.json()["predictions"] == [{"value": round(size, 2)}]
    assert counted(misled, 1, before) == (0, 1, 0)
    before = looked_at(misled)
    assert misled.predict(key, instances({"size": 1.5}), LINE).json()["predictions"] == [{"value": 1.5}]
    assert counted(misled, 1, before) == (1, 0, 0), "it is compared again, by another process where it was killed"


@pytest.mark.parametrize("size", [LYING_SIZE, SHAPELESS_SIZE])
def test_row_91_labels_and_probabilities_that_the_contract_does_not_know_are_no_answers(misled: Live, size: float) -> None:
    key = misled.stage.tenant(f"c{size * 10_000:.0f}", "crowd")
    before = looked_at(misled)
    answer = misled.predict(key, instances({"size": size, "weight": 90.0}), CROWD)
    assert (answer.status_code, answer.json()["model_version"], answer.json()["predictions"][0]["label"]) == (200, "1.0.0", "heavy")
    assert counted(misled, 1, before) == (0, 1, 0)
    before = looked_at(misled)
    assert misled.predict(key, instances({"size": 30.0, "weight": 90.0}), CROWD).status_code == 200
    assert counted(misled, 1, before) == (1, 0, 0)


def test_row_91_a_version_that_was_changed_after_it_was_signed_never_scores(published: Path, misled: Live) -> None:
    golden = GoldenRow((1.5,), (7.5,))
    folder = write_version(published, misled.stage, "line", "1.6.0", Wicked(6).fit([[1.5]], [1]), TOML, golden)
    with (folder / "model.joblib").open("ab") as file:
        file.write(b"more")
    key = misled.stage.tenant("tampered", "line")
    before = looked_at(misled)
    try:
        shadow(misled, "line", "1.6.0")
        assert misled.predict(key, instances({"size": 1.5}), LINE).json()["predictions"] == [{"value": 1.5}]
        assert counted(misled, 1, before) == (0, 1, 0)
    finally:
        shadow(misled, "line", "1.5.0")


def test_row_91_a_shadow_that_hangs_does_not_hold_up_the_end_of_the_server(published: Path, stage: Stage, monkeypatch: Any) -> None:
    write_version(published, stage, "line", "1.5.0", Wicked(5).fit([[1.5]], [1]), TOML, GoldenRow((1.5,), (6.5,)))
    monkeypatch.setenv("PYTHONPATH", SUPPORT)
    key = stage.tenant("acme", "line")
    with stage.serving() as live:
        shadow(live, "line", "1.5.0")
        assert live.predict(key, instances({"size": 1.5}), LINE).status_code == 200
        wait_until(lambda: live.app.serving.shadow_book.compared == 1, SCORED_S)
        assert live.predict(key, instances({"size": HANGING_SIZE}), LINE).status_code == 200
        wait_until(lambda: live.app.serving.shadows.waiting == 1)
        begun = time.monotonic()
    assert time.monotonic() - begun < 5
    with stage.database.read() as session:
        [found] = shadow_figures(session, "line", "v1", datetime.now(UTC).date() - timedelta(days=1))
    assert (found.calls, found.dropped, found.failed, found.compared) == (2, 1, 0, 1)

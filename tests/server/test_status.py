"""`gatehouse status` beside a running server: its calls, refused ones too, and what is left when it has ended."""

import json
from typing import Any

import pytest
from stage import IRIS_ROW, Stage, instances, wait_until
from typer.testing import CliRunner

from gatehouse.cli import app
from gatehouse.principal import Plan, Rate


def status(code: int) -> Any:
    result = CliRunner().invoke(app, ["status", "--json"])
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


def outcomes(found: Any) -> dict[tuple[str | None, int], int]:
    return {(each["model"], each["status"]): each["calls"] for each in found["calls"]["outcomes"]}


def test_calls_and_refusals_reach_the_status_and_outlive_their_process(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (stage.values | {"GATEHOUSE_STATE_DIR": str(stage.state_dir)}).items():
        monkeypatch.setenv(name, value)
    stage.plan(Plan("two", Rate(1, 3600, 2), Rate(1000, 1, 1000), 1_000_000, "soft", 60, 1024 * 1024))
    key = stage.tenant("acme", "iris", plan="two")
    with stage.serving() as live:
        assert [live.predict(key, instances(IRIS_ROW)).status_code for _ in range(5)] == [200, 200, 429, 429, 429]
        assert live.predict("gate_x", instances(IRIS_ROW)).status_code == 401
        stage.key("acme")  # a change that is taken in is told at once
        wait_until(lambda: outcomes(status(0)) == {("iris", 200): 2, (None, 429): 3, (None, 401): 1})
        found = status(0)
        assert found["healthy"] is True
        (process,) = found["processes"]
        assert (process["state"], process["no_room"], process["not_served"]) == ("serving", None, {})
        assert next(each for each in found["endpoints"] if each["endpoint"] == "iris/v1")["rows"] == 2
        assert live.get("/health").status_code == 200
    assert outcomes(status(1)) == {("iris", 200): 2, (None, 429): 3, (None, 401): 1, (None, 200): 1}, "the last word counts"

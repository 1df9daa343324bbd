"""Health: a word for load balancers, reasons for operators."""

import pytest
from stage import Live, Stage, problem

from gatehouse.principal import Scope


@pytest.mark.parametrize("path", ["/health", "/health/live", "/health/ready"])
def test_probes_by_get_and_head_need_no_credential(live: Live, path: str) -> None:
    answer = live.get(path)
    assert (answer.status_code, answer.json()) == (200, {"status": "ready" if path.endswith("ready") else "ok"})
    probed = live.client.head(path)
    assert (probed.status_code, probed.content) == (200, b"")
    assert probed.headers["content-length"] == answer.headers["content-length"]


def test_nothing_to_tell_is_told_to_operators_only(live: Live) -> None:
    operator = live.stage.key("_operator", scopes={Scope.ADMIN_READ})
    assert live.get("/health/ready", operator).json() == {"status": "ready", "failures": {}}
    assert live.get("/health/ready", live.stage.key("_operator", scopes={Scope.METRICS_READ})).json() == {"status": "ready"}


def test_a_wrong_credential_is_refused_rather_than_ignored(live: Live) -> None:
    problem(live.get("/health/ready", "gate_wrong"), 401, "credential_malformed")


def test_liveness_does_not_look_at_a_credential(live: Live) -> None:
    assert live.get("/health/live", "gate_wrong").status_code == 200


def test_a_version_that_is_missing_makes_the_server_degraded_and_still_ready(stage: Stage) -> None:
    folder = stage.state_dir / "models" / "line"
    for file in folder.rglob("*"):
        file.chmod(0o700)
    folder.rename(folder.with_name("elsewhere"))
    operator = stage.key("_operator")
    with stage.serving() as live:
        assert live.get("/health/ready").json() == {"status": "degraded"}
        failures = live.get("/health/ready", operator).json()["failures"]
        assert list(failures) == ["line/v1"]
        assert "publish" in failures["line/v1"]

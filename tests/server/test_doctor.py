"""`gatehouse doctor` beside a running server: its port, its process and what it serves."""

import json
from typing import Any

import pytest
from stage import Stage
from typer.testing import CliRunner

from gatehouse.cli import app


@pytest.fixture
def diagnosed(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """A deployment of the environment that is well."""
    for name, value in (stage.values | {"GATEHOUSE_STATE_DIR": str(stage.state_dir), "GATEHOUSE_MAX_CONNECTIONS": "100"}).items():
        monkeypatch.setenv(name, value)
    stage.state_dir.chmod(0o700)
    return stage


def part(name: str, code: int = 0) -> Any:
    """The finding about one part."""
    result = CliRunner().invoke(app, ["doctor", "--json"])
    assert result.exit_code == code, result.output
    return next(finding for finding in json.loads(result.stdout)["findings"] if finding["part"] == name)


def test_a_port_on_which_gatehouse_serves_is_well_and_its_process_is_counted(diagnosed: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    with diagnosed.serving() as live:
        monkeypatch.setenv("GATEHOUSE_LISTEN_PORT", str(live.port))
        found = part("port")
        assert (found["state"], found["detail"]) == ("ok", f"127.0.0.1:{live.port} is served: ready")
        assert part("processes")["detail"] == "1 serving"


def test_a_version_that_was_tampered_with_is_a_problem(diagnosed: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEHOUSE_LISTEN_PORT", "1")
    assert part("iris 1.0.0")["state"] == "ok"
    manifest = diagnosed.state_dir / "models" / "iris" / "1.0.0" / "manifest.json"
    manifest.chmod(0o600)
    manifest.write_bytes(manifest.read_bytes() + b" ")
    found = part("iris 1.0.0", 1)
    assert (found["state"], "gatehouse endpoints show iris v1" in found["remedy"]) == ("problem", True)

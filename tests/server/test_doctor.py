"""`gatehouse doctor` beside a running server: its port, its process and what it serves."""

import json
import ssl
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from stage import Stage, free_port
from target_server import certificate, target_server
from tls_front import tls_front
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
    assert found["detail"] == "the signature does not fit the manifest, which was changed after signing; calls get 503"
    assert found["remedy"].startswith("publish the model again, or release another version: ")


@pytest.mark.endpoints("iris v1")
def test_a_version_that_is_loaded_answers_until_the_next_start(diagnosed: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    with diagnosed.serving() as live:
        monkeypatch.setenv("GATEHOUSE_LISTEN_PORT", str(live.port))
        (diagnosed.state_dir / "models" / "iris" / "1.0.0" / "manifest.sig").unlink()
        assert part("iris 1.0.0", 1)["detail"] == "manifest.sig is missing; calls get 503 from the next start on"


@pytest.mark.endpoints("iris v1")
def test_the_public_address_is_asked_over_tls(diagnosed: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server, _ = certificate(tmp_path, "localhost", timedelta(days=60))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "localhost.pem"))
    with diagnosed.serving() as live, tls_front(live.port, server) as port:
        monkeypatch.setenv("GATEHOUSE_LISTEN_PORT", str(live.port))
        monkeypatch.setenv("GATEHOUSE_PUBLIC_URL", f"https://localhost:{port}")
        found = part("address")
        assert (found["state"], f"https://localhost:{port} leads here" in found["detail"]) == ("ok", True)
        with tls_front(live.port, soon_over(tmp_path, monkeypatch)) as worn:
            monkeypatch.setenv("GATEHOUSE_PUBLIC_URL", f"https://localhost:{worn}")
            assert "nobody has renewed it" in part("address")["detail"]
        monkeypatch.delenv("SSL_CERT_FILE")
        monkeypatch.setenv("GATEHOUSE_PUBLIC_URL", f"https://localhost:{port}")
        found = part("address", 1)
        assert (found["state"], "is not good: self-signed certificate" in found["detail"]) == ("problem", True), found
        assert found["remedy"].startswith("put another one there, for this name")
        monkeypatch.setenv("GATEHOUSE_PUBLIC_URL", f"https://localhost:{free_port()}")
        found = part("address")
        assert (found["state"], "cannot be reached from here (connection refused)" in found["detail"]) == ("warning", True)


@pytest.mark.endpoints("iris v1")
def test_a_public_address_at_which_something_else_answers_is_a_problem(
    diagnosed: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, _ = certificate(tmp_path, "localhost", timedelta(days=60))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "localhost.pem"))
    with diagnosed.serving() as live, target_server(server) as other:
        monkeypatch.setenv("GATEHOUSE_LISTEN_PORT", str(live.port))
        monkeypatch.setenv("GATEHOUSE_PUBLIC_URL", f"https://localhost:{other.port}")
        assert "something else than Gatehouse answers" in part("address", 1)["detail"]


def soon_over(folder: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A certificate that is believed and ends in a week."""
    worn = folder / "worn"
    worn.mkdir()
    server, _ = certificate(worn, "localhost", timedelta(days=7))
    monkeypatch.setenv("SSL_CERT_FILE", str(worn / "localhost.pem"))
    return server

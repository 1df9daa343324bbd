"""`gatehouse doctor` names each part that is not well, says what to do, changes nothing, and tells by its exit code."""

import os
import shutil
import socket
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from gatehouse.serving.signing import create_publishing_key


@pytest.fixture(autouse=True)
def quiet(state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A deployment at which nothing is wrong."""
    state_dir.chmod(0o700)
    create_publishing_key(state_dir.parent / "publishing-key.pem", state_dir / "trusted-keys")
    monkeypatch.setenv("GATEHOUSE_PUBLIC_URL", "https://api.example.org")
    monkeypatch.setenv("GATEHOUSE_TRUSTED_PROXIES", "127.0.0.1")
    monkeypatch.setenv("GATEHOUSE_SPOOL_MIN_FREE_BYTES", "0")
    monkeypatch.setenv("GATEHOUSE_MAX_CONNECTIONS", "100")
    with socket.create_server(("127.0.0.1", 0)) as free:
        monkeypatch.setenv("GATEHOUSE_LISTEN_PORT", str(free.getsockname()[1]))


def part(gatehouse: Any, name: str, code: int = 0) -> Any:
    """The finding about one part."""
    answer = gatehouse("doctor", "--json", code=code).json
    assert answer["healthy"] is (code == 0)
    found = [finding for finding in answer["findings"] if finding["part"] == name]
    assert len(found) == 1, answer
    assert (found[0]["remedy"] is None) is (found[0]["state"] == "ok")
    return found[0]


def test_a_healthy_deployment_has_no_problem_and_is_left_as_it_is(gatehouse: Any, state_dir: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in state_dir.rglob("*")}
    answer = gatehouse("doctor", "--json").json
    assert answer["healthy"] is True
    states = {finding["part"]: finding["state"] for finding in answer["findings"]}
    assert {states.pop(name) for name in ("endpoints", "processes", "address")} == {"warning"}, "nothing is served yet"
    assert set(states.values()) == {"ok"}
    assert {"settings", "database", "clock", "audit trail", "spool", "proxy", "trusted keys", "disk", "port"} <= set(states)
    assert {path: path.stat().st_mtime_ns for path in state_dir.rglob("*")} == before
    lines = gatehouse("doctor").lines
    below = next(place for place, line in enumerate(lines) if line.strip().startswith("endpoints ")) + 1
    assert lines[below].strip().startswith("to do: gatehouse models publish")


def test_a_weak_secret_is_refused_in_one_line(gatehouse: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEHOUSE_SECRET_KEY", "short")
    assert "GATEHOUSE_SECRET_KEY" in gatehouse("doctor", code=1).error


def test_a_folder_that_others_can_read_is_a_problem(gatehouse: Any, state_dir: Path) -> None:
    state_dir.chmod(0o755)
    assert part(gatehouse, "state folder", 1)["remedy"] == f"chmod 700 {state_dir}"


def test_what_keeps_others_from_a_file_is_its_mode_or_its_folder(gatehouse: Any, state_dir: Path) -> None:
    file = state_dir / "gatehouse.db"
    file.chmod(0o644)
    assert part(gatehouse, "gatehouse.db")["detail"] == f"{file} is kept from others by its folder, which they cannot enter"
    file.chmod(0o600)
    assert part(gatehouse, "gatehouse.db")["detail"] == f"{file} is for its owner alone"


def test_a_database_that_is_gone_not_migrated_or_too_new_is_a_problem(
    gatehouse: Any, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with sqlite3.connect(state_dir / "gatehouse.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0001'")
    connection.close()
    assert "migrat" in part(gatehouse, "database", 1)["remedy"]
    with sqlite3.connect(state_dir / "gatehouse.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    assert "install the newer Gatehouse that has brought it to 9999" in part(gatehouse, "database", 1)["remedy"]
    (state_dir / "gatehouse.db").unlink()
    assert part(gatehouse, "database")["state"] == "warning"
    assert not (state_dir / "gatehouse.db").exists()
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    monkeypatch.setenv("GATEHOUSE_DATABASE_URL", f"postgresql://nobody:hidden@127.0.0.1:{port}/none")
    found = part(gatehouse, "database", 1)
    assert found["detail"] == "it does not answer (connection refused)"
    assert "hidden" not in str(found)


def test_an_address_without_tls_or_none_and_a_proxy_that_is_not_known_are_named(gatehouse: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "nobody serves here" in part(gatehouse, "address")["detail"]
    monkeypatch.setenv("GATEHOUSE_PUBLIC_URL", "http://api.example.org")
    assert "has no TLS" in part(gatehouse, "address")["detail"]
    monkeypatch.delenv("GATEHOUSE_PUBLIC_URL")
    assert part(gatehouse, "address")["remedy"] == "set GATEHOUSE_PUBLIC_URL"
    monkeypatch.delenv("GATEHOUSE_TRUSTED_PROXIES")
    assert "GATEHOUSE_TRUSTED_PROXIES" in part(gatehouse, "proxy")["remedy"]
    monkeypatch.setenv("GATEHOUSE_ENVIRONMENT", "development")
    found = {finding["part"] for finding in gatehouse("doctor", "--json").json["findings"]}
    assert not found & {"address", "proxy", "publishing key"}


def test_a_key_that_signs_models_does_not_lie_where_models_are_served(gatehouse: Any, state_dir: Path) -> None:
    assert part(gatehouse, "publishing key")["state"] == "ok"
    (state_dir / "publishing-key.pem").write_text("secret")
    assert part(gatehouse, "publishing key")["state"] == "warning"


def test_token_keys_that_the_secret_does_not_open_are_a_problem(gatehouse: Any, state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert part(gatehouse, "token keys")["detail"] == "the first server makes one"
    gatehouse("token-keys", "rotate")
    assert part(gatehouse, "token keys")["state"] == "ok"
    before = os.environ["GATEHOUSE_SECRET_KEY"]
    monkeypatch.setenv("GATEHOUSE_SECRET_KEY", "nV4xTq8LbZ1wRk6JmYc3HsPd9gFa2EuU")
    found = part(gatehouse, "token keys", 1)
    assert found["state"] == "problem"
    assert all(word in found["remedy"] for word in ("GATEHOUSE_SECRET_KEY_BEFORE", "gatehouse token-keys rotate"))
    monkeypatch.setenv("GATEHOUSE_SECRET_KEY_BEFORE", before)
    found = part(gatehouse, "token keys")
    assert (found["state"], "gatehouse token-keys reseal" in found["remedy"]) == ("warning", True)
    gatehouse("token-keys", "reseal")
    monkeypatch.delenv("GATEHOUSE_SECRET_KEY_BEFORE")
    assert part(gatehouse, "token keys")["state"] == "ok"
    monkeypatch.setenv("GATEHOUSE_SECRET_KEY", before)
    part(gatehouse, "token keys", 1)
    gatehouse("token-keys", "rotate")
    assert part(gatehouse, "token keys")["state"] == "ok", "what is rotated away need not be opened"


def test_redis_is_asked_when_it_is_set(gatehouse: Any, valkey_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEHOUSE_REDIS_URL", valkey_url)
    assert part(gatehouse, "redis")["state"] == "ok"
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    monkeypatch.setenv("GATEHOUSE_REDIS_URL", f"redis://127.0.0.1:{port}/0")
    found = part(gatehouse, "redis", 1)
    assert "GATEHOUSE_REDIS_URL" in found["remedy"]
    assert "it does not answer (connection refused): " in found["detail"]
    monkeypatch.setenv("GATEHOUSE_REDIS_URL", "redis://:hidden/word@127.0.0.1:1/0")
    assert "hidden" not in str(part(gatehouse, "redis", 1))


def test_keys_that_are_missing_or_no_keys_are_named(gatehouse: Any, state_dir: Path) -> None:
    (state_dir / "trusted-keys" / "0123456789abcdef.pem").write_text("no key")
    assert part(gatehouse, "trusted keys", 1)["state"] == "problem"
    shutil.rmtree(state_dir / "trusted-keys")
    assert "publishing-keys trust" in part(gatehouse, "trusted keys")["remedy"]


def test_a_disk_that_is_almost_full_and_too_few_open_files_are_named(gatehouse: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEHOUSE_SPOOL_MIN_FREE_BYTES", str(2**60))
    assert "503" in part(gatehouse, "disk", 1)["detail"]
    monkeypatch.setenv("GATEHOUSE_SPOOL_MIN_FREE_BYTES", "0")
    monkeypatch.setenv("GATEHOUSE_MAX_CONNECTIONS", str(2**40))
    assert "ulimit -n" in part(gatehouse, "open files")["remedy"]


def test_usage_that_waits_while_nobody_serves_is_named(gatehouse: Any, state_dir: Path) -> None:
    (state_dir / "spool").mkdir()
    (state_dir / "spool" / "prc_00.1.ndjson").write_bytes(b"{}\n")
    found = part(gatehouse, "spool")
    assert (found["state"], found["detail"]) == ("warning", "usage waits in 1 file and nobody serves")


def test_a_port_that_something_else_uses_is_a_problem(gatehouse: Any) -> None:
    port = int(os.environ["GATEHOUSE_LISTEN_PORT"])
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen(0)
        assert "GATEHOUSE_LISTEN_PORT" in part(gatehouse, "port", 1)["remedy"]

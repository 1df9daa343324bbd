"""deploy/nginx.conf in nginx itself: its syntax, and a rolling restart of two replicas behind it."""

import subprocess
from pathlib import Path

import pytest
from nginx import nginx_before, nginx_program, one_server_written_for, written_for
from rolling import rolling_restart
from serving_process import free_port
from stage import Stage


@pytest.mark.nginx
def test_nginx_takes_the_file(tmp_path: Path) -> None:
    check(tmp_path, written_for(tmp_path, (8001, 8002), "127.0.0.1:8443 ssl"))


@pytest.mark.nginx
def test_nginx_takes_the_file_for_one_server(tmp_path: Path) -> None:
    check(tmp_path, one_server_written_for(tmp_path))


def check(tmp_path: Path, file: Path) -> None:
    done = subprocess.run([nginx_program(), "-t", "-p", str(tmp_path), "-c", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "[warn]" not in done.stderr


@pytest.mark.soak
def test_row_101_a_rolling_restart_behind_nginx_fails_no_call(stage: Stage, tmp_path: Path) -> None:
    folder = tmp_path / "nginx"
    folder.mkdir()
    statuses = rolling_restart(
        stage, lambda *ports: nginx_before(folder, (ports[0], ports[1]), free_port()), rounds=2, callers=8, drain_s="5"
    )
    assert set(statuses) == {200}, statuses

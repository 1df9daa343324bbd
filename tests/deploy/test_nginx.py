"""deploy/nginx.conf in nginx itself: its syntax, and a rolling restart of two replicas behind it."""

import ssl
import subprocess
from ipaddress import ip_network
from pathlib import Path

import httpx2
import pytest
from nginx import nginx_before, nginx_on, nginx_program, one_server_written_for, written_for
from rolling import rolling_restart
from serving_process import free_port
from stage import IRIS_ROW, Stage, instances


@pytest.mark.nginx
def test_nginx_takes_the_file(tmp_path: Path) -> None:
    check(tmp_path, written_for(tmp_path, (8001, 8002), "127.0.0.1:8443 ssl"))


@pytest.mark.nginx
def test_nginx_takes_the_file_for_one_server(tmp_path: Path) -> None:
    check(tmp_path, one_server_written_for(tmp_path))


@pytest.mark.nginx
@pytest.mark.endpoints("iris v1")
def test_nginx_before_one_server_ends_tls_and_tells_who_calls(stage: Stage, tmp_path: Path) -> None:
    folder, port = tmp_path / "nginx", free_port()
    folder.mkdir()
    stage.tenant("acme", "iris")
    here, elsewhere = (stage.key("acme", networks=(ip_network(each),)) for each in ("127.0.0.2/32", "192.0.2.0/24"))
    with stage.serving(trusted_proxies="127.0.0.1/32") as live, nginx_on(folder, one_server_written_for(folder, live.port, port), port):
        trusted = ssl.create_default_context(cafile=str(folder / "fullchain.pem"))
        trusted.check_hostname = False  # nginx's certificate is for a name alone

        def status(key: str, **headers: str) -> int:
            transport = httpx2.HTTPTransport(verify=trusted, local_address="127.0.0.2")  # nginx itself calls from 127.0.0.1
            with httpx2.Client(base_url=f"https://127.0.0.1:{port}", transport=transport) as client:
                sent = {"authorization": f"Bearer {key}", **headers}
                return client.post("/v1/models/iris/predict", json=instances(IRIS_ROW), headers=sent).status_code

        assert (status(here), status(elsewhere)) == (200, 401)
        assert status(elsewhere, **{"x-forwarded-for": "192.0.2.7"}) == 401, "what a caller says of itself is not believed"


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

"""deploy/compose.yaml names what there is: settings, files, replicas, and a time to stop that is long enough."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from gatehouse.cli.serve import longest_call_s
from gatehouse.settings import settings_from

DEPLOY = Path(__file__).parents[2] / "deploy"
SECRETS = {
    "GATEHOUSE_SECRET_KEY": "kQ3vW8xZ1mB6nT9pL2rY5uH7jD4gF0sA",
    "GATEHOUSE_KEY_PEPPER": "a8Zt2Xq5Lw9Rm4Kc7Vn1Bj6Hp3Fd0GyE",
    "GATEHOUSE_AUDIT_KEY": "e5Kx9Tq2Mv7Wz4Rb8Nc1Yf6Lj3Hg0PdS",
}


@pytest.fixture
def services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))["services"]
    return found


def test_the_replicas_have_settings_that_a_server_takes_and_time_to_end(services: dict[str, Any], tmp_path: Path) -> None:
    for name in ("replica-1", "replica-2"):
        given = services[name]["environment"]
        plain = {
            key: re.sub(r"\$\{(\w+):\?.*?\}", "https://api.example.org" if "URL" in key else "x", value) for key, value in given.items()
        }
        plain["GATEHOUSE_DATABASE_URL"] = "postgresql://gatehouse:x@postgresql/gatehouse"
        settings = settings_from(plain | SECRETS, tmp_path)
        assert int(services[name]["stop_grace_period"].rstrip("s")) >= 2 * settings.drain_s + longest_call_s(settings) + 2
        assert settings.trusted_proxies == services["nginx"]["networks"]["inside"]["ipv4_address"]


def test_no_secret_has_a_default(services: dict[str, Any]) -> None:
    text = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
    assert not re.findall(r"\$\{\w+(?!\w|:\?)", text)
    for name in SECRETS:
        assert services["replica-1"]["environment"][name].startswith(f"${{{name}:?")


def test_nginx_goes_to_each_replica_and_reads_the_file_beside_it(services: dict[str, Any]) -> None:
    conf = (DEPLOY / "nginx.conf").read_text(encoding="utf-8")
    assert re.findall(r"server (\S+):8000", conf) == [name for name in services if name.startswith("replica-")]
    assert "./nginx.conf:/etc/nginx/nginx.conf:ro" in services["nginx"]["volumes"]
    published = {name for name, service in services.items() if "ports" in service}
    assert published == {"nginx"}

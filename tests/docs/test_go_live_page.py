"""docs/go-live.md, followed word by word from an empty folder; what needs root, DNS or systemd stands in for itself (see one_machine)."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from secrets import token_urlsafe
from typing import Any

import pytest
from documents import ROOT, blocks, run_block
from one_machine import Machine, one_machine, unit_of
from secrecy import remember
from stage import free_port
from target_server import certificate
from tls_front import tls_front

from gatehouse.cli import COMMANDS
from gatehouse.cli.finding import Finding, say_findings
from gatehouse.cli.serve import longest_call_s
from gatehouse.server.open_files import FILES_BESIDE_CONNECTIONS
from gatehouse.settings import Settings, settings_from

PAGE = ROOT / "docs" / "go-live.md"
DEPLOY = ROOT / "deploy"
TICK = re.compile(r"^\| ☐ \| `([^`]+)` \|", re.MULTILINE)
VERSION = re.compile(r"\w+ \d+\.\d+\.\d+")


@dataclass(frozen=True, slots=True)
class Followed:
    """The page was followed to its end."""

    machine: Machine
    printed: str
    doctor: dict[str, Any]


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory, published: Path) -> Iterator[Followed]:
    """All blocks in one shell, with the page's address and port on this machine."""
    folder = tmp_path_factory.mktemp("go-live")
    tls, _ = certificate(folder, "localhost", timedelta(days=60))
    port = free_port()
    with one_machine(folder / "machine") as machine, tls_front(port, tls) as public:
        repository = folder / "repository"
        _repository(repository, machine, published)
        trusted = {"CURL_CA_BUNDLE": str(folder / "localhost.pem"), "SSL_CERT_FILE": str(folder / "localhost.pem")}
        page = machine.placed("\n".join(blocks(PAGE, "sh"))).replace("MODEL=customers\n", "MODEL=iris\n")
        page = page.replace("https://api.example.org", f"https://localhost:{public}").replace("127.0.0.1:8000", f"127.0.0.1:{port}")
        page = page.replace(
            "TRUSTED_PROXIES=127.0.0.1\n", f"TRUSTED_PROXIES=127.0.0.1\nGATEHOUSE_LISTEN_PORT={port}\nGATEHOUSE_DRAIN_S=0\n"
        )
        printed = run_block(page + "\necho; gatehouse doctor --json\n", repository, machine.environment | trusted)
        for key in re.findall(r"gate_\w+", printed):
            remember(key)
        yield Followed(machine, printed, json.loads(next(line for line in printed.splitlines() if '"findings"' in line)))


def _repository(folder: Path, machine: Machine, published: Path) -> None:
    """What the page needs of the repository, and what was published in it."""
    (folder / "deploy").mkdir(parents=True)
    for file in DEPLOY.iterdir():
        if file.is_file():
            (folder / "deploy" / file.name).write_text(machine.placed(file.read_text(encoding="utf-8")), encoding="utf-8")
    for name in ("models", "trusted-keys"):
        shutil.copytree(published / name, folder / ".gatehouse" / name)


@pytest.fixture(scope="module")
def service() -> Any:
    return unit_of(DEPLOY / "gatehouse.service")["Service"]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """The defaults."""
    return settings_from({f"GATEHOUSE_{name}": token_urlsafe(32) for name in ("SECRET_KEY", "KEY_PEPPER", "AUDIT_KEY")}, tmp_path)


def test_the_page_leads_to_a_server_that_answers_at_the_public_address_and_a_tenant_that_is_let_in(followed: Followed) -> None:
    assert followed.printed.count('{"status":"ready"}') == 2
    assert "✗" not in followed.printed
    assert followed.printed.count("✓") == 8
    written = followed.machine.root.parent / "repository"
    assert (written / "first.backup").stat().st_size > 10_000
    assert "https://localhost:" in (written / "acme.md").read_text(encoding="utf-8")


def test_the_model_is_the_one_that_the_page_before_publishes(followed: Followed) -> None:
    page = PAGE.read_text(encoding="utf-8")
    (model,) = re.findall(r"^MODEL=(\w+)$", page, re.MULTILINE)
    assert f"models publish {model}.joblib" in (ROOT / "docs" / "publish-your-model.md").read_text(encoding="utf-8")
    assert "iris" not in page
    assert "iris/v1" in followed.printed


def test_the_tick_list_is_what_doctor_finds_there_and_all_of_it_is_ok(followed: Followed) -> None:
    found = {VERSION.sub("MODEL VERSION", each["part"]): each for each in followed.doctor["findings"]}
    ticks = TICK.findall(PAGE.read_text(encoding="utf-8"))
    assert ticks == list(found)
    assert {part: each for part, each in found.items() if each["state"] != "ok"} == {}


def test_a_warning_ends_doctor_with_0_and_the_page_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    say_findings([Finding("disk", "warning", "it is small")], json=False)
    assert "warning" in capsys.readouterr().out
    assert "exit code 0: no problem was found; warnings are yours to judge" in PAGE.read_text(encoding="utf-8")


def test_what_doctor_may_find_beside_the_tick_list_comes_only_where_there_is_something_to_say() -> None:
    runbook = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")  # has a heading for each part, see test_runbook_page.py
    ticks = set(TICK.findall(PAGE.read_text(encoding="utf-8")))
    assert set(re.findall(r"`doctor: ([^`]+)`", runbook)) - ticks == {"redis", "ENDPOINT", "GATEHOUSE_…"}


def test_root_was_asked_for_the_user_the_folder_the_program_and_the_services_alone(followed: Followed) -> None:
    told = [line.replace(str(followed.machine.root), "") for line in followed.machine.told]
    assert told == [
        "useradd --system --home-dir /var/lib/gatehouse --shell /usr/sbin/nologin gatehouse",
        "install -d -o gatehouse -g gatehouse -m 700 /var/lib/gatehouse",
        "uv sync --frozen --no-dev --no-editable --compile-bytecode",
        "install -m 644 deploy/gatehouse.service /etc/systemd/system/gatehouse.service",
        "systemctl daemon-reload",
        "systemctl enable --now gatehouse",
        "install -m 644 deploy/Caddyfile /etc/caddy/Caddyfile",
        "systemctl reload caddy",
        "install -m 644 deploy/nginx-one-server.conf /etc/nginx/conf.d/gatehouse.conf",
        "systemctl reload nginx",
    ]


def test_the_unit_starts_the_server_as_the_pages_user_in_the_pages_folder(service: Any) -> None:
    page = PAGE.read_text(encoding="utf-8")
    program, command = service["ExecStart"].split()
    assert (command in COMMANDS, f"UV_PROJECT_ENVIRONMENT={Path(program).parents[1]} " in page) == (True, True)
    folder = service["Environment"].removeprefix("GATEHOUSE_STATE_DIR=")
    assert folder == service["ReadWritePaths"] == service["WorkingDirectory"]
    assert f"install -d -o {service['User']} -g {service['Group']} -m 700 {folder}\n" in page
    assert f"--home-dir {folder} --shell /usr/sbin/nologin {service['User']}\n" in page


def test_the_unit_leaves_time_for_calls_and_room_for_connections(service: Any, settings: Settings) -> None:
    assert int(service["TimeoutStopSec"]) >= 2 * settings.drain_s + longest_call_s(settings) + 2
    assert int(service["LimitNOFILE"]) == settings.max_connections + FILES_BESIDE_CONNECTIONS


def test_systemd_takes_the_unit_where_there_is_one(followed: Followed) -> None:
    file = Path(f"{followed.machine.root}/etc/systemd/system/gatehouse.service")
    assert unit_of(file).sections() == ["Unit", "Service", "Install"]
    if shutil.which("systemd-analyze"):
        done = subprocess.run(["systemd-analyze", "verify", "--recursive-errors=no", file], capture_output=True, text=True, check=False)
        said = [line for line in done.stderr.splitlines() if "gatehouse.service" in line]
        assert (done.returncode, said) == (0, [])


def test_both_proxies_lead_to_the_servers_port_and_close_idle_connections_before_it_does(settings: Settings) -> None:
    caddy, nginx = ((DEPLOY / name).read_text(encoding="utf-8") for name in ("Caddyfile", "nginx-one-server.conf"))
    there = f"127.0.0.1:{settings.listen_port}"
    assert re.findall(r"reverse_proxy (\S+)", caddy) == re.findall(r"server (\S+:\d+);", nginx) == [there]
    assert int(re.findall(r"keepalive (\d+)s", caddy)[0]) < settings.idle_deadline_s
    assert int(re.findall(r"keepalive_timeout (\d+)s", nginx)[0]) < min(settings.drain_s, settings.idle_deadline_s)
    assert caddy.count("{") == caddy.count("}") == 3
    assert "X-Forwarded-For $proxy_add_x_forwarded_for" in nginx
    assert all("api.example.org" in text for text in (caddy, nginx))
    if shutil.which("caddy"):
        subprocess.run(["caddy", "validate", "--adapter", "caddyfile", "--config", str(DEPLOY / "Caddyfile")], check=True)

"""What the program is made of is known, to the digest."""

import json
import os
import re
import subprocess
import sys
import threading
import tomllib
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from stage import ROOT, free_port


def test_row_105_the_bill_of_materials_names_every_locked_part_of_the_server() -> None:
    uv = str(Path(sys.executable).with_name("uv"))
    done = subprocess.run(
        [uv, "export", "--quiet", "--frozen", "--offline", "--no-dev", "--format", "cyclonedx1.5"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    parts = {part["name"]: part for part in json.loads(done.stdout)["components"]}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for dependency in project["dependencies"]:
        name = dependency.split("[")[0].split(">")[0].split("=")[0].lower()
        assert name in parts
    assert "pytest" not in parts
    assert all(part["purl"].startswith(f"pkg:pypi/{part['name']}@") for part in parts.values())


def test_row_105_every_file_of_the_lock_has_its_digest() -> None:
    lock = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))
    files = [file for package in lock["package"] for file in [*package.get("wheels", []), *filter(None, [package.get("sdist")])]]
    assert len(files) > 100
    assert all(file["hash"].startswith("sha256:") for file in files)


Advisories = Callable[..., str]


@pytest.fixture
def advisories() -> Iterator[Advisories]:
    """Serves what osv.dev would answer, were these packages known to be vulnerable; returns its address."""
    servers: list[ThreadingHTTPServer] = []

    def serve(*vulnerable: str) -> str:
        class Service(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
                found = [self.known(query["package"]["name"]) for query in asked.get("queries", [asked])]
                self.say({"results": found} if "queries" in asked else found[0])

            def do_GET(self) -> None:
                events = [{"introduced": "0"}, {"fixed": "99.0"}]
                ranges = [{"type": "ECOSYSTEM", "events": events}]
                affected = [{"package": {"ecosystem": "PyPI", "name": name}, "ranges": ranges} for name in vulnerable]
                self.say({"id": "GHSA-of-a-test", "summary": "made up", "modified": "2026-01-01T00:00:00Z", "affected": affected})

            def known(self, name: str) -> dict[str, Any]:
                return {"vulns": [{"id": "GHSA-of-a-test", "modified": "2026-01-01T00:00:00Z"}]} if name in vulnerable else {}

            def say(self, value: Any) -> None:
                body = json.dumps(value).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def audited(service: str) -> tuple[int, str, str]:
    command = [sys.executable, str(ROOT / "scripts" / "audit_dependencies.py"), "--service-url", service]
    once = os.environ | {"UV_HTTP_RETRIES": "0"}
    done = subprocess.run(command, env=once, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def test_row_105_an_audit_without_a_finding_ends_well(advisories: Advisories) -> None:
    code, out, _ = audited(advisories())
    assert code == 0
    assert "no known vulnerabilities" in out
    assert re.search(r"swagger-ui-dist [0-9.]+: none known", out)


@pytest.mark.parametrize("name", ["numpy", "swagger-ui-dist"])
def test_row_105_a_known_vulnerability_fails_the_audit_by_name(advisories: Advisories, name: str) -> None:
    code, out, _ = audited(advisories(name))
    assert code == 1
    assert name in out
    assert "GHSA-of-a-test" in out


def test_row_105_an_audit_that_cannot_ask_says_so_in_one_line() -> None:
    code, _, error = audited(f"http://127.0.0.1:{free_port()}")
    assert code == 2
    assert error.count("\n") == 1
    assert "could not be asked" in error

"""A machine on which docs/go-live.md is followed: its places lie below a folder, and what needs root stands in for itself.

`sudo` runs the command, `useradd` and `install -o` note whom they are told of, `uv sync` puts the tests' environment where it is to put
one, and `systemctl` starts what the unit says, by the unit alone.
"""

import configparser
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PLACES = ("/var/lib/gatehouse", "/opt/gatehouse", "/etc/systemd/system", "/etc/caddy", "/etc/nginx/conf.d")
SUDO = """if [ "$1" = -u ]; then [ "$2" = gatehouse ]; shift 2; fi
exec "$@"
"""
USERADD = 'echo "useradd $*" >> "$MACHINE/told"\n'
INSTALL = """echo "install $*" >> "$MACHINE/told"
while [ "${1#-[og]}" != "$1" ] || [ "$1" = -d ]; do if [ "$1" = -d ]; then folder=-d; shift; else shift 2; fi; done
exec /usr/bin/install ${folder:-} "$@"
"""
UV = """echo "uv $*" >> "$MACHINE/told"
mkdir -p "$(dirname "$UV_PROJECT_ENVIRONMENT")"
ln -s "$PYTHON_PREFIX" "$UV_PROJECT_ENVIRONMENT"
"""
SYSTEMCTL = """echo "systemctl $*" >> "$MACHINE/told"
if [ "$*" = "enable --now gatehouse" ]; then exec "$PYTHON" "$UNIT_RUNNER" "$MACHINE"; fi
"""
PROGRAMS = {"sudo": SUDO, "useradd": USERADD, "install": INSTALL, "uv": UV, "systemctl": SYSTEMCTL}


@dataclass(frozen=True, slots=True)
class Machine:
    """`root` is what stands for `/`."""

    root: Path
    environment: dict[str, str]

    def placed(self, text: str) -> str:
        """With each place of the page below the root."""
        for place in PLACES:
            text = text.replace(place, f"{self.root}{place}")
        return text

    @property
    def told(self) -> list[str]:
        """What the programs that need root were told, line by line."""
        return (self.root / "told").read_text(encoding="utf-8").splitlines()


@contextmanager
def one_machine(root: Path) -> Iterator[Machine]:
    """At the end, the service is ended as systemd would."""
    programs = root / "bin"
    programs.mkdir(parents=True)
    for name, script in PROGRAMS.items():
        file = programs / name
        file.write_text(f"#!/bin/sh\nset -eu\n{script}")
        file.chmod(0o755)
    for place in PLACES[2:]:
        Path(f"{root}{place}").mkdir(parents=True)
    plain = {name: value for name, value in os.environ.items() if not name.startswith("GATEHOUSE_")}
    own = {"MACHINE": str(root), "PYTHON": sys.executable, "PYTHON_PREFIX": sys.prefix, "UNIT_RUNNER": __file__}
    machine = Machine(root, plain | own | {"PATH": f"{programs}:{os.environ['PATH']}"})
    try:
        yield machine
    finally:
        _end_service(root)


def unit_of(file: Path) -> configparser.ConfigParser:
    """A unit as systemd reads it: names in their case, `#` and `;` begin a comment where they begin a line."""
    unit = configparser.ConfigParser(strict=False, interpolation=None, delimiters=("=",), comment_prefixes=("#", ";"))
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(file.read_text(encoding="utf-8"))
    return unit


def start_service(root: Path) -> None:
    """What the unit says, with its environment and nothing else of GATEHOUSE_…"""
    service = unit_of(Path(f"{root}/etc/systemd/system/gatehouse.service"))["Service"]
    given = dict(each.split("=", 1) for each in service["Environment"].split())
    command, folder = service["ExecStart"].split(), service["WorkingDirectory"]
    with (root / "service.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=os.environ | given, stdout=log, stderr=log, start_new_session=True)
    (root / "service.pid").write_text(str(process.pid))


def _end_service(root: Path) -> None:
    from stage import wait_until  # with much that the unit's start need not wait for

    file = root / "service.pid"
    if file.exists():
        process_id = int(file.read_text())
        os.kill(process_id, signal.SIGTERM)
        wait_until(lambda: not _runs(process_id), 40)


def _runs(process_id: int) -> bool:
    """Whether it has not ended, also where nobody takes its exit code."""
    try:
        state = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


if __name__ == "__main__":
    start_service(Path(sys.argv[1]))

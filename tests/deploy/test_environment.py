"""`scripts/environment.sh` where a machine lacks what it needs: one line that says what to do, no stack trace."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from documents import ROOT


def made(folder: Path, *programs: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """The script in a copy of what it reads, with these programs and the system's alone in PATH."""
    (folder / "bin").mkdir()
    (folder / "copy").mkdir(exist_ok=True)
    for program in (*programs, *(Path(shutil.which(name) or name) for name in ("sh", "date", "tail", "tr"))):
        (folder / "bin" / program.name).symlink_to(program)
    for name in ("scripts", "uv.lock", "pyproject.toml"):
        (folder / "copy" / name).symlink_to(ROOT / name)
    environment = {"PATH": str(folder / "bin"), "HOME": str(folder), **more}
    return subprocess.run(
        ["sh", "scripts/environment.sh"], cwd=folder / "copy", env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def test_a_python_that_is_too_old_is_no_python(tmp_path: Path) -> None:
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")  # says of itself that it is out of range
    old.chmod(0o755)
    ended = made(tmp_path, old)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith("Gatehouse needs Python 3.11, 3.12 or 3.13 in PATH: install one (")
    assert ended.stderr.count("\n") == 1
    assert not (tmp_path / "copy" / ".venv").exists()


def test_an_index_that_cannot_be_reached_is_said_in_one_line(tmp_path: Path) -> None:
    """In an environment that is there, by its pip, which takes no package for present and may change none."""
    python = tmp_path / "copy" / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    pip = {"IGNORE_INSTALLED": "1", "DRY_RUN": "1", "INDEX_URL": "http://127.0.0.1:9/simple", "RETRIES": "0", "CONFIG_FILE": "/dev/null"}
    ended = made(tmp_path, **{f"PIP_{name}": value for name, value in pip.items()})
    assert (ended.returncode, ended.stdout) == (1, "Making .venv from uv.lock (a minute or two the first time) ...\n")
    assert ended.stderr.startswith("The packages cannot be had (ERROR: Could not find a version that satisfies the requirement uv")
    assert ended.stderr.endswith("see that the package index can be reached (behind a proxy set HTTPS_PROXY), then try again.\n")
    assert ended.stderr.count("\n") == 1


def test_no_package_needs_a_compiler() -> None:
    """Each has wheels for the systems on which a server runs, and for those of developers; the rest is pure Python."""
    packages = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))["package"]
    assert len(packages) > 100
    for package in packages:
        if package["source"] != {"editable": "."}:
            wheels = [each["url"].rpartition("/")[2] for each in package.get("wheels", ())]
            assert any("-none-any" in name for name in wheels) or all(
                any(re.search(system, name) for name in wheels)
                for system in ("manylinux.*_x86_64", "manylinux.*_aarch64", "macosx.*_(arm64|universal2)")
            ), package["name"]

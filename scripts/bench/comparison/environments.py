"""What only the bench needs is installed under .bench/, so that the environment of the server and the tests stays free of it."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
BENCH = ROOT / ".bench"
BASELINES = Path(__file__).parent / "baselines"
QUIET = ("--quiet", "--disable-pip-version-check", "--no-input", "--root-user-action=ignore")


class NotInstalled(Exception):
    """Packages could not be installed."""


def packages(name: str, requirements: Path) -> Path:
    """A folder for PYTHONPATH beside our own packages. Raises NotInstalled."""
    folder = BENCH / name
    if _stale(folder, requirements):
        _pip(sys.executable, requirements, "--target", str(folder), "--upgrade")
        _stamp(folder, requirements)
    return folder


def interpreter(name: str, requirements: Path) -> Path:
    """The Python of a virtual environment of its own. Raises NotInstalled."""
    folder = BENCH / name
    python = folder / "bin" / "python"
    if _stale(folder, requirements):
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        _pip(str(python), requirements)
        _stamp(folder, requirements)
    return python


def _pip(python: str, requirements: Path, *words: str) -> None:
    print(f"Installing {requirements.name} for the bench, once ...", file=sys.stderr)
    command = [python, "-m", "pip", "install", *QUIET, *words, "--requirement", str(requirements)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotInstalled(f"{requirements.name}: {(done.stderr.strip().splitlines() or ['pip failed'])[-1]}")


def _stale(folder: Path, requirements: Path) -> bool:
    stamp = folder / "installed.txt"
    return not stamp.is_file() or stamp.read_bytes() != requirements.read_bytes()


def _stamp(folder: Path, requirements: Path) -> None:
    (folder / "installed.txt").write_bytes(requirements.read_bytes())

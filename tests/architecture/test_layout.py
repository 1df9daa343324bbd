"""Where things lie, and what must never lie there."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMES = [
    "platform/gatehouse",
    "models",
    "alembic",
    "tests",
    "scripts",
    "docs/adr",
    "deploy",
    ".env.example",
    "pyproject.toml",
    "uv.lock",
    "Dockerfile",
    "Makefile",
    "README.md",
    "CHANGELOG.md",
    "LICENSE",
    "NOTICE",
]


@pytest.mark.parametrize("name", NAMES)
def test_the_named_parts_of_the_repository_are_there(name: str) -> None:
    part = ROOT / name

    assert part.is_dir() or part.stat().st_size > 0


@pytest.mark.parametrize("folder", ["platform", "models", "alembic", "tests", "scripts"])
def test_no_folder_beside_the_package_becomes_a_package(folder: str) -> None:
    found = [file for file in (ROOT / folder).rglob("__init__.py") if ROOT / "platform" / "gatehouse" not in file.parents]

    assert found == []


def test_the_standard_librarys_platform_is_not_shadowed_in_the_repositorys_root() -> None:
    done = subprocess.run([sys.executable, "-m", "uvicorn", "--help"], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert "--port" in done.stdout


def test_no_trained_model_and_no_state_is_committed() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()

    kept_out = (".joblib", ".onnx", ".pkl", ".pickle", ".pem", ".db", "settings.env")
    assert [name for name in tracked if name.endswith(kept_out) or name.startswith((".gatehouse/", ".venv/"))] == []

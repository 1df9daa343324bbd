"""`make wheel`: builds the wheel and looks at what is in it: the package with its migrations and recipes, and nothing else."""

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NEEDED = (
    "gatehouse/__init__.py",
    "gatehouse/py.typed",
    "gatehouse/_alembic/env.py",
    "gatehouse/_alembic/script.py.mako",
    "gatehouse/_recipes/iris/train.py",
    "gatehouse/_recipes/iris/v1.toml",
    "gatehouse/api/assets/swagger/swagger-ui-bundle.js",
    "gatehouse/api/assets/swagger/LICENSE",
)


def build_wheel(folder: Path) -> Path:
    """The wheel, built with what `.venv` holds: no network."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def faults(names: list[str]) -> list[str]:
    """What is in the wheel and should not be, and what is missing."""
    found = [f"does not belong there: {name}" for name in names if not _belongs(name)]
    found += [f"missing: {name}" for name in NEEDED if name not in names]
    if not any(name.startswith("gatehouse/_alembic/versions/") and name.endswith(".py") for name in names):
        found.append("missing: the migrations under gatehouse/_alembic/versions/")
    return found


def _belongs(name: str) -> bool:
    top, _, rest = name.partition("/")
    if top.endswith(".dist-info"):
        return True
    odd = {"__pycache__", ".gatehouse", "tests", ".DS_Store"} & set(rest.split("/"))
    return top == "gatehouse" and not odd and not rest.endswith((".joblib", ".onnx", ".pkl", ".pem", ".env", ".db", ".map"))


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        wheel = build_wheel(Path(folder))
        with zipfile.ZipFile(wheel) as archive:
            names = [name for name in archive.namelist() if not name.endswith("/")]
    found = faults(names)
    for line in found:
        print(f"{wheel.name}: {line}", file=sys.stderr)
    if not found:
        print(f"{wheel.name}: {len(names)} files, the package, its migrations and recipes only.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

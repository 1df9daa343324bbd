"""`make serving-environment`: runs the Dockerfile's own `uv` steps in a temporary folder, and starts the server's module from the result.

Shows that the lock file alone is enough to serve: no tool of development, no converter, and the migrations lie in the package.
"""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STARTS = """
import importlib, importlib.util, pathlib, sys
importlib.import_module("gatehouse.app")
importlib.import_module("gatehouse.cli")
import gatehouse
package = pathlib.Path(gatehouse.__file__).parent
assert package.is_relative_to(sys.prefix), f"{package} is not installed"
assert list((package / "_alembic" / "versions").glob("*.py")), "the migrations are not in the package"
assert list((package / "_recipes").glob("*/train.py")), "the recipes of gatehouse dev are not in the package"
unwanted = [name for name in ("pytest", "mypy", "skl2onnx", "onnx", "hatchling") if importlib.util.find_spec(name)]
assert not unwanted, f"not needed to serve: {unwanted}"
"""


def build_steps(dockerfile: str) -> list[tuple[str, list[str]]]:
    """(`COPY` or `RUN`, words) of the build stage; of RUN only the `uv` commands."""
    stage = dockerfile.split("\nFROM ")[1]
    steps: list[tuple[str, list[str]]] = []
    for line in stage.splitlines():
        instruction, _, rest = line.partition(" ")
        words = shlex.split(rest) if instruction in ("COPY", "RUN") else []
        if instruction == "COPY" or words[:1] == ["uv"]:
            steps.append((instruction, words))
    return steps


def copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
    else:
        shutil.copy(source, target)


def build(folder: Path) -> Path:
    """Run the steps in the folder; returns the environment that they make there."""
    uv = str(Path(sys.executable).with_name("uv"))
    work, environment_folder = folder / "src", folder / "environment"
    work.mkdir()
    foreign = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "UV_PYTHON")}
    environment = foreign | {
        "UV_PROJECT_ENVIRONMENT": str(environment_folder),
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_PYTHON": sys.executable,
    }
    for instruction, words in build_steps((ROOT / "Dockerfile").read_text(encoding="utf-8")):
        if instruction == "COPY":
            *sources, target = words
            for source in sources:
                copy(ROOT / source, work / target)
            continue
        # the cache is only kept out of the image
        command = [uv, *(word for word in words[1:] if word != "--no-cache"), "--quiet"]
        subprocess.run(command, cwd=work, env=environment, check=True)
    return environment_folder


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        python = build(Path(folder)) / "bin" / "python"
        done = subprocess.run([python, "-I", "-c", STARTS], cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            print(done.stderr, file=sys.stderr)
            return 1
    print("The serving environment is complete: built by the Dockerfile's steps, the server's modules import.")
    return 0


if __name__ == "__main__":
    sys.exit(main())

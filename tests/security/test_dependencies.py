"""What the program is made of is known, to the digest."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

from stage import ROOT


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

"""SECURITY.md, row 104: the Dockerfile's last stage, run without Docker by its own user on a read-only tree, serves from /data alone."""

import compileall
import json
import os
import re
import runpy
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from container import ROOT, USER, Container, container, read_dockerfile
from stage import IRIS_ROW, Stage, free_port, instances, wait_until

PINNED = re.compile(r"python:3\.13-slim@sha256:[0-9a-f]{64}")
READY_S = 240.0


def test_row_104_every_base_is_pinned_by_its_digest() -> None:
    bases = read_dockerfile().bases
    assert len(bases) == 2
    assert [base for base in bases if not PINNED.fullmatch(base)] == []
    assert len(set(bases)) == 1, "what is built in the one runs in the other"


def test_row_104_the_image_serves_as_another_user_than_root_and_keeps_its_state_in_one_volume() -> None:
    file = read_dockerfile()
    assert file.user == str(USER)
    assert (file.entrypoint, file.command) == (["gatehouse"], ["serve"])
    assert {file.volume, file.workdir, file.environment["GATEHOUSE_STATE_DIR"]} == {"/data"}
    assert not [name for name in file.environment if "SECRET" in name or "KEY" in name or "PEPPER" in name]


def test_row_104_the_replicas_of_compose_run_it_read_only_but_for_that_volume() -> None:
    services = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text(encoding="utf-8"))["services"]
    for name in ("replica-1", "replica-2"):
        assert services[name]["read_only"] is True
        assert services[name]["cap_drop"] == ["ALL"]
        assert services[name]["volumes"] == [f"state:{read_dockerfile().volume}"]


def wheel_tree(folder: Path) -> Path:
    """The wheel, installed; what it needs is that of this environment: seconds instead of the minute that all of it takes."""
    built = folder / "wheel"
    built.mkdir()
    wheel = runpy.run_path(str(ROOT / "scripts" / "check_wheel.py"))["build_wheel"](built)
    tree = folder / "tree"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tree)], check=True)
    (packages,) = tree.glob("lib/python3*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    compileall.compile_dir(packages, quiet=2)  # as UV_COMPILE_BYTECODE does
    (packages / "needed.pth").write_text(f"{folder / 'needed'}\n")
    program = tree / "bin" / "gatehouse"
    program.write_text(f"#!{tree}/bin/python\nfrom gatehouse.cli import main\nmain()\n")
    program.chmod(0o755)
    return tree


def locked_tree(folder: Path) -> Path:
    """By the Dockerfile's own steps, from the lock file."""
    tree: Path = runpy.run_path(str(ROOT / "scripts" / "check_serving_environment.py"))["build"](folder)
    return tree


@pytest.fixture(params=["wheel", pytest.param("lock", marks=pytest.mark.soak)])
def image(request: pytest.FixtureRequest) -> Iterator[Container]:
    with tempfile.TemporaryDirectory(prefix="gatehouse-image-") as name:  # pytest's own folders are closed to other users
        folder = Path(name)
        folder.chmod(0o755)
        made = container(wheel_tree(folder) if request.param == "wheel" else locked_tree(folder), folder / "data")
        yield made
        for path in (made.tree, *made.tree.rglob("*")):  # or nobody but root can remove it
            if path.is_dir() and not path.is_symlink():
                path.chmod(0o755)


@contextmanager
def running(image: Container, log: Path, port: int, *command: str) -> Iterator[str]:
    """`docker run IMAGE COMMAND`, ready; its address."""
    url = f"http://127.0.0.1:{port}"
    environment = image.environment(GATEHOUSE_LISTEN_PORT=str(port), GATEHOUSE_DRAIN_S="0")
    with (
        log.open("wb") as output,
        subprocess.Popen(image.words(*command), cwd=image.data, env=environment, stdout=output, stderr=output) as process,
    ):
        try:
            wait_until(lambda: process.poll() is not None or is_ready(url), READY_S)
            assert process.poll() is None, log.read_text()
            assert is_healthy(image, environment)
            yield url
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) in (0, -signal.SIGTERM), log.read_text()


def is_ready(url: str) -> bool:
    try:
        urllib.request.urlopen(f"{url}/health/ready", timeout=5).close()
    except OSError:
        return False
    return True


def is_healthy(image: Container, environment: dict[str, str]) -> bool:
    """By the command of HEALTHCHECK."""
    return subprocess.run(image.words(*image.file.health), env=environment, capture_output=True, check=False).returncode == 0


def label(url: str, key: str) -> str:
    request = urllib.request.Request(f"{url}/v1/models/iris/predict", json.dumps(instances(IRIS_ROW)).encode())
    request.add_header("Authorization", f"Bearer {key}")
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=30) as answer:
        return str(json.load(answer)["predictions"][0]["label"])


def given(image: Container, stage: Stage) -> None:
    """What an operator has put into the volume: settings, published versions, a database."""
    stage.values["GATEHOUSE_DATABASE_URL"] = ""
    (stage.state_dir / "settings.env").write_text("".join(f"{name}={value}\n" for name, value in stage.values.items()))
    shutil.copytree(stage.state_dir, image.data, dirs_exist_ok=True)
    if os.geteuid() == 0:
        for path in (image.data, *image.data.rglob("*")):
            shutil.chown(path, USER, USER)


def nothing_else_is_written(image: Container, before: list[Path]) -> None:
    assert sorted(image.tree.rglob("*")) == before
    written = [path for path in image.data.rglob("*") if path.is_file()]
    assert {path.stat().st_uid for path in written} == {USER if os.geteuid() == 0 else os.geteuid()}
    assert writes(image, image.data / "probe")
    assert not writes(image, image.tree / "probe")


@pytest.mark.endpoints("iris v1")
def test_row_104_its_command_serves_and_writes_nothing_but_data(
    image: Container, tmp_path: Path, published: Path, sqlite_template: Path
) -> None:
    (tmp_path / "state").mkdir()
    shutil.copyfile(sqlite_template, tmp_path / "state" / "gatehouse.db")
    stage = Stage(tmp_path / "state", published, f"sqlite:///{tmp_path / 'state' / 'gatehouse.db'}", ["iris v1"])
    key = stage.tenant("acme", "iris")
    stage.close()
    given(image, stage)
    before = sorted(image.tree.rglob("*"))
    with running(image, tmp_path / "serve.log", free_port(), *image.file.entrypoint, *image.file.command) as url:
        assert label(url, key) == "setosa"
    nothing_else_is_written(image, before)


@pytest.mark.soak
def test_row_104_dev_does_what_make_run_does_and_writes_nothing_but_data(image: Container, tmp_path: Path) -> None:
    before = sorted(image.tree.rglob("*"))
    port, file = free_port(), image.file
    with running(image, tmp_path / "dev.log", port, *file.entrypoint, "dev") as url:
        (key,) = set(re.findall(r"gate_\w+", (tmp_path / "dev.log").read_text()))
        assert label(url, key) == "setosa"
    with running(image, tmp_path / "serve.log", port, *file.entrypoint, *file.command) as url:
        assert label(url, key) == "setosa"
    nothing_else_is_written(image, before)


def writes(image: Container, path: Path) -> bool:
    """Whether the image's user can make that file."""
    words = image.words("python", "-c", f"open({str(path)!r}, 'w')")
    return subprocess.run(words, env=image.environment(), capture_output=True, check=False).returncode == 0

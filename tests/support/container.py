"""What the Dockerfile says, and its last stage run without Docker: by another user, on a file system that is read-only but for /data."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
USER = 10001
INSTALLED = "/opt/gatehouse"
LENT = ("python", "needed")
"""Beside the tree: the interpreter that the image's base has, and the packages that are not installed in the tree."""
READ_ONLY = """
mount --make-rprivate / || exit 99
for name in python needed; do mount --bind "$(cat "$BESIDE/$name.from")" "$BESIDE/$name" || exit 99; done
mount --bind "$DATA" "$DATA" || exit 99
while read -r _ place kind _; do
  case "$kind $place" in
    proc\\ *|sysfs\\ *|devpts\\ *|mqueue\\ *|cgroup*|*\\ "$DATA") ;;
    *) mount -o remount,ro,bind "$place" 2>/dev/null ;;
  esac
done < /proc/mounts
exec "$@"
"""
"""Every mount of a namespace of its own becomes read-only but that of $DATA; then the command runs. What is lent is found by any user."""


@dataclass(frozen=True)
class Dockerfile:
    """Instructions of the stage that becomes the image; `bases` are those of all stages."""

    bases: list[str]
    user: str
    environment: dict[str, str]
    volume: str
    workdir: str
    entrypoint: list[str]
    command: list[str]
    health: list[str]


@dataclass(frozen=True)
class Container:
    """Where the tree and the data of the image lie here, and how a command is run in it."""

    tree: Path
    data: Path
    file: Dockerfile
    before: list[str] = field(default_factory=list)
    """What a command is run by; nothing where this user may not become another one."""

    def environment(self, **more: str) -> dict[str, str]:
        """That of the image alone, its folders being those here."""
        given = {
            name: value.replace(INSTALLED, str(self.tree)).replace("$PATH", os.defpath) for name, value in self.file.environment.items()
        }
        here = {name: str(self.data) if value == self.file.volume else value for name, value in given.items()}
        beside = self.tree.parent
        lent = {"DATA": str(self.data), "BESIDE": str(beside), "LD_LIBRARY_PATH": str(beside / "python" / "lib")}  # of a shared libpython
        return here | lent | more

    def words(self, *command: str) -> list[str]:
        """A command line; its program is that of the tree."""
        program, *arguments = command
        return [*self.before, str(self.tree / "bin" / program), *arguments]


def read_dockerfile() -> Dockerfile:
    lines = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text(encoding="utf-8")).splitlines()
    arguments = dict(line.removeprefix("ARG ").split("=", 1) for line in lines if line.startswith("ARG "))
    bases = [re.sub(r"\$\{(\w+)\}", lambda name: arguments[name[1]], line.split()[1]) for line in lines if line.startswith("FROM ")]
    last = lines[max(place for place, line in enumerate(lines) if line.startswith("FROM ")) :]
    said = {name: [line.partition(" ")[2] for line in last if line.startswith(f"{name} ")] for name in ("USER", "VOLUME", "WORKDIR", "ENV")}
    exec_forms = {
        name: [json.loads(line[line.index("[") :]) for line in last if line.startswith(name)]
        for name in ("ENTRYPOINT", "CMD", "HEALTHCHECK")
    }
    environment = dict(pair.split("=", 1) for line in said["ENV"] for pair in shlex.split(line))
    single = {name: found[0] for name, found in (said | exec_forms).items()}
    return Dockerfile(
        bases, single["USER"], environment, single["VOLUME"], single["WORKDIR"], single["ENTRYPOINT"], single["CMD"], single["HEALTHCHECK"]
    )


def container(tree: Path, data: Path) -> Container:
    """Of a tree that has been installed. Root becomes the image's user, in a namespace of its own where all else is read-only."""
    file = read_dockerfile()
    data.mkdir(mode=0o700)
    _lend(tree)
    for path in [tree, *tree.rglob("*")]:
        if not path.is_symlink():
            path.chmod(path.stat().st_mode & 0o555 | (0o555 if path.is_dir() else 0o444))
    made = Container(tree, data, file)
    if os.geteuid() == 0:
        shutil.chown(data, USER, USER)
        alone = ["unshare", "--mount", "sh", "-c", READ_ONLY, "sh"]
        less = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"]
        other = [*less, f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]
        for before in ([*alone, *other], other):
            made = Container(tree, data, file, before)
            if before is other:
                _link(tree)
            if _runs(made):
                return made
        raise RuntimeError("root of this machine can neither unshare mounts nor run its Python as another user")
    _link(tree)
    return made


def _lend(tree: Path) -> None:
    """Make the tree's interpreter that which will be beside it, since that of this machine may lie where only its owner can go."""
    for name, source in zip(LENT, (Path(sys.base_prefix), Path(pytest.__file__).parents[1]), strict=True):
        (tree.parent / name).mkdir()
        (tree.parent / f"{name}.from").write_text(str(source))
    settings = tree / "pyvenv.cfg"
    settings.write_text(re.sub(r"(?m)^home = .*$", f"home = {tree.parent / 'python' / 'bin'}", settings.read_text()))
    (tree / "bin" / "python").unlink()
    (tree / "bin" / "python").symlink_to(tree.parent / "python" / "bin" / f"python3.{sys.version_info.minor}")


def _link(tree: Path) -> None:
    """Without a namespace, what is lent is where it is."""
    for name in LENT:
        (tree.parent / name).rmdir()
        (tree.parent / name).symlink_to((tree.parent / f"{name}.from").read_text())


def _runs(image: Container) -> bool:
    """Whether the image's user runs the very interpreter that is lent."""
    words = image.words("python", "-c", "import sys, ssl, sqlite3; print(sys.version)")
    done = subprocess.run(words, env=image.environment(), capture_output=True, text=True, check=False)
    return done.returncode == 0 and done.stdout.strip() == sys.version

"""Nothing of a child process stays: neither its folder nor the processes that it started, also where the publisher was killed."""

import fcntl
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from gatehouse.serving.runtime import Runtime
from gatehouse.serving.scratch import OLD_S, remove_old, scratch_folder

PREFIX = "gatehouse-convert-"
NOW = 1_800_000_000.0
HOLDS_A_LOCK = """
import fcntl, subprocess, sys
from pathlib import Path

file = open(sys.argv[1], "w")
fcntl.flock(file, fcntl.LOCK_EX)
subprocess.Popen(["sleep", "60"], pass_fds=[file.fileno()])
Path(sys.argv[1] + ".started").touch()
subprocess.Popen(["sleep", "60"]).wait()
"""


def folder(within: Path, name: str, age_s: float) -> Path:
    made = within / name
    made.mkdir()
    (made / "model.joblib").write_bytes(b"x")
    os.utime(made, (NOW - age_s, NOW - age_s))
    return made


def test_old_folders_of_this_user_are_removed_and_nothing_else(tmp_path: Path) -> None:
    old = folder(tmp_path, f"{PREFIX}old", OLD_S + 1)
    kept = [folder(tmp_path, f"{PREFIX}new", OLD_S - 1), folder(tmp_path, "another-old", OLD_S + 1)]
    link = tmp_path / f"{PREFIX}link"
    link.symlink_to(kept[1])
    os.utime(link, (NOW - OLD_S - 1,) * 2, follow_symlinks=False)
    file = tmp_path / f"{PREFIX}file"
    file.touch()
    os.utime(file, (NOW - OLD_S - 1,) * 2)
    remove_old(tmp_path, PREFIX, NOW - OLD_S, os.getuid() + 1)
    assert old.is_dir()
    remove_old(tmp_path, PREFIX, NOW - OLD_S, os.getuid())
    assert not old.exists()
    assert link.is_symlink()
    assert file.is_file()
    assert all((each / "model.joblib").is_file() for each in kept)


def test_the_next_folder_comes_where_an_old_one_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    old = folder(tmp_path, f"{PREFIX}old", 0)
    os.utime(old, (time.time() - OLD_S - 60,) * 2)
    with scratch_folder(PREFIX) as made:
        assert made.parent == tmp_path
        assert made.stat().st_mode & 0o777 == 0o700
        assert not old.exists()
    assert list(tmp_path.iterdir()) == []


def test_at_the_end_of_its_time_a_childs_own_children_end_too(tmp_path: Path) -> None:
    (tmp_path / "holder.py").write_text(HOLDS_A_LOCK)
    lock = tmp_path / "lock"
    with pytest.raises(subprocess.TimeoutExpired):
        Runtime(Path(sys.executable), tmp_path).run("holder", [str(lock)], tmp_path, 3.0)
    assert (tmp_path / "lock.started").is_file()
    with lock.open() as file:
        end = time.monotonic() + 5
        while True:  # the lock is free when all that hold the file are gone
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                assert time.monotonic() < end, "a child of the child is still there"

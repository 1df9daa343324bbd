"""Files that are replaced as a whole: no link is followed on the way, and a failure leaves nothing behind and the one before in place."""

import os
import secrets
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from ended_within import ended_within

from gatehouse.cli.settings_file import change_settings, write_private
from gatehouse.cli.written_file import new_binary_file, written_file
from gatehouse.errors import Refused

ENDED = RuntimeError("in the middle")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "state"
    made.mkdir()
    return made


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """What a planted link leads to."""
    file = tmp_path / "precious"
    file.write_text("untouched")
    file.chmod(0o644)
    return file


def untouched(target: Path) -> bool:
    return target.read_text() == "untouched" and target.stat().st_mode & 0o777 == 0o644


@pytest.fixture
def guessed(monkeypatch: pytest.MonkeyPatch) -> str:
    """Whoever plants links has guessed the name."""
    monkeypatch.setattr(secrets, "token_hex", lambda _: "guessed")
    return "guessed"


def test_a_planted_link_is_not_followed_by_a_settings_file(folder: Path, target: Path, guessed: str) -> None:
    (folder / "settings.new").symlink_to(target)
    (folder / f".settings.env.{guessed}.unfinished").symlink_to(target)
    with pytest.raises(FileExistsError):
        write_private(folder / "settings.env", "GATEHOUSE_DOCS=off\n")
    assert untouched(target)
    write_private(folder / "settings.env", "GATEHOUSE_DOCS=off\n")
    assert untouched(target)
    assert (folder / "settings.env").read_text() == "GATEHOUSE_DOCS=off\n"
    assert (folder / "settings.env").stat().st_mode & 0o777 == 0o600
    assert not (folder / "settings.env").is_symlink()


def test_a_planted_link_is_not_followed_by_an_export(folder: Path, target: Path, guessed: str) -> None:
    for name in (".out.csv.unfinished", f".out.csv.{guessed}.unfinished"):
        (folder / name).symlink_to(target)
    with pytest.raises(Refused, match=r"out\.csv cannot be written: File exists"), written_file(folder / "out.csv"):
        raise AssertionError("the export began")
    assert untouched(target)
    with written_file(folder / "out.csv") as out:
        out.write("a,b\n")
    assert untouched(target)
    assert (folder / "out.csv").read_text() == "a,b\n"
    assert (folder / "out.csv").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("write", [written_file, new_binary_file])
def test_a_signal_that_ends_the_call_which_makes_the_file_leaves_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[Path], AbstractContextManager[Any]]
) -> None:
    monkeypatch.setattr(os, "open", ended_within(os.open))
    with pytest.raises(SystemExit), write(folder / "out"):
        raise AssertionError("the export began")
    assert list(folder.iterdir()) == []


def test_root_follows_no_link_of_another_user_to_a_file_that_is_not_theirs(
    folder: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = folder / "settings.env"
    link.symlink_to(target if os.geteuid() == 0 else "/dev/null")
    target.write_text("")
    if os.geteuid() == 0:
        os.lchown(link, 65534, 65534)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(Refused, match="made by another user"):
        change_settings(link, {"GATEHOUSE_DOCS": "off"})
    assert target.read_text() == ""


def test_a_link_of_ones_own_is_kept_and_its_file_changed(folder: Path, target: Path) -> None:
    target.write_text("GATEHOUSE_DOCS=open\n")
    link = folder / "settings.env"
    link.symlink_to(target)
    change_settings(link, {"GATEHOUSE_DOCS": "off"})
    assert link.is_symlink()
    assert target.read_text() == "GATEHOUSE_DOCS=off\n"


def test_a_failure_leaves_nothing_behind_and_the_file_before_in_place(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = folder / "settings.env"
    file.write_text("before")
    with pytest.raises(RuntimeError, match="middle"), written_file(file) as out:  # noqa: PT012
        out.write("half")
        raise ENDED

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_private(file, "after")
    assert file.read_text() == "before"
    assert [left.name for left in folder.iterdir()] == ["settings.env"]


def test_a_settings_file_is_on_the_disk_before_its_name_is_and_the_name_before_it_is_relied_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[tuple[str, int]] = []
    file, fsync = folder / "settings.env", os.fsync

    def heard(descriptor: int) -> None:
        steps.append(("folder" if os.path.samestat(os.fstat(descriptor), folder.stat()) else "file", file.exists()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", heard)
    write_private(file, "GATEHOUSE_DOCS=off\n")
    assert steps == [("file", False), ("folder", True)]


@pytest.mark.parametrize("out", ["/dev/null", "."])
def test_what_is_no_file_is_not_replaced(out: str, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.chdir(folder)
    with pytest.raises(Refused, match="it is no file"), written_file(Path(out)):
        raise AssertionError("the export began")
    assert Path("/dev/null").is_char_device()


def test_a_folder_that_is_not_there_is_said_in_one_line(folder: Path) -> None:
    said = r"cannot be written: No such file or directory; check the path$"
    with pytest.raises(Refused, match=said), written_file(folder / "no" / "out.csv"):
        raise AssertionError("the export began")

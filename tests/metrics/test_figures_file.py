"""The files of figures: whole or not there, of the living or of the ended, each count in exactly one of them."""

import os
from pathlib import Path

import pytest

from gatehouse.metrics.family import Family
from gatehouse.metrics.figures_file import ABANDONED_S, RECORD_BYTES, FiguresFile, read_others, remove_abandoned


def said(value: float) -> list[Family]:
    return [Family(name="calls_total", kind="counter", meaning="Calls.", samples={(): (value,)})]


def values(folder: Path, own: Path | None = None, server: str = "host-8000") -> list[tuple[float, bool]]:
    return [(families[0].samples[()][0], lives) for families, lives in read_others(folder, server, own)]


def test_each_process_says_its_own_and_is_known_to_live_until_it_has_ended(tmp_path: Path) -> None:
    one, two = (FiguresFile.open(tmp_path / "metrics", "host-8000", id) for id in ("prc_1", "prc_2"))
    one.write(said(1))
    two.write(said(2))
    one.write(said(3))
    assert values(tmp_path / "metrics") == [(3, True), (2, True)]
    assert values(tmp_path / "metrics", own=one.path) == [(2, True)]
    two.close()
    assert values(tmp_path / "metrics") == [(3, True), (2, False)]
    one.close()
    assert (tmp_path / "metrics").stat().st_mode & 0o777 == 0o700
    assert one.path.stat().st_mode & 0o777 == 0o600


def test_whoever_starts_goes_on_with_the_file_of_one_that_ended(tmp_path: Path) -> None:
    one = FiguresFile.open(tmp_path, "host-8000", "prc_1")
    one.write(said(5))
    one.close()
    again, other = (FiguresFile.open(tmp_path, "host-8000", id) for id in ("prc_2", "prc_3"))
    assert (again.path, again.before, other.before) == (one.path, said(5), [])
    assert values(tmp_path) == [(5, True)], "taken over, and counted once"
    again.write(said(6))
    assert values(tmp_path) == [(6, True)]
    again.close()
    other.close()


@pytest.mark.parametrize("torn", ["head", "body", "format"])
def test_a_record_that_was_cut_short_leaves_the_one_before_it(tmp_path: Path, torn: str) -> None:
    file = FiguresFile.open(tmp_path, "host-8000", "prc_1")
    file.write(said(1))
    file.write(said(2))
    file.close()
    with file.path.open("r+b") as raw:  # the second record is the first in the file
        raw.seek({"head": 12, "body": 30, "format": 17}[torn])
        raw.write(b"\xff\xff")
    assert values(tmp_path) == [(1, False)]
    again = FiguresFile.open(tmp_path, "host-8000", "prc_2")
    assert again.before == said(1)
    again.write(said(3))
    assert values(tmp_path) == [(3, True)]
    again.close()


def test_servers_of_other_ports_keep_to_themselves_and_their_old_files_go(tmp_path: Path) -> None:
    old, living = (FiguresFile.open(tmp_path, server, "prc_1") for server in ("host-8000", "host-9000"))
    assert FiguresFile.open(tmp_path, "host-7000", "prc_2").before == []
    for file in (old, living):
        file.write(said(1))
        os.utime(file.path, (1_000_000, 1_000_000))
    assert values(tmp_path, server="host-80") == []
    old.close()
    remove_abandoned(tmp_path, 1_000_000 + ABANDONED_S)
    assert old.path.exists()
    remove_abandoned(tmp_path, 1_000_001 + ABANDONED_S)
    assert not old.path.exists()
    assert living.path.exists(), "its process lives"
    living.close()


def test_more_than_a_record_holds_is_refused_and_harms_nothing(tmp_path: Path) -> None:
    file = FiguresFile.open(tmp_path, "host-8000", "prc_1")
    file.write(said(1))
    with pytest.raises(OSError, match="more than a record holds"):
        file.write([Family(name="x", kind="gauge", meaning="y" * RECORD_BYTES, samples={})])
    assert values(tmp_path) == [(1, True)]
    file.close()

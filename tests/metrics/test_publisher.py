"""The sums over all processes: never less than was shown before, whoever ends."""

from pathlib import Path

import pytest

from gatehouse.metrics.family import Family
from gatehouse.metrics.publisher import Publisher, server_families, server_name


class Process:
    """Counts, and knows what the others count."""

    def __init__(self, folder: Path, id: str) -> None:
        self.calls = 0
        self.publisher = Publisher(folder, "host-8000", id, self.families, every_s=3600)

    def families(self) -> list[Family]:
        counted = Family(name="calls_total", kind="counter", meaning="Calls.", samples={(): (self.calls,)})
        return [counted, Family(name="processes", kind="gauge", meaning="Processes.", samples={(): (1,)})]

    def sums(self) -> dict[str, float]:
        return {family.name: family.samples[()][0] for family in self.publisher.families()}

    def killed(self) -> None:
        """As the system does it: nothing is said, and its lock is free."""
        self.publisher._file.close()


def test_what_was_shown_once_is_kept_when_a_process_is_killed_and_replaced(tmp_path: Path) -> None:
    one, two = Process(tmp_path, "prc_1"), Process(tmp_path, "prc_2")
    one.calls, two.calls = 3, 4
    two.publisher.publish()
    assert one.sums() == {"calls_total": 7, "processes": 2}
    one.killed()
    assert two.sums() == {"calls_total": 7, "processes": 1}
    three = Process(tmp_path, "prc_3")
    assert two.sums() == {"calls_total": 7, "processes": 1}, "counted once while it is handed over"
    three.calls = 10
    assert three.sums() == {"calls_total": 17, "processes": 2}
    assert {family.name: family.samples[()][0] for family in server_families(tmp_path, "host-8000")} == {"calls_total": 17, "processes": 2}
    two.publisher.close()
    three.publisher.close()
    assert {family.name: family.samples[()][0] for family in server_families(tmp_path, "host-8000")} == {"calls_total": 17}


def test_the_last_word_of_a_process_that_ends_is_whole(tmp_path: Path) -> None:
    one = Process(tmp_path, "prc_1")
    one.calls = 5
    one.publisher.close()
    assert Process(tmp_path, "prc_2").sums()["calls_total"] == 5


def test_a_file_that_cannot_be_written_is_said_once_and_the_process_knows_its_own(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    one = Process(tmp_path, "prc_1")
    one.killed()
    one.calls = 2
    assert one.sums()["calls_total"] == one.sums()["calls_total"] == 2
    assert len([record for record in caplog.records if "stand still" in record.getMessage()]) == 1


def test_a_server_is_the_processes_of_one_port() -> None:
    assert server_name(8000) != server_name(8001)
    assert server_name(8000).replace("-", "").isalnum()

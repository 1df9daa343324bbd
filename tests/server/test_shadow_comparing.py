"""What a batch of calls comes to, whatever the other version or its process does: each is counted once, and only the guilty failed."""

import os
import signal
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from estimators import HANGING_SIZE, KILLING_SIZE, RAISING_SIZE, Wicked
from line_versions import TOML, publish_line, write_version
from stage import Stage

from gatehouse.db.session import Database
from gatehouse.migration.shadow_store import shadow_figures
from gatehouse.server.shadow_book import ShadowBook
from gatehouse.server.shadow_comparing import Comparing
from gatehouse.server.shadow_process import ShadowProcess
from gatehouse.server.shadow_queue import Answered, ShadowCall
from gatehouse.server.shadow_wire import Pair, Question, Reply, Score
from gatehouse.serving.manifest import GoldenRow

WICKED = Pair("line", "v1", "1.0.0", "v1", "1.5.0")
OTHER = Pair("line", "v1", "1.0.0", "v1", "1.1.0")
DAY = (datetime.now(UTC).date() - date(1970, 1, 1)).days


@pytest.fixture(scope="module")
def process(published: Path, module_stage: Stage) -> Iterator[ShadowProcess]:
    publish_line(published, module_stage, 1)
    write_version(published, module_stage, "line", "1.5.0", Wicked(5).fit([[1.5]], [1]), TOML, GoldenRow((1.5,), (6.5,)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[1] / "support"))
        started = ShadowProcess(module_stage.state_dir / "models", module_stage.state_dir / "trusted-keys")
        yield started
        started.end()


@pytest.fixture
def book(sqlite_database: Database) -> ShadowBook:
    return ShadowBook(sqlite_database)


@pytest.fixture
def comparing(process: ShadowProcess, book: ShadowBook) -> Comparing:
    process.end()
    return Comparing(process, book)


def call(size: float, tenant: str = "ada") -> ShadowCall:
    return ShadowCall(Answered("line", "v1", "1.0.0"), tenant, DAY, np.array([[size]]), np.array([size]), 16)


def counts(book: ShadowBook, database: Database) -> dict[str, tuple[int, int, int]]:
    """Compared, failed and dropped calls of each tenant."""
    book.flush()
    with database.read() as session:
        found = shadow_figures(session, "line", "v1", date(2026, 1, 1))
    return {each.tenant_id: (each.calls - each.failed - each.dropped, each.failed, each.dropped) for each in found}


def test_row_91_a_call_that_ends_the_process_fails_alone(comparing: Comparing, book: ShadowBook, sqlite_database: Database) -> None:
    comparing.score_s = 120.0  # its process begins anew five times, after everything else that runs here
    batch = [call(float(size)) for size in range(5)]
    comparing.compare(WICKED, [*batch[:3], call(KILLING_SIZE, "bob"), *batch[3:], call(RAISING_SIZE, "cyd"), call(1.0, "cyd")])
    assert counts(book, sqlite_database) == {"ada": (5, 0, 0), "bob": (0, 1, 0), "cyd": (1, 1, 0)}
    assert comparing.pairs.paused(WICKED)


def test_row_91_calls_that_hang_are_sought_for_a_while_only(
    comparing: Comparing, book: ShadowBook, process: ShadowProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Question] = []

    def ask(question: Question, *rest: Any) -> Reply:
        asked.append(question)
        return answer(question, *rest)

    answer = process.ask
    monkeypatch.setattr(process, "ask", ask)
    comparing.score_s = 0.3
    comparing.compare(WICKED, [call(HANGING_SIZE) for _ in range(64)])
    assert (book.compared, book.failed, book.dropped) == (0, 0, 64)
    scored = sum(isinstance(question, Score) for question in asked)
    assert 1 <= scored <= 4, "each takes its time; to find all of them, 127 would have to be asked"


def test_a_process_that_was_ended_between_two_batches_costs_no_call(comparing: Comparing, book: ShadowBook, process: ShadowProcess) -> None:
    comparing.compare(WICKED, [call(1.0)])
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    comparing.compare(WICKED, [call(1.0)])
    assert (book.compared, book.failed, book.dropped) == (2, 0, 0)
    assert not comparing.pairs.paused(WICKED)


def test_what_is_loaded_stays_so_whatever_is_released_meanwhile(comparing: Comparing, book: ShadowBook, process: ShadowProcess) -> None:
    """Of endpoints that were replaced since, each is still compared by what it was to be compared by."""
    comparing.compare(WICKED, [call(1.0)])
    pid = process.pid
    comparing.compare(OTHER, [call(1.0)])
    comparing.compare(WICKED, [call(1.0)])
    assert (book.compared, process.pid) == (3, pid)


def test_calls_that_cannot_be_handed_over_are_dropped(comparing: Comparing, book: ShadowBook) -> None:
    strange = call(1.0)._replace(values=np.array([[object()]], object))
    with pytest.raises(TypeError):
        comparing.compare(WICKED, [strange, strange])
    assert (book.compared, book.failed, book.dropped) == (0, 0, 2)


def test_calls_of_a_version_that_rests_are_dropped(comparing: Comparing, book: ShadowBook, process: ShadowProcess) -> None:
    missing = Pair("line", "v1", "1.0.0", "v1", "1.9.0")
    comparing.compare(missing, [call(1.0)])
    comparing.compare(missing, [call(1.0)])
    assert (book.compared, book.failed, book.dropped) == (0, 1, 1)
    comparing.compare(WICKED, [call(1.0)])
    assert book.compared == 1, "and others go on"

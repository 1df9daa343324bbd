"""PostgreSQL gone under load, in each way in which it goes: nothing answered is lost, and all of it is there exactly once afterwards."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from metered_load import Load, faults_of
from own_postgresql import OwnPostgresql
from serving_process import ServingProcess, serving_process
from sqlmodel import func, select
from stage import Stage, wait_until

from gatehouse.db.tables import UsageEventTable

WAYS = ["crashed", "hanging"]


@pytest.fixture
def stage(tmp_path: Path, published: Path, own_postgresql: OwnPostgresql) -> Iterator[Stage]:
    (tmp_path / "state").mkdir()
    made = Stage(tmp_path / "state", published, own_postgresql.new_database(), only=["iris v1"])
    yield made
    made.close()


@contextmanager
def loaded(stage: Stage, load: Load) -> Iterator[ServingProcess]:
    """A server that is called without a pause."""
    with serving_process(stage) as server:
        load.ports = [server.port]
        load.go.set()
        with load.running():
            load.goes_on(200)
            yield server


def outage_under_load(stage: Stage, own_postgresql: OwnPostgresql, way: str, seconds: float) -> tuple[Load, str]:
    """Returns what was called, and what the server said."""
    load = Load(stage.tenant("acme", "iris"))
    with loaded(stage, load) as server:
        with getattr(own_postgresql, way)():
            threading.Event().wait(seconds)
            load.goes_on(200)
        load.goes_on(200)
        load.stop()
        wait_until_taken(stage, load)  # by itself, not by its end
        assert server.terminate() in (0, -15)
        return load, server.log.read_text(encoding="utf-8")


def wait_until_taken(stage: Stage, load: Load) -> None:
    """Fails with what is not so."""
    try:
        wait_until(lambda: stored(stage) == len(load.read), 60)
    except AssertionError:
        raise AssertionError(f"{stored(stage)} events for {len(load.read)} answers after 60 s", faults_of(stage, load)) from None


def stored(stage: Stage) -> int:
    with stage.database.read() as session:
        return session.exec(select(func.count()).select_from(UsageEventTable)).one()


@pytest.mark.parametrize("way", WAYS)
def test_row_100_without_postgresql_each_answer_is_metered_once(stage: Stage, own_postgresql: OwnPostgresql, way: str) -> None:
    load, said = outage_under_load(stage, own_postgresql, way, 1)
    assert faults_of(stage, load) == []
    if way == "crashed":  # it takes longer to know that one hangs: see tests/db/test_watched_connection.py
        assert_said(said)


@pytest.mark.soak
@pytest.mark.parametrize("way", WAYS)
def test_row_100_a_minute_without_postgresql_loses_no_answer(stage: Stage, own_postgresql: OwnPostgresql, way: str) -> None:
    load, said = outage_under_load(stage, own_postgresql, way, 60)
    assert faults_of(stage, load) == []
    assert_said(said)


@pytest.mark.soak
@pytest.mark.parametrize("way", WAYS)
def test_row_100_a_server_that_ends_without_postgresql_leaves_all_of_it_to_the_next_one(
    stage: Stage, own_postgresql: OwnPostgresql, way: str
) -> None:
    load = Load(stage.tenant("acme", "iris"))
    with loaded(stage, load) as server, getattr(own_postgresql, way)():
        load.goes_on(200)
        load.stop()
        assert server.terminate(90) in (0, -15)
        assert "usage stays in the spool" in server.log.read_text(encoding="utf-8")
    with serving_process(stage) as server:
        wait_until_taken(stage, load)
        assert server.terminate() in (0, -15)
    assert faults_of(stage, load) == []


def assert_said(said: str) -> None:
    """Once for the outage, however often it was tried, and once when it is over."""
    assert said.count("usage waits in the spool") == 1
    assert said.count("usage goes into the database again") == 1
    assert said.count("changes cannot be read") == said.count("changes can be read again") == 1

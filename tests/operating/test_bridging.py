"""Long proofs hold neither the database nor a caller for ever."""

from collections.abc import Callable
from pathlib import Path

import pytest
from line_versions import open_newer, publish_line, publish_newer
from stage import ACTOR, Stage

from gatehouse.db.revision import record_change
from gatehouse.errors import Refused
from gatehouse.migration.store import find_endpoint
from gatehouse.operating import releasing
from gatehouse.operating.bridging import begin_bridge, end_bridge
from gatehouse.operating.desk import Desk

pytestmark = pytest.mark.endpoints("line v1")


@pytest.fixture
def newer(published: Path, stage: Stage) -> Stage:
    """line v2 is there, with rules that lead up from v1."""
    publish_newer(published, stage, 0)
    publish_newer(published, stage, 1)
    open_newer(stage)
    return stage


def desk(stage: Stage, pause: Callable[[], None]) -> Desk:
    return Desk(settings=stage.settings, database=stage.database, actor=ACTOR, pause=pause)


def writing(stage: Stage, written: list[int]) -> Callable[[], None]:
    """A pause in which somebody else changes something, once."""

    def pause() -> None:
        if not written:
            with stage.database.write() as session:  # on SQLite it waits, in vain, for whoever holds the database
                written.append(record_change(session, "tenant", "ten_other"))

    return pause


def test_while_a_bridge_is_proved_others_write(newer: Stage) -> None:
    written: list[int] = []
    endpoint, _, proof = begin_bridge(desk(newer, writing(newer, written)), "line", "v1", "v2")
    assert (endpoint.bridged_to, proof.refusing_fields, len(written)) == ("v2", [], 1)


def test_while_a_release_is_proved_for_what_is_bridged_to_it_others_write(newer: Stage) -> None:
    begin_bridge(desk(newer, lambda: None), "line", "v1", "v2")
    written: list[int] = []
    released = releasing.release(desk(newer, writing(newer, written)), "line", "v2", "2.1.0", None, force=False)
    assert (released.stable_version, len(written)) == ("2.1.0", 1)


def test_a_release_that_comes_while_a_bridge_is_proved_refuses_the_bridge(newer: Stage, published: Path) -> None:
    publish_line(published, newer, 1)
    done: list[str] = []

    def releasing_v1() -> None:
        if not done:
            done.append("v1")
            releasing.release(desk(newer, lambda: None), "line", "v1", "1.1.0", None, force=False)

    with pytest.raises(Refused, match="line/v1 or line/v2 was changed by somebody else meanwhile: do it again"):
        begin_bridge(desk(newer, releasing_v1), "line", "v1", "v2")


def test_a_bridge_that_ends_while_a_release_is_proved_refuses_the_release(newer: Stage) -> None:
    begin_bridge(desk(newer, lambda: None), "line", "v1", "v2")
    done: list[str] = []

    def unbridging() -> None:
        if not done:
            done.append("v1")
            end_bridge(desk(newer, lambda: None), "line", "v1", None)

    with pytest.raises(Refused, match="what is bridged to line/v2 was changed by somebody else meanwhile: do it again"):
        releasing.release(desk(newer, unbridging), "line", "v2", "2.1.0", None, force=False)


def test_a_proof_whose_time_is_up_changes_nothing(newer: Stage) -> None:
    def pause() -> None:
        raise Refused("the time is up")

    with pytest.raises(Refused, match="the time is up"):
        begin_bridge(desk(newer, pause), "line", "v1", "v2")
    with newer.database.read() as session:
        endpoint = find_endpoint(session, "line", "v1")
    assert endpoint is not None
    assert endpoint.bridged_to is None

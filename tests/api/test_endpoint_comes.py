"""Endpoints that begin to answer on a running server: loaded before callers see them."""

import threading
from typing import Any

from sqlalchemy import delete, text, update
from sqlmodel import col
from stage import ACTOR, MIXED_ROW, Live, Stage, instances, wait_until

from gatehouse.db.revision import hold_revision, record_change
from gatehouse.db.tables import ChangeTable, RevisionTable
from gatehouse.migration.store import create_endpoint

LINE = "/v1/models/line/predict"
BODY = instances({"size": 1.5})


class HeldLoads:
    """Loads of a running server that begin and do not end before `go_on`."""

    def __init__(self, live: Live) -> None:
        self.begun, self.go_on = threading.Event(), threading.Event()
        self._load = live.app.serving.registry.load
        live.app.serving.registry.load = self  # type: ignore[method-assign, assignment]

    def __call__(self, model: str, api_version: str, version: str) -> Any:
        self.begun.set()
        self.go_on.wait(20)
        return self._load(model, api_version, version)


def set_state(stage: Stage, model: str, state: str) -> int:
    with stage.database.write() as session:
        hold_revision(session)
        session.execute(text("UPDATE endpoint SET state = :state WHERE model = :model"), {"state": state, "model": model})
        return record_change(session, "endpoint", f"{model}/v1")


def status(live: Live, key: str) -> int:
    return live.predict(key, BODY, LINE).status_code


def test_a_retired_endpoint_that_comes_back_is_410_until_it_answers_and_never_503(stage: Stage) -> None:
    with stage.serving() as live:
        key = stage.tenant("acme", "line", "iris")
        assert status(live, key) == 200
        set_state(stage, "line", "retired")
        wait_until(lambda: status(live, key) == 410)
        held = HeldLoads(live)
        set_state(stage, "line", "active")
        assert held.begun.wait(20)
        assert status(live, key) == 410
        held.go_on.set()
        seen = set()
        wait_until(lambda: seen.add(status(live, key)) or 200 in seen)  # type: ignore[func-returns-value]
        assert seen <= {410, 200}


def test_one_that_is_retired_while_another_comes_back_is_retired_at_once(stage: Stage) -> None:
    with stage.serving() as live:
        key = stage.tenant("acme", "line", "mixed")
        set_state(stage, "mixed", "retired")
        wait_until(lambda: live.predict(key, BODY, "/v1/models/mixed/predict").status_code == 410)
        held = HeldLoads(live)
        with stage.database.write() as session:
            hold_revision(session)
            session.execute(text("UPDATE endpoint SET state = 'retired' WHERE model = 'line'"))
            session.execute(text("UPDATE endpoint SET state = 'active' WHERE model = 'mixed'"))
            for model in ("mixed", "line"):
                record_change(session, "endpoint", f"{model}/v1")
        assert held.begun.wait(20)
        assert status(live, key) == 410
        held.go_on.set()


def test_a_later_change_waits_for_no_load_and_what_is_held_comes_in_its_newest_state(stage: Stage) -> None:
    with stage.serving() as live:
        key = stage.tenant("acme", "line", "mixed")
        set_state(stage, "mixed", "retired")
        wait_until(lambda: live.predict(key, BODY, "/v1/models/mixed/predict").status_code == 410)
        held = HeldLoads(live)
        set_state(stage, "mixed", "active")
        assert held.begun.wait(20)
        set_state(stage, "line", "retired")
        wait_until(lambda: status(live, key) == 410)
        set_state(stage, "mixed", "retired")
        set_state(stage, "mixed", "active")
        held.go_on.set()
        row = instances(MIXED_ROW)
        wait_until(lambda: live.predict(key, row, "/v1/models/mixed/predict").status_code == 200)


def test_an_endpoint_that_cannot_be_loaded_when_it_comes_back_is_503_and_says_why(stage: Stage) -> None:
    with stage.serving() as live:
        key, operator = stage.tenant("acme", "line", "iris"), stage.key("_operator")
        set_state(stage, "line", "retired")
        wait_until(lambda: status(live, key) == 410)
        [artifact] = (stage.state_dir / "models" / "line" / "1.0.0").glob("model.*")
        artifact.write_bytes(b"x" + artifact.read_bytes()[1:])
        set_state(stage, "line", "active")
        wait_until(lambda: status(live, key) == 503)
        assert "changed after it was signed" in live.get("/health/ready", operator).json()["failures"]["line/v1"]


def test_after_a_database_is_put_back_an_endpoint_never_seen_is_loaded(stage: Stage) -> None:
    with stage.database.write() as session:
        session.execute(text("DELETE FROM endpoint WHERE model = 'line'"))
    with stage.serving() as live:
        other = stage.tenant("acme", "iris")
        assert ("line", "1.0.0") not in live.app.serving.registry.loaded
        live.caught_up()
        with stage.database.write() as session:  # as a backup from before this process, but with the endpoint
            create_endpoint(session, ACTOR, "line", "1.0.0")
            session.execute(update(RevisionTable).values(value=1))
            session.execute(delete(ChangeTable).where(col(ChangeTable.revision) > 1))
        wait_until(lambda: ("line", "1.0.0") in live.app.serving.registry.loaded)
        stage.grant("acme", "line")
        wait_until(lambda: status(live, other) == 200)

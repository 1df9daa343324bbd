"""What a running server loads when an endpoint changes: what is to answer from now on and what failed, and nothing else."""

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from line_versions import LINE, deployment, open_newer, publish_newer
from stage import ACTOR, Live, Stage, instances, wait_until

from gatehouse.db.revision import last_revision
from gatehouse.migration.bridging import bridged
from gatehouse.migration.endpoint import Endpoint
from gatehouse.migration.life_store import change_life
from gatehouse.migration.store import named_endpoint, store_release
from gatehouse.migration.transitions import Announcement, deprecated
from gatehouse.operating import releasing
from gatehouse.principal import Scope

ONE = {"size": 1.5}
SUNSET = (datetime.now(UTC) + timedelta(days=100)).date()


@pytest.fixture
def lazy(stage: Stage, published: Path) -> Iterator[Live]:
    """A server that has loaded nothing, with line 1.0.0 and 2.0.0 released and 2.5.0 published."""
    for offset in (0, 5):
        publish_newer(published, stage, offset)
    open_newer(stage)
    with stage.serving(load_models="lazy") as live:
        yield live


def loaded(live: Live) -> set[str]:
    return {version for model, version in live.app.serving.registry.loaded if model == "line"}


def deprecate(stage: Stage) -> None:
    with stage.database.write() as session:
        said, now = Announcement(SUNSET, "v2"), datetime.now(UTC)
        change_life(session, ACTOR, "deprecate", "line", "v1", lambda seen, all_: deprecated(seen, all_, said, now))


def release_again(stage: Stage) -> None:
    """What is released already."""
    with stage.database.write() as session:
        seen = named_endpoint(session, "line", "v1")
        store_release(session, ACTOR, "release", seen, seen)


def test_a_deprecation_and_a_rehearsal_load_nothing(lazy: Live) -> None:
    stage = lazy.stage
    stage.tenant("acme", "line")
    key = stage.key("acme", scopes={Scope.PREDICTIONS_CREATE, Scope.MODELS_READ, Scope.KEYS_MANAGE})
    deprecate(stage)
    release_again(stage)
    wait_until(lambda: lazy.get("/v1/models", key).json()["models"][0]["sunset"] == str(SUNSET))
    rehearsal = {"model": "line", "api_version": "v1", "minutes": 5}
    assert lazy.client.post("/account/rehearse-brownout", json=rehearsal, headers={"x-api-key": key}).status_code == 200
    wait_until(lambda: any(endpoint.brownouts for endpoint in lazy.app.serving.endpoints.all()))  # a call would load it
    releasing.release(deployment(stage), "line", "v2", "2.5.0", None, force=False)  # taken over after all the others
    wait_until(lambda: "2.5.0" in loaded(lazy))
    assert loaded(lazy) == {"2.5.0"}


def test_a_release_of_what_is_released_tries_again_what_failed(lazy: Live) -> None:
    stage, [artifact] = lazy.stage, (lazy.stage.state_dir / "models" / "line" / "1.0.0").glob("model.*")
    key, whole = stage.tenant("acme", "line"), artifact.read_bytes()
    artifact.write_bytes(whole[:-1])
    assert [lazy.predict(key, instances(ONE), LINE).status_code for _ in range(2)] == [503, 503]
    artifact.write_bytes(whole)
    assert lazy.predict(key, instances(ONE), LINE).status_code == 503, "each call would read it again"
    release_again(stage)
    wait_until(lambda: "1.0.0" in loaded(lazy))
    assert lazy.predict(key, instances(ONE), LINE).status_code == 200
    assert not lazy.app.serving.registry.failures


def test_what_failed_is_tried_again_by_itself_once_its_files_are_back(lazy: Live) -> None:
    [artifact] = (lazy.stage.state_dir / "models" / "line" / "1.0.0").glob("model.*")
    key, whole = lazy.stage.tenant("acme", "line"), artifact.read_bytes()
    lazy.app.serving.releases.retries.first_s = 0.05
    artifact.write_bytes(whole[:-1])
    assert lazy.predict(key, instances(ONE), LINE).status_code == 503
    artifact.write_bytes(whole)
    wait_until(lambda: lazy.predict(key, instances(ONE), LINE).status_code == 200)
    assert not lazy.app.serving.registry.failures


def test_a_bridge_whose_contract_could_not_be_read_heals_by_itself(stage: Stage, published: Path) -> None:
    publish_newer(published, stage, 0)
    open_newer(stage)
    with stage.database.write() as session:
        change_life(session, ACTOR, "bridge", "line", "v1", lambda seen, all_: bridged(seen, all_, "v2", datetime.now(UTC)))
    contract = stage.state_dir / "models" / "line" / "1.0.0" / "contract.toml"
    whole = contract.read_bytes()
    contract.write_bytes(whole + b"# x")
    with stage.serving() as live:
        key = stage.tenant("acme", "line")
        live.app.serving.releases.retries.first_s = 0.05
        assert live.predict(key, instances(ONE), LINE).status_code == 503
        contract.write_bytes(whole)
        wait_until(lambda: live.predict(key, instances(ONE), LINE).status_code == 200)


def test_a_change_counts_as_seen_by_a_process_once_its_callers_see_it(lazy: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    lazy.caught_up()
    releases, go_on = lazy.app.serving.releases, threading.Event()
    read = releases._read

    def held() -> list[Endpoint]:
        go_on.wait(20)
        return read()

    monkeypatch.setattr(releases, "_read", held)
    deprecate(lazy.stage)
    with lazy.stage.database.read() as session:
        newest = last_revision(session)
    wait_until(lambda: lazy.app.follower.revision >= newest)
    now = time.monotonic()
    wait_until(lambda: lazy.app.identity.authenticator._confirmed_at > now)  # a later poll, without a change
    assert lazy.app.process._revision < newest
    go_on.set()
    lazy.caught_up()
    assert [endpoint.state for endpoint in lazy.app.serving.endpoints.all() if endpoint.name == "line/v1"] == ["deprecated"]

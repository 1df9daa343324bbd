"""Releases on a running server: no call is lost or answered wrongly, and what fails its checks never takes traffic."""

import gc
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from line_versions import GROWN, LINE, deployment, publish_line, release, rollback
from serving_process import serving_process
from sqlmodel import select
from stage import ACTOR, IRIS_ROW, Live, Stage, instances, key_id, wait_until

from gatehouse.db.tables import UsageEventTable
from gatehouse.errors import Refused
from gatehouse.migration.release import CanaryShare, released, with_canary
from gatehouse.migration.store import named_endpoint, store_release
from gatehouse.operating import releasing

Publish = Callable[..., Path]


@pytest.fixture
def publish(published: Path) -> Publish:
    return partial(publish_line, published)


def version_of(live: Live, key: str) -> str:
    answer = live.predict(key, instances({"size": 1.5}), LINE)
    assert answer.status_code == 200, answer.text
    version: str = answer.json()["model_version"]
    return version


class Load:
    """Callers that ask on and on, and look at every answer."""

    def __init__(self, live: Live, keys: list[str]) -> None:
        self.live = live
        self.keys = keys
        self.answered = 0
        self.wrong: list[str] = []
        self.versions: set[str] = set()
        self.ended = threading.Event()

    @contextmanager
    def running(self) -> Iterator["Load"]:
        with ThreadPoolExecutor(len(self.keys)) as pool:
            callers = [pool.submit(self._call, number, key) for number, key in enumerate(self.keys)]
            try:
                yield self
            finally:
                self.ended.set()
            for caller in callers:
                caller.result()

    def _call(self, number: int, key: str) -> None:
        while not self.ended.is_set():
            answer = self.live.predict(key, instances({"size": number}), LINE)
            if answer.status_code != 200:
                self.wrong.append(answer.text)
                continue
            said = answer.json()
            offset = int(said["model_version"].split(".")[1])
            if said["predictions"] != [{"value": number + offset}]:
                self.wrong.append(answer.text)
            self.versions.add(said["model_version"])
            self.answered += 1


def resident_bytes() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def test_fifty_releases_and_rollbacks_in_a_row_lose_no_call_and_answer_none_wrongly(stage: Stage, publish: Publish) -> None:
    for offset in range(1, 6):
        publish(stage, offset)
    with stage.serving() as live:
        keys = [stage.tenant("acme", "line"), *(stage.key("acme") for _ in range(3))]
        with Load(live, keys).running() as load:
            for number in range(50):
                seen, offset = load.answered, 1 + number // 2 % 5
                rollback(stage) if number % 2 else release(stage, offset)
                wait_until(lambda seen=seen: load.answered >= seen + 10)  # type: ignore[misc]
                if number % 16 == 0:  # those between may be overtaken by the next before the server looks
                    wait_until(lambda offset=offset: f"1.{offset}.0" in load.versions)  # type: ignore[misc]
            release(stage, 5)
            live.caught_up()  # the release before the last rollback was of this version too
            wait_until(lambda: version_of(live, keys[0]) == "1.5.0")
        assert load.wrong == []
        assert load.versions >= {"1.0.0", "1.1.0", "1.2.0", "1.4.0", "1.5.0"}
        assert set(live.app.serving.registry.loaded) >= {("line", "1.5.0")}
        assert [name for name in live.app.serving.registry.loaded if name[0] == "line"] == [("line", "1.5.0")]


@pytest.mark.soak
def test_each_of_fifty_releases_is_followed_under_load_and_memory_stays(stage: Stage, publish: Publish) -> None:
    for offset in range(1, 6):
        publish(stage, offset)
    with stage.serving() as live:
        keys = [stage.tenant("acme", "line"), *(stage.key("acme") for _ in range(3))]
        with Load(live, keys).running() as load:

            def fifty() -> int:
                for number in range(25):
                    offset = 1 + number % 5
                    release(stage, offset)
                    wait_until(lambda offset=offset: version_of(live, keys[0]) == f"1.{offset}.0")  # type: ignore[misc]
                    rollback(stage)
                    wait_until(lambda: version_of(live, keys[0]) == "1.0.0")
                return resident_bytes()

            before = fifty()  # the first fifty warm up what every release needs
            after = fifty()
        assert load.wrong == []
        assert after < 1.1 * before


def test_a_tampered_version_never_takes_traffic_and_is_tried_again_when_released_again(stage: Stage, publish: Publish) -> None:
    file = publish(stage, 2) / "model.onnx"
    whole = file.read_bytes()
    with stage.serving() as live:
        key, operator = stage.tenant("acme", "line"), stage.key("_operator")
        file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        with pytest.raises(Refused, match="changed after it was signed"):
            release(stage, 2)
        release_unseen(stage, 2)
        wait_until(lambda: live.get("/health/ready", operator).json()["status"] == "degraded")
        assert "changed after it was signed" in live.get("/health/ready", operator).json()["failures"]["line/v1"]
        assert live.get("/health/ready", key).json() == {"status": "degraded"}
        assert version_of(live, key) == "1.0.0"
        assert [each["model_version"] for each in live.get("/v1/models", key).json()["models"]] == ["1.0.0"]
        assert live.get("/account", key).json()["endpoints"][0]["model_version"] == "1.0.0"
        file.write_bytes(whole)
        release(stage, 2)
        wait_until(lambda: version_of(live, key) == "1.2.0")
        assert live.get("/health/ready", operator).json() == {"status": "ready", "failures": {}}


def test_a_canary_that_cannot_be_loaded_leaves_its_keys_with_the_stable_version(stage: Stage, publish: Publish) -> None:
    folder = publish(stage, 1)
    with stage.serving() as live:
        key, operator = stage.tenant("acme", "line"), stage.key("_operator")
        (folder / "manifest.sig").unlink()
        release_unseen(stage, 1, canary=99)
        wait_until(lambda: live.get("/health/ready", operator).json()["status"] == "degraded")
        assert live.get("/health/ready", operator).json()["failures"]["line/v1"].startswith("canary: line 1.1.0: manifest.sig is missing")
        assert {version_of(live, each) for each in (key, *(stage.key("acme") for _ in range(5)))} == {"1.0.0"}


def test_a_canary_answers_its_keys_each_time_and_events_name_the_version(stage: Stage, publish: Publish) -> None:
    publish(stage, 1)
    release(stage, 1, canary=50)
    endpoint = releasing.find(deployment(stage), "line", "v1")
    share = CanaryShare(stage.values["GATEHOUSE_SECRET_KEY"].encode())
    with stage.serving() as live:
        keys = [stage.tenant("acme", "line"), *(stage.key("acme") for _ in range(19))]
        expected = {key_id(key): "1.1.0" if share.includes(endpoint, key_id(key)) else "1.0.0" for key in keys}
        assert set(expected.values()) == {"1.0.0", "1.1.0"}
        for _ in range(2):
            assert {key_id(key): version_of(live, key) for key in keys} == expected
        token = live.client.post(
            "/oauth/token", data={"grant_type": "client_credentials", "client_id": key_id(keys[0]), "client_secret": keys[0]}
        )
        assert version_of(live, token.json()["access_token"]) == expected[key_id(keys[0])]
        releasing.promote(deployment(stage), "line", "v1")
        wait_until(lambda: {version_of(live, key) for key in keys} == {"1.1.0"})
    with stage.database.read() as session:
        events = session.exec(select(UsageEventTable).order_by("at_us")).all()
    assert {event.key_id: event.model_version for event in events[:20]} == expected
    assert {event.model_version for event in events[-20:]} == {"1.1.0"}


def test_a_canary_gets_only_what_the_stable_contract_takes(stage: Stage, publish: Publish) -> None:
    publish(stage, 1, GROWN)
    release(stage, 1, canary=99)
    endpoint = releasing.find(deployment(stage), "line", "v1")
    share = CanaryShare(stage.values["GATEHOUSE_SECRET_KEY"].encode())
    with stage.serving() as live:
        stage.tenant("acme", "line")
        key = next(key for key in (stage.key("acme") for _ in range(20)) if share.includes(endpoint, key_id(key)))
        answer = live.predict(key, instances({"size": 1.5}), LINE)
        assert (answer.json()["model_version"], answer.json()["predictions"]) == ("1.1.0", [{"value": 6.5}])  # 1.5 + 1 + the default
        refused = live.predict(key, instances({"size": 1.5, "weight": 10}), LINE)
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/instances/0/weight")
        releasing.promote(deployment(stage), "line", "v1")
        wait_until(lambda: live.predict(key, instances({"size": 1.5, "weight": 10}), LINE).status_code == 200)
    with pytest.raises(Refused, match=r"callers of line/v1 would lose[\s\S]*features\.weight: field removed"):
        rollback(stage)
    releasing.rollback(deployment(stage), "line", "v1", force=True)


def test_a_second_process_follows_within_a_second(stage_on_each_database: Stage, publish: Publish) -> None:
    stage = stage_on_each_database
    publish(stage, 1)
    with stage.serving() as live, serving_process(stage) as other:
        key = stage.tenant("acme", "line")

        def elsewhere() -> str:
            headers = {"authorization": f"Bearer {key}"}
            answer = live.client.post(other.base_url + LINE, json=instances({"size": 1.5}), headers=headers)
            return str(answer.json().get("model_version"))

        assert (version_of(live, key), elsewhere()) == ("1.0.0", "1.0.0")
        release(stage, 1)
        assert wait_until(lambda: version_of(live, key) == elsewhere() == "1.1.0") < 1
        rollback(stage)
        assert wait_until(lambda: version_of(live, key) == elsewhere() == "1.0.0") < 1


def test_first_calls_of_a_model_that_is_not_loaded_share_one_load(stage: Stage, publish: Publish) -> None:
    with stage.serving(load_models="lazy") as live:
        key = stage.tenant("acme", "line", "iris")
        assert dict(live.app.serving.registry.loaded) == {}
        assert "size" in live.get("/v1/models/line", key).text  # its contract is known all the same
        loads = counted_loads(live)
        with ThreadPoolExecutor(8) as pool:
            assert {*pool.map(lambda _: version_of(live, key), range(8))} == {"1.0.0"}
        assert loads == ["line"]
        assert set(live.app.serving.registry.loaded) == {("line", "1.0.0")}
        publish(stage, 1)
        release(stage, 1)
        wait_until(lambda: version_of(live, key) == "1.1.0")
        assert loads == ["line", "line"]


def test_a_model_that_cannot_be_loaded_by_its_first_call_is_not_tried_by_each_call(stage: Stage) -> None:
    [artifact] = (stage.state_dir / "models" / "line" / "1.0.0").glob("model.*")
    whole = artifact.read_bytes()
    artifact.write_bytes(b"x" + whole[1:])
    with stage.serving(load_models="lazy") as live:
        key, operator = stage.tenant("acme", "line", "iris"), stage.key("_operator")
        assert live.get("/health/ready", operator).json()["status"] == "ready"
        loads = counted_loads(live)
        for _ in range(3):
            refused = live.predict(key, instances({"size": 1.5}), LINE)
            assert (refused.status_code, refused.json()["code"]) == (503, "endpoint_unavailable")
            assert refused.headers["retry-after"] == "5"
        assert loads == ["line"]
        assert "changed after it was signed" in live.get("/health/ready", operator).json()["failures"]["line/v1"]
        assert live.predict(key, instances(IRIS_ROW)).status_code == 200
        artifact.write_bytes(whole)
        releasing.release(deployment(stage), "line", "v1", "1.0.0", None, force=False)
        wait_until(lambda: live.predict(key, instances({"size": 1.5}), LINE).status_code == 200)
        assert live.get("/health/ready", operator).json() == {"status": "ready", "failures": {}}


def test_a_change_that_comes_while_a_version_is_being_loaded_is_not_lost(stage: Stage, publish: Publish) -> None:
    for offset in (1, 2, 3):
        publish(stage, offset)
    with stage.serving() as live:
        key, load = stage.tenant("acme", "line"), live.app.serving.registry.load
        begun, go_on, loading, most = threading.Event(), threading.Event(), [], []

        def slow(model: str, api_version: str, version: str) -> Any:
            loading.append(version)
            most.append(len(loading))
            begun.set()
            go_on.wait(20)
            try:
                return load(model, api_version, version)
            finally:
                loading.remove(version)

        live.app.serving.registry.load = slow  # type: ignore[method-assign]
        release(stage, 1)
        begun.wait(20)
        release(stage, 2)
        release(stage, 3)
        live.caught_up()
        assert version_of(live, key) == "1.0.0"
        go_on.set()
        wait_until(lambda: version_of(live, key) == "1.3.0")
        assert set(most) == {1}


@pytest.mark.parametrize("load_models", ["eager", "lazy"])
def test_beyond_the_limit_of_memory_the_model_used_longest_ago_is_unloaded(stage: Stage, load_models: str) -> None:
    with stage.serving(load_models=load_models, model_memory_bytes="1") as live:
        key = stage.tenant("acme", "line", "iris")
        assert len(live.app.serving.registry.loaded) == (load_models == "eager")
        for _ in range(2):
            assert version_of(live, key) == "1.0.0"
            assert set(live.app.serving.registry.loaded) == {("line", "1.0.0")}
            assert live.predict(key, instances(IRIS_ROW)).status_code == 200
            assert set(live.app.serving.registry.loaded) == {("iris", "1.0.0")}
        assert live.get("/health/ready").json() == {"status": "ready"}


def release_unseen(stage: Stage, offset: int, canary: int | None = None) -> None:
    """What a command would refuse: nobody looks at the files."""
    with stage.database.write() as session:
        seen = named_endpoint(session, "line", "v1")
        version = f"1.{offset}.0"
        wanted = released(seen, version) if canary is None else with_canary(seen, version, canary)
        store_release(session, ACTOR, "release", seen, wanted)


def counted_loads(live: Live) -> list[str]:
    """Grows by a model's name with each load from now on."""
    load, loads = live.app.serving.registry.load, []

    def counting(model: str, api_version: str, version: str) -> Any:
        loads.append(model)
        return load(model, api_version, version)

    live.app.serving.registry.load = counting  # type: ignore[method-assign]
    return loads

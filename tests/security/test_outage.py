"""Without its database a server lets in whom it knows, for a bound, and tells nobody else that they are wrong; on both databases."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import httpx2
import pytest
from outage import database_away
from stage import ACTOR, IRIS_ROW, Stage, instances, problem, token_of, wait_until

from gatehouse.identity.api_keys import mint_key
from gatehouse.identity.tenants import remove_grant
from gatehouse.principal import Scope

GOOD = json.dumps(instances(IRIS_ROW)).encode()


def unavailable(answer: httpx2.Response) -> None:
    """503 with a wait, and nothing that says whether the credential was right."""
    problem(answer, 503, "identity_unavailable")
    assert int(answer.headers["retry-after"]) > 0
    assert "www-authenticate" not in answer.headers


def test_row_100_known_credentials_go_on_unknown_ones_are_503_and_all_end_at_the_bound(stage_on_each_database: Stage) -> None:
    stage = stage_on_each_database
    key, late, scraper = stage.tenant("acme", "iris"), stage.key("acme"), stage.key("_operator", scopes={Scope.METRICS_READ})
    with stage.serving() as live:
        token, late_token = token_of(live, key), token_of(live, key)
        assert [live.predict(known, GOOD).status_code for known in (key, token)] == [200, 200]
        assert live.get("/metrics", scraper).status_code == 200
        with database_away(live.app.database, stage.values["GATEHOUSE_DATABASE_URL"]):
            wait_until(lambda: live.app.identity.authenticator.stale_for_s() > 1)
            assert [live.predict(known, GOOD).status_code for known in (key, token, key, token)] == [200] * 4
            for unknown in (late, late_token, mint_key(b"other").text):
                unavailable(live.predict(unknown, GOOD))
            problem(live.predict("gate_x", GOOD), 401, "credential_malformed")
            told = dict(line.rsplit(" ", 1) for line in live.get("/metrics", scraper).text.splitlines())
            assert 1 < float(told["gatehouse_identity_stale_seconds"]) < 60
            live.app.identity.authenticator._stale_after_s = 1  # the bound is over
            for credential in (key, token, late, late_token, scraper):
                unavailable(live.predict(credential, GOOD))
        wait_until(lambda: live.predict(key, GOOD).status_code == 200)
        assert [live.predict(credential, GOOD).status_code for credential in (token, late, late_token)] == [200] * 3
        assert live.app.identity.failures.counted == 1, "an outage is nobody's failure: only the malformed key counts"


def test_row_100_under_load_the_outage_drops_no_call_of_a_known_key_and_lets_in_no_other(stage_on_each_database: Stage) -> None:
    stage = stage_on_each_database
    key, revoked, unknown = stage.tenant("acme", "iris"), stage.key("acme"), mint_key(b"other").text
    over = threading.Event()

    def call(credential: str) -> set[int]:
        found = set()
        with httpx2.Client(base_url=live.base_url, timeout=30) as client:
            while not over.is_set():
                found.add(client.post("/v1/models/iris/predict", json=instances(IRIS_ROW), headers={"x-api-key": credential}).status_code)
        return found

    with stage.serving() as live, ThreadPoolExecutor(2) as pool:
        stage.revoke(revoked)
        live.caught_up()
        assert [live.predict(known, GOOD).status_code for known in (revoked, key)] == [401, 200]
        calls = [pool.submit(call, credential) for credential in (key, unknown)]
        try:
            with database_away(live.app.database, stage.values["GATEHOUSE_DATABASE_URL"]):
                wait_until(lambda: live.app.identity.authenticator.stale_for_s() > 1)
                for credential in (revoked, unknown):
                    unavailable(live.predict(credential, GOOD))
            wait_until(lambda: live.app.identity.authenticator.stale_for_s() < 0.3)
            wait_until(lambda: live.predict(unknown, GOOD).status_code == 401)
        finally:
            over.set()
        of_known, of_unknown = (call.result() for call in calls)
        assert of_known == {200}
        assert of_unknown <= {401, 503}, "which of them it met depends on when its turn to be refused came"


@pytest.mark.parametrize("kind", ["key", "tenant", "grant"])
def test_row_12_36_and_48_a_slow_look_up_does_not_write_the_old_state_back(
    stage_on_each_database: Stage, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = stage_on_each_database
    key = stage.tenant("acme", "iris", "line")
    with stage.serving() as live:
        token = token_of(live, key)
        read, go_on = threading.Semaphore(0), threading.Event()
        find = live.app.identity.authenticator.prover.find_key

        def slow(*arguments: Any) -> Any:
            found = find(*arguments)  # the old state
            read.release()
            assert go_on.wait(20)
            return found

        with monkeypatch.context() as patched, ThreadPoolExecutor(2) as pool:
            patched.setattr(live.app.identity.authenticator, "prover", replace(live.app.identity.authenticator.prover, find_key=slow))
            under_way = [pool.submit(live.predict, credential, GOOD) for credential in (key, token)]
            assert all(read.acquire(timeout=20) for _ in under_way)
            take_away(stage, kind, key)
            live.caught_up()  # the server has dropped what it knew
            go_on.set()
            for call in under_way:
                call.result()
        refused = 404 if kind == "grant" else 401
        assert [live.predict(credential, GOOD).status_code for credential in (key, token)] == [refused] * 2


def take_away(stage: Stage, kind: str, key: str) -> None:
    if kind == "key":
        stage.revoke(key)
    elif kind == "tenant":
        stage.suspend("acme")
    else:
        remove_grant(stage.database, ACTOR, "acme", "iris")


def test_row_12_a_change_made_during_the_outage_holds_as_soon_as_the_database_is_back(stage: Stage) -> None:
    key = stage.tenant("acme", "iris")
    with stage.serving() as live:
        assert live.predict(key, GOOD).status_code == 200
        with database_away(live.app.database, stage.values["GATEHOUSE_DATABASE_URL"]):
            stage.revoke(key)  # from a machine that still reaches it
            assert live.predict(key, GOOD).status_code == 200
        begun = time.monotonic()
        wait_until(lambda: live.predict(key, GOOD).status_code == 401)
        assert time.monotonic() - begun < 1.0

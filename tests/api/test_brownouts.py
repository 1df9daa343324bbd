"""Brownouts on the running server: whom a window refuses and whom it spares, what is said, what is metered, and rehearsals."""

import json
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import ending_fields
import httpx2
import pytest
from sqlmodel import select
from stage import ACTOR, IRIS_ROW, Live, Stage, instances, key_id, problem, wait_until
from wire import head, wire

from gatehouse.db.revision import last_revision, record_change
from gatehouse.db.tables import BrownoutTable, UsageEventTable
from gatehouse.identity.tenants import named_tenant
from gatehouse.migration.announcing import Herald
from gatehouse.migration.brownout import Wish
from gatehouse.migration.brownout_store import cancel_brownout, plan_brownout
from gatehouse.migration.ending import moment_text
from gatehouse.migration.endpoint import Brownout
from gatehouse.migration.life_store import change_life
from gatehouse.migration.transitions import Announcement, deprecated
from gatehouse.principal import TENANT_SCOPES
from gatehouse.usage.event import UsageEvent, uuid7
from gatehouse.usage.store import insert_batch

SUNSET = datetime.now(UTC).date() + timedelta(days=200)
BODY = instances(IRIS_ROW)
V1, V2 = "/v1/models/iris/predict", "/v2/models/iris/predict"
HERALD = Herald("https://api.example.org")
TENANTS = count()


def deprecate(stage: Stage) -> None:
    now, said = datetime.now(UTC), Announcement(SUNSET, "v2")
    with stage.database.write() as session:
        change_life(session, ACTOR, "deprecate", "iris", "v1", lambda seen, all_: deprecated(seen, all_, said, now))


@pytest.fixture(scope="module")
def live(module_stage: Stage) -> Iterator[Live]:
    """iris/v1 is deprecated; each test has tenants of its own."""
    deprecate(module_stage)
    with module_stage.serving() as running:
        yield running


def tenant(live: Live, *models: str) -> tuple[str, str]:
    """A new tenant: its name and a key that may do all that a tenant's key can."""
    name = f"t{next(TENANTS)}"
    live.stage.tenant(name, *models or ("iris",))
    return name, live.stage.key(name, scopes=TENANT_SCOPES)


def tenant_id(stage: Stage, name: str) -> str:
    with stage.database.read() as session:
        return named_tenant(session, name).id


def plan(stage: Stage, name: str | None = None, percent: int = 100) -> Brownout:
    """A brownout of ten minutes that begins now, of one tenant or of all."""
    now = datetime.now(UTC)
    wish = Wish(now, 10, percent, tenant_id(stage, name) if name else None)
    with stage.database.write() as session:
        return plan_brownout(session, ACTOR, HERALD, "iris", "v1", wish, now, force=True).window


def cancel(stage: Stage, window: Brownout) -> None:
    with stage.database.write() as session:
        cancel_brownout(session, ACTOR, HERALD, window.id)


@contextmanager
def brownout(live: Live, name: str | None, key: str, percent: int = 100) -> Iterator[Brownout]:
    """A brownout that refuses `key` by now, and is over and forgotten afterwards."""
    window = plan(live.stage, name, percent)
    try:
        wait_until(lambda: status(live, key) == 410)
        yield window
    finally:
        cancel(live.stage, window)
        wait_until(lambda: window.id not in [each.id for endpoint in live.app.serving.endpoints.all() for each in endpoint.brownouts])


def status(live: Live, key: str, path: str = V1) -> int:
    return live.predict(key, BODY, path).status_code


def planned(live: Live, key: str) -> Any:
    """The brownouts of iris/v1 as an account shows them."""
    (found,) = (each for each in live.get("/account", key).json()["endpoints"] if each["api_version"] == "v1")
    return found["brownouts"]


def events(stage: Stage, name: str) -> list[tuple[int, str | None, int]]:
    """Status, code and rows of each metered call of a tenant."""
    with stage.database.read() as session:
        found = session.exec(select(UsageEventTable).where(UsageEventTable.tenant_id == tenant_id(stage, name))).all()
    return [(each.status, each.code, each.rows) for each in found]


def test_row_88_a_brownout_is_a_410_of_its_own_and_none_of_it_is_metered(live: Live) -> None:
    (ours, key), (_, other) = tenant(live), tenant(live)
    with brownout(live, ours, key) as window:
        before = datetime.now(UTC)
        answer = live.predict(key, BODY)
        said = problem(answer, 410, "endpoint_brownout")
        assert timedelta() <= window.ends_at - datetime.fromisoformat(said["ends_at"]) < timedelta(seconds=1)
        waits = timedelta(seconds=int(answer.headers["retry-after"]))
        assert window.ends_at <= datetime.now(UTC) + waits
        assert before + waits < window.ends_at + timedelta(seconds=1)
        assert said["successor"] == {"api_version": "v2", "url": f"{live.base_url}{V2}"}
        assert said["link"] == ending_fields.links(answer.headers)["deprecation"]
        assert said["detail"].startswith(f"iris/v1 is switched off for a trial until {said['ends_at']}. Call v2 instead")
        assert status(live, other) == 200
        shown = [planned(live, each) for each in (key, other)]
        assert shown == [[{"starts_at": moment_text(window.starts_at), "ends_at": said["ends_at"], "share": 100}], []]
        assert status(live, key, V2) == 422, "its successor goes on"
        cancel_at = time.monotonic()
    assert time.monotonic() - cancel_at < 1.0
    assert status(live, key) == 200
    wait_until(lambda: 410 in [each[0] for each in events(live.stage, ours)])
    assert {each for each in events(live.stage, ours) if each[0] != 422} <= {(410, "endpoint_brownout", 0), (200, None, 1)}


def test_row_89_what_is_said_of_the_end_is_said_by_a_brownout_too(live: Live) -> None:
    ours, key = tenant(live)
    usual = live.predict(key, BODY)
    with brownout(live, ours, key):
        answer = live.predict(key, BODY)
    assert answer.json()["notices"] == usual.json()["notices"]
    assert ending_fields.deprecation(answer.headers) == ending_fields.deprecation(usual.headers)
    assert ending_fields.sunset(answer.headers).date() == SUNSET
    assert ending_fields.links(answer.headers) == ending_fields.links(usual.headers)


def test_row_89_who_is_not_granted_sees_no_brownout(live: Live) -> None:
    (_, key), (_, inside) = tenant(live, "crowd"), tenant(live)
    with brownout(live, None, inside):
        answer = live.predict(key, BODY)
    assert problem(answer, 404, "not_found").keys().isdisjoint({"ends_at", "notices"})
    assert "retry-after" not in answer.headers


def test_a_repeat_of_an_answered_call_is_refused_too_and_answered_afterwards(live: Live) -> None:
    ours, key = tenant(live)
    assert live.predict(key, BODY, idempotency_key="once").status_code == 200
    with brownout(live, ours, key):
        problem(live.predict(key, BODY, idempotency_key="once"), 410, "endpoint_brownout")
    assert live.predict(key, BODY, idempotency_key="once").headers["idempotency-replayed"] == "true"


def test_a_share_of_the_calls_is_refused_by_a_draw_for_each(live: Live) -> None:
    ours, key = tenant(live)
    with brownout(live, ours, key, percent=50):
        statuses = [status(live, key) for _ in range(200)]
    assert set(statuses) == {200, 410}
    assert 50 <= statuses.count(410) <= 150, "seven standard deviations"


def test_a_window_ends_by_the_clock_and_after_retry_after_a_call_is_answered(live: Live) -> None:
    ours, key = tenant(live)
    now = datetime.now(UTC)
    whose = {"tenant_id": tenant_id(live.stage, ours), "key_id": key_id(key)}
    with live.stage.database.write() as session:
        row = BrownoutTable(id="brn_short", model="iris", api_version="v1", percent=100, created_at=now, **whose)
        row.starts_at, row.ends_at = now, now + timedelta(seconds=1.5)
        session.add(row)
        record_change(session, "endpoint", "iris/v1")
    wait_until(lambda: status(live, key) == 410)
    with live.stage.database.read() as session:
        revision = last_revision(session)
    answer, again_at = live.predict(key, BODY), time.monotonic()
    again_at += int(answer.headers["retry-after"])
    wait_until(lambda: time.monotonic() >= again_at)
    assert status(live, key) == 200
    with live.stage.database.read() as session:
        assert last_revision(session) == revision, "nobody had to say so"


def test_a_call_is_drawn_once_however_long_its_body_takes(live: Live) -> None:
    ours, key = tenant(live)
    content = json.dumps(BODY).encode()
    fields = ("Content-Type: application/json", f"Content-Length: {len(content)}", "Expect: 100-continue")
    with wire(live.port) as connection:
        connection.send(head(f"POST {V1}", f"Authorization: Bearer {key}", *fields))
        assert connection.answer().status == 100
        with brownout(live, ours, key):
            live.stage.grant(ours, "crowd")  # so that the caller is proven anew behind its body
            wait_until(lambda: "crowd" in str(live.get("/v1/models", key).json()))
            assert connection.send(content).answer().status == 200


def calls(stage: Stage, name: str, **versions: int) -> None:
    """Answered calls of a tenant yesterday, by API version."""
    moment = datetime.now(UTC) - timedelta(days=1)
    at = int(moment.timestamp() * 1e6)
    for api_version, number in versions.items():
        facts: dict[str, Any] = {
            "at_us": at,
            "month": f"{moment:%Y-%m}",
            "process_id": "p",
            "tenant_id": tenant_id(stage, name),
            "key_id": "k1",
            "model": "iris",
            "api_version": api_version,
            "model_version": "1.0.0",
            "engine": "onnx",
            "rows": 1,
            "status": 200,
            "code": None,
            "latency_us": 100,
            "bytes_in": 10,
            "bytes_out": 10,
            "request_id": "req_1",
        }
        with stage.database.write() as session:
            insert_batch(session, [UsageEvent(id=uuid7(at // 1000, secrets.randbits), **facts) for _ in range(number)])


def test_a_tenant_that_has_moved_is_spared_unless_it_rehearses(live: Live) -> None:
    (moved, its), (staying, other), (_, idle) = tenant(live), tenant(live), tenant(live)
    calls(live.stage, moved, v1=1, v2=1500)  # more than a hundred times what is called here
    calls(live.stage, staying, v1=100, v2=100)
    statuses = list[int]()
    with brownout(live, None, other):
        wait_until(lambda: status(live, idle) == 410)
        statuses += [status(live, its) for _ in range(3)]
    with brownout(live, None, other):
        statuses += [status(live, its) for _ in range(3)]
        assert statuses == [200] * 6
        rehearse(live, its)
        wait_until(lambda: status(live, its) == 410)


def send(live: Live, key: str, body: Any) -> httpx2.Response:
    return live.client.post("/account/rehearse-brownout", json=body, headers={"authorization": f"Bearer {key}"})


def rehearse(live: Live, key: str, **more: Any) -> dict[str, Any]:
    answer = send(live, key, {"model": "iris", "api_version": "v1", **more})
    assert answer.status_code == 200, answer.text
    said: dict[str, Any] = answer.json()
    return said


def test_a_rehearsal_touches_one_key_on_every_process_within_a_second_and_ends_when_told(live: Live) -> None:
    (name, lead), (_, stranger) = tenant(live), tenant(live)
    nightly = live.stage.key(name)
    with live.stage.serving() as second:
        both = (live, second)
        said = rehearse(live, lead, key_id=key_id(nightly), minutes=7, share=100)
        assert wait_until(lambda: [status(each, nightly) for each in both] == [410, 410]) < 1.0
        assert {status(each, key) for each in both for key in (lead, stranger)} == {200}
        begins, ends = (datetime.fromisoformat(said[name]) for name in ("starts_at", "ends_at"))
        assert ends - begins == timedelta(minutes=7)
        assert timedelta() <= datetime.now(UTC) - begins < timedelta(seconds=5)
        refused = problem(second.predict(nightly, BODY), 410, "endpoint_brownout")
        assert refused["ends_at"] == said["ends_at"]
        assert said["detail"].startswith(f"All calls of iris/v1 by key {key_id(nightly)} are answered with 410 endpoint_brownout until ")
        rehearse(live, lead, key_id=key_id(nightly), minutes=1)
        wait_until(lambda: "ends_at" in (said := second.predict(nightly, BODY).json()) and said["ends_at"] < refused["ends_at"])
        over = rehearse(second, lead, key_id=key_id(nightly), minutes=0)
        assert (over["starts_at"], over["ends_at"]) == (None, None)
        assert wait_until(lambda: [status(each, nightly) for each in both] == [200, 200]) < 1.0
    assert rehearse(live, lead, minutes=0)["detail"].startswith("No brownout of iris/v1 is rehearsed by key ")


def test_a_token_of_the_key_is_refused_too_and_the_key_itself_unless_another_is_named(live: Live) -> None:
    _, lead = tenant(live)
    form = {"grant_type": "client_credentials", "client_id": key_id(lead), "client_secret": lead}
    token = live.client.post("/oauth/token", data=form).json()["access_token"]
    said = rehearse(live, lead, share=100)
    assert said["key_id"] == key_id(lead)
    wait_until(lambda: status(live, lead) == status(live, token) == 410)
    rehearse(live, token, minutes=0)
    wait_until(lambda: status(live, lead) == status(live, token) == 200)


def test_another_tenants_key_and_endpoint_are_not_there(live: Live) -> None:
    (_, lead), (_, other) = tenant(live), tenant(live, "crowd")

    def missing(key: str, **more: str) -> dict[str, Any]:
        body = problem(send(live, key, {"model": "iris", "api_version": "v1", **more}), 404, "not_found")
        return {name: value for name, value in body.items() if name != "request_id"}

    absent = missing(lead, key_id="0" * 16)
    assert missing(lead, key_id=key_id(other)) == absent
    assert missing(other) == missing(other, model="nothing") == missing(lead, api_version="v9") == absent
    assert missing(other, key_id=key_id(lead)) == absent
    assert status(live, lead) == 200


def test_what_cannot_be_rehearsed_is_refused(live: Live) -> None:
    name, lead = tenant(live)

    def refused(key: str = lead, **more: Any) -> list[tuple[str, str]]:
        said = problem(send(live, key, {"model": "iris", "api_version": "v1", **more}), 422, "invalid_input")
        return [(error["pointer"], error["code"]) for error in said["errors"]]

    assert refused(api_version="v2") == [("/api_version", "refused")]
    assert refused(minutes=31) == [("/minutes", "invalid")]
    assert refused(minutes=-1) == [("/minutes", "invalid")]
    assert refused(share=0) == [("/share", "invalid")]
    assert refused(key_id="short") == [("/key_id", "invalid")]
    assert refused(secret="x") == [("/secret", "unknown_field")]
    without = live.stage.key(name)
    problem(send(live, without, {"model": "iris", "api_version": "v1"}), 403, "scope_missing")
    live.stage.revoke(without)
    conflict = problem(send(live, lead, {"model": "iris", "api_version": "v1", "key_id": key_id(without)}), 409, "key_conflict")
    assert conflict["detail"].endswith("name one that works.")


def test_rehearsals_have_the_limit_of_the_account_routes(live: Live) -> None:
    _, lead = tenant(live)
    with live.stage.serving(account_requests_per_minute="1") as second:
        rehearse(second, lead, minutes=0)
        problem(send(second, lead, {"model": "iris", "api_version": "v1"}), 429, "rate_limited")


def test_row_88_brownouts_on_each_database(stage_on_each_database: Stage) -> None:
    stage = stage_on_each_database
    deprecate(stage)
    ours, other = stage.tenant("acme", "iris"), stage.tenant("other", "iris")
    with stage.serving(load_models="lazy") as live:
        lead = stage.key("acme", scopes=TENANT_SCOPES)
        window = plan(stage, "acme")
        wait_until(lambda: status(live, ours) == 410)
        assert status(live, other) == 200
        cancel(stage, window)
        assert wait_until(lambda: status(live, ours) == 200) < 1.0
        rehearse(live, lead, key_id=key_id(ours))
        assert wait_until(lambda: status(live, ours) == 410) < 1.0
        assert status(live, other) == 200


def test_row_37_a_rehearsal_under_way_gains_nothing_once_its_credential_is_over(live: Live) -> None:
    name, lead = tenant(live)
    victim, content = live.stage.key(name), json.dumps({"model": "iris", "api_version": "v1"}).encode()
    fields = ("Content-Type: application/json", f"Content-Length: {len(content)}", "Expect: 100-continue")
    with wire(live.port) as connection:
        connection.send(head("POST /account/rehearse-brownout", f"Authorization: Bearer {lead}", *fields))
        assert connection.answer().status == 100
        live.stage.revoke(lead)
        assert connection.send(content).answer().status == 401
    with live.stage.database.read() as session:
        assert session.exec(select(BrownoutTable).where(BrownoutTable.key_id == key_id(lead))).all() == []
    assert status(live, victim) == 200

"""A key's whole life under attack and under load: nothing is taken over, nothing leaks, and no call is lost."""

import itertools
import json
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta
from hashlib import sha256
from typing import Any

import httpx2
import pytest
from sqlmodel import col, select
from stage import IRIS_ROW, Live, Stage, instances, key_id, problem, token_of, wait_until
from statements import statements

from gatehouse.db.tables import AuditTable
from gatehouse.identity import keys
from gatehouse.identity.api_keys import checksum
from gatehouse.identity.networks import parse_networks
from gatehouse.middleware.request_log import JsonLines
from gatehouse.principal import TENANT_SCOPES, Scope

NEW_PEPPER = "hM2xQ7vBn4Zt9Kc1Wy6Rj3Lp8Ds5Gf0A"


@pytest.fixture(scope="module")
def lead(live: Live) -> str:
    live.stage.tenant("acme", "iris")
    return live.stage.key("acme", scopes=TENANT_SCOPES)


@pytest.fixture(scope="module")
def foreign(live: Live) -> str:
    return live.stage.tenant("other", "iris")


def send(live: Live, method: str, path: str, key: str, body: Any = None) -> httpx2.Response:
    given = {} if body is None else {"json": body}
    return live.client.request(method, f"/account/keys{path}", headers={"authorization": f"Bearer {key}"}, **given)


def without_id(answer: httpx2.Response) -> tuple[int, str, dict[str, str]]:
    request_id = answer.headers["x-request-id"]
    headers = {name: value for name, value in answer.headers.items() if name not in ("x-request-id", "date")}
    return answer.status_code, answer.text.replace(request_id, "ID"), headers


BY_ID = [("GET", "", None), ("PATCH", "", {"name": "mine"}), ("POST", "/rotate", {}), ("DELETE", "", None)]


@pytest.mark.parametrize(("method", "more", "body"), BY_ID)
def test_row_41_another_tenants_key_is_like_a_missing_one_in_bytes_and_in_work(
    live: Live, lead: str, foreign: str, method: str, more: str, body: Any
) -> None:
    own = live.stage.key("acme")
    assert send(live, method, f"/{key_id(own)}{more}", lead, body).status_code == 200
    before = keys.show_key(live.stage.database, key_id(foreign))
    answers, work = [], []
    others = (key_id(foreign), "0" * 16, key_id(live.stage.key("_operator")))
    live.caught_up()
    assert send(live, "GET", "", lead).status_code == 200, "the lead is known from now on"
    for other in others:
        with statements(live) as seen:
            answers.append(send(live, method, f"/{other}{more}", lead, body))
        work.append([statement for _, statement in seen])
    problem(answers[0], 404, "not_found")
    assert {repr(without_id(answer)) for answer in answers} == {repr(without_id(answers[0]))}
    assert work[0] == work[1] == work[2] != []
    assert keys.show_key(live.stage.database, key_id(foreign)) == before
    for text in ("x", "0" * 17, "%2e%2e", "00000000000000-0"):
        assert without_id(send(live, method, f"/{text}{more}", lead, body))[0] == 404


def test_row_41_the_list_holds_the_own_tenants_keys_alone(live: Live, lead: str, foreign: str) -> None:
    listed = send(live, "GET", "", lead).text
    assert key_id(lead) in listed
    assert key_id(foreign) not in listed


NOT_TO_SET = [
    "tenant",
    "tenant_id",
    "plan",
    "id",
    "key",
    "key_id",
    "digest",
    "previous_digest",
    "pepper",
    "pepper_version",
    "state",
    "created_at",
    "revoked_at",
    "rotated_at",
    "grace_ends_at",
    "last_used_at",
    "model_version",
    "admin",
    "__class__",
]


@pytest.mark.parametrize("member", NOT_TO_SET)
def test_row_44_fields_that_are_not_for_the_caller_are_refused_on_every_write(live: Live, lead: str, member: str) -> None:
    own = key_id(live.stage.key("acme"))
    before = keys.list_keys(live.stage.database, "acme")
    for method, path in (("POST", ""), ("PATCH", f"/{own}"), ("POST", f"/{own}/rotate")):
        answer = problem(send(live, method, path, lead, {member: "other"}), 422, "invalid_input")
        assert [(error["pointer"], error["code"]) for error in answer["errors"]] == [(f"/{member}", "unknown_field")]
        assert "other" not in json.dumps(answer["errors"])
    unused = [(key.id, key.name, key.rotated_at) for key in keys.list_keys(live.stage.database, "acme")]
    assert unused == [(key.id, key.name, key.rotated_at) for key in before]


@pytest.mark.parametrize("scope", sorted(Scope))
def test_row_47_a_key_gives_just_the_scopes_that_it_has(live: Live, lead: str, scope: Scope) -> None:
    wide = send(live, "POST", "", lead, {"scopes": [scope]})
    narrow = live.stage.key("acme", scopes={Scope.KEYS_MANAGE})
    made = send(live, "POST", "", narrow, {"scopes": [scope]})
    for minter, answer, held in ((lead, wide, scope in TENANT_SCOPES), (narrow, made, scope is Scope.KEYS_MANAGE)):
        if held:
            assert (answer.status_code, answer.json()["scopes"]) == (201, [scope])
        else:
            assert problem(answer, 403, "beyond_own_key")["member"] == "scopes"
        edit = send(live, "PATCH", f"/{key_id(minter)}", minter, {"scopes": [scope, Scope.KEYS_MANAGE]})
        assert edit.status_code == (200 if held else 403)
        live.stage.edit(minter, scopes=TENANT_SCOPES if minter == lead else frozenset({Scope.KEYS_MANAGE}))


def test_row_47_a_weak_key_takes_over_no_stronger_one(live: Live, lead: str) -> None:
    weak = live.stage.key("acme", scopes={Scope.KEYS_MANAGE})
    for method, more, body in (("POST", "/rotate", {"grace_s": 0}), ("PATCH", "", {"scopes": ["keys:manage"]})):
        problem(send(live, method, f"/{key_id(lead)}{more}", weak, body), 403, "beyond_own_key")
    narrowed = live.client.post(
        "/oauth/token",
        data={"grant_type": "client_credentials", "client_id": key_id(lead), "client_secret": lead, "scope": "keys:manage"},
    ).json()["access_token"]
    problem(send(live, "POST", "", narrowed, {"scopes": ["predictions:create"]}), 403, "beyond_own_key")
    assert live.predict(lead, instances(IRIS_ROW)).status_code == 200


def test_row_12_a_key_revoked_a_moment_ago_mints_nothing_though_it_is_still_remembered(live: Live) -> None:
    dying = live.stage.key("acme", scopes=TENANT_SCOPES)
    assert send(live, "GET", "", dying).status_code == 200
    live.stage.revoke(dying)
    answer = send(live, "POST", "", dying, {})  # at once, before this process has polled
    problem(answer, 401, "credential_invalid")
    assert answer.headers["www-authenticate"] == 'Bearer realm="gatehouse", error="invalid_token"'


def test_row_49_what_a_tenant_does_to_its_keys_is_in_the_audit_log_with_key_and_address(live: Live, lead: str) -> None:
    made = send(live, "POST", "", lead, {"name": "audited"}).json()
    send(live, "PATCH", f"/{made['id']}", lead, {"name": "again"})
    send(live, "POST", f"/{made['id']}/rotate", lead)
    send(live, "DELETE", f"/{made['id']}", lead)
    with live.stage.database.read() as session:
        rows = list(session.exec(select(AuditTable).where(AuditTable.subject == made["id"]).order_by(col(AuditTable.id))))
    assert [row.action for row in rows] == ["key.create", "key.edit", "key.rotate", "key.revoke"]
    assert {(row.actor, row.source) for row in rows} == {(f"key:{key_id(lead)}", "127.0.0.1")}
    assert made["key"].rpartition("_")[2] not in "".join(row.detail for row in rows)


def test_row_3_a_key_and_its_token_from_elsewhere_get_the_bytes_of_an_unknown_one(live: Live, lead: str) -> None:
    near, far = (live.stage.key("acme", networks=parse_networks([network])) for network in ("127.0.0.0/8", "192.0.2.0/24"))
    moved = live.stage.key("acme", networks=parse_networks(["127.0.0.1"]))
    token = token_of(live, moved)
    assert [live.predict(good, instances(IRIS_ROW)).status_code for good in (near, moved, token)] == [200, 200, 200]
    live.stage.edit(moved, networks=parse_networks(["2001:db8::/32"]))
    wait_until(lambda: live.predict(token, instances(IRIS_ROW)).status_code == 401)
    body = near[:22] + far[22:-6]
    answers = [live.get("/account", bad) for bad in (body + checksum(body), far, moved, token)]
    problem(answers[0], 401, "credential_invalid")
    assert len({repr(without_id(answer)) for answer in answers}) == 1
    form = {"grant_type": "client_credentials", "client_id": key_id(far), "client_secret": far}
    assert live.client.post("/oauth/token", data=form).json()["error"] == "invalid_client"


def test_row_13_the_last_use_is_shown_and_written_behind(live: Live, lead: str) -> None:
    used, unused = live.stage.key("acme"), live.stage.key("acme")
    with statements(live) as seen:
        assert live.predict(used, instances(IRIS_ROW)).status_code == 200
    assert not any("UPDATE api_key" in statement for _, statement in seen)
    live.app.identity.uses.write()
    shown = {key["id"]: key["last_used_at"] for key in send(live, "GET", "", lead).json()["keys"]}
    assert shown[key_id(used)] is not None
    assert shown[key_id(unused)] is None


def test_a_warm_key_costs_no_work_of_the_database_at_all(live: Live, lead: str) -> None:
    bound = live.stage.key("acme", networks=parse_networks(["127.0.0.0/8"]))
    warm = [lead, bound, token_of(live, bound)]
    live.caught_up()
    for credential in warm:
        assert live.predict(credential, instances(IRIS_ROW)).status_code == 200
    with statements(live) as seen:
        for credential in warm * 20:
            assert live.predict(credential, instances(IRIS_ROW)).status_code == 200
    assert seen == []
    with statements(live) as seen:
        assert live.predict(live.stage.key("acme"), instances(IRIS_ROW)).status_code == 200
    assert seen != [], "the count sees a cold one"


def test_row_98_no_line_of_the_log_and_no_later_answer_holds_a_secret(live: Live, lead: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    made = send(live, "POST", "", lead, {"name": "logged"}).json()
    path = f"/{made['id']}"
    rotated = send(live, "POST", f"{path}/rotate", lead, {"grace_s": 60}).json()
    texts = [made["key"], rotated["key"]]
    for text in texts:
        assert live.predict(text, instances(IRIS_ROW)).status_code == 200
        for said in (
            send(live, "GET", f"/{text}", lead),
            send(live, "PATCH", path, lead, {"name": text}),
            live.get(f"/account/keys?key={text}", lead),
        ):
            assert text[22:-6] not in said.text
    later = "".join(
        send(live, method, path, lead, body).text for method, body in (("GET", None), ("PATCH", {"name": "b"}), ("DELETE", None))
    )
    lines = "\n".join(JsonLines().format(record) for record in caplog.records if record.name.startswith("gatehouse"))
    assert made["id"] in lines
    for text in texts:
        assert text[22:-6] not in lines + later


class Load:
    """Clients that call without a pause; each asks `credential` anew for every call."""

    def __init__(self, urls: Callable[[], list[str]], credentials: list[Callable[[], str]]) -> None:
        self.statuses: list[int] = []
        self._urls = urls
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._call, args=(each,), name=f"client-{n}") for n, each in enumerate(credentials)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _call(self, credential: Callable[[], str]) -> None:
        body = json.dumps(instances(IRIS_ROW)).encode()
        with httpx2.Client(timeout=30) as client:
            for turn in itertools.count():
                if self._over.is_set():
                    return
                urls = self._urls()
                headers = {"authorization": f"Bearer {credential()}", "content-type": "application/json"}
                answer = client.post(urls[turn % len(urls)] + "/v1/models/iris/predict", content=body, headers=headers)
                self.statuses.append(answer.status_code)


def test_row_13_a_client_that_switches_at_any_time_within_the_grace_loses_no_call(stage_on_each_database: Stage) -> None:
    stage, grace = stage_on_each_database, timedelta(seconds=4)
    stage.tenant("acme", "iris")
    old = [stage.key("acme") for _ in range(5)]
    with stage.serving() as one, stage.serving() as two:
        current = dict(enumerate(old))
        clients = [lambda n=n: current[n] for n in current]
        with Load(lambda: [one.base_url, two.base_url], clients) as load:
            goes_on(load)
            begun = time.monotonic()
            new = [stage.rotate(key, grace) for key in old]
            over = time.monotonic() + grace.total_seconds()  # of the last one that was rotated
            for n in range(len(old)):  # the first at once, the last not long before the end
                wait_until(lambda n=n: time.monotonic() - begun >= n * 0.7)  # type: ignore[misc]
                current[n] = new[n]
            wait_until(lambda: time.monotonic() > over + 0.2)
            goes_on(load)
        assert set(load.statuses) == {200}
        for server in (one, two):
            assert {server.predict(key, instances(IRIS_ROW)).status_code for key in old} == {401}
            assert {server.predict(key, instances(IRIS_ROW)).status_code for key in new} == {200}


def goes_on(load: Load, calls: int = 60) -> None:
    """Wait for so many calls more."""
    enough = len(load.statuses) + calls
    wait_until(lambda: len(load.statuses) >= enough)


def test_row_106_a_new_pepper_takes_over_under_load_and_nobody_is_refused(stage: Stage) -> None:
    texts = [stage.tenant("acme", "iris"), *(stage.key("acme") for _ in range(5))]
    rotated = stage.rotate(texts[0])
    credentials = itertools.cycle([*texts, rotated])
    old = stage.values["GATEHOUSE_KEY_PEPPER"]
    urls: list[str] = []
    knowing = {"other_key_peppers": f"2:{NEW_PEPPER}"}
    changed = {"key_pepper": NEW_PEPPER, "key_pepper_version": "2", "other_key_peppers": f"1:{old}"}
    with stage.serving() as first, ExitStack() as servers:
        urls.append(first.base_url)
        load = servers.enter_context(Load(lambda: list(urls), [lambda: next(credentials)] * 2))
        goes_on(load)
        second = servers.enter_context(stage.serving(**knowing))  # 1: every server learns the new one
        urls[:] = [second.base_url]
        goes_on(load)
        third = servers.enter_context(stage.serving(**changed))  # 2: one after the other makes it the current one
        urls.append(third.base_url)
        goes_on(load)
        wait_until(lambda: third.app.identity.uses.write() or keys.list_keys(stage.database, under_pepper=1) == [])
        for text in texts:
            stage.edit(text, name="touched")  # so that both look it up again, under its new digest
        goes_on(load)
        urls[:] = [third.base_url]
        goes_on(load)
        load.end()
        assert set(load.statuses) == {200}
    with stage.serving(key_pepper=NEW_PEPPER, key_pepper_version="2") as last:  # 3: the old one leaves the settings
        assert {last.predict(text, instances(IRIS_ROW)).status_code for text in (*texts, rotated)} == {200}


def test_rows_7_and_108_a_dump_opens_nothing_after_create_rotation_and_a_new_pepper(stage: Stage, tmp_path: Any) -> None:
    file = stage.state_dir.parent / "gatehouse.db"
    old = stage.values["GATEHOUSE_KEY_PEPPER"]
    texts = [stage.tenant("acme", "iris"), stage.key("acme", scopes=TENANT_SCOPES)]
    texts.append(stage.rotate(texts[0]))
    changed = {"key_pepper": NEW_PEPPER, "key_pepper_version": "2", "other_key_peppers": f"1:{old}"}
    with stage.serving(**changed) as live:
        texts.append(send(live, "POST", "", texts[1], {}).json()["key"])
        texts.append(send(live, "POST", f"/{key_id(texts[-1])}/rotate", texts[1]).json()["key"])
        assert {live.predict(text, instances(IRIS_ROW)).status_code for text in texts} == {200}
    assert keys.list_keys(stage.database, under_pepper=1) == []
    with sqlite3.connect(file) as database:
        dump = "\n".join(database.iterdump())
        digests = {bytes(value) for row in database.execute("SELECT digest, previous_digest FROM api_key") for value in row if value}
    database.close()
    raw = b"".join(part.read_bytes() for part in file.parent.glob("gatehouse.db*"))
    assert len(digests) == 5
    for text in texts:
        assert key_id(text) in dump
        secret = text[22:-6]
        assert not [secret[n : n + 8] for n in range(len(secret) - 7) if secret[n : n + 8] in dump or secret[n : n + 8].encode() in raw]
        for part in (text, secret, text[22:], text[:-6], text[5:]):
            assert sha256(part.encode()).digest() not in digests
    for pepper in (old, NEW_PEPPER):
        assert pepper not in dump
        assert pepper.encode() not in raw
    with stage.serving(key_pepper="Pz6wN1mKx8Tq3Vb5Hc9Yd2Jf7Rg4Ls0E", key_pepper_version="2") as elsewhere:
        for text in texts:
            problem(elsewhere.predict(text, instances(IRIS_ROW)), 401, "credential_invalid")

"""What a proxy in front says of the caller is believed from listed proxies alone; nobody passes a limit by making it up."""

import json

import pytest
from serving_process import serving_process
from sqlmodel import select
from stage import IRIS_ROW, Live, Stage, instances, key_id, problem
from wire import head, post, wire

from gatehouse.db.tables import AuditTable
from gatehouse.identity.api_keys import mint_key
from gatehouse.limits.failed_logins import FEW
from gatehouse.principal import Plan, Rate, Scope
from gatehouse.settings import SettingsInvalid, settings_from

GOOD = json.dumps(instances(IRIS_ROW)).encode()
SPELLINGS = [
    "X-Forwarded-For: 203.0.113.{n}",
    "x-forwarded-for: 203.0.113.{n}",
    "X-FORWARDED-FOR: 203.0.113.{n}, 127.0.0.1",
    "X-Forwarded-For: 127.0.0.1, 203.0.113.{n}",
    "X-Forwarded-For: 203.0.113.{n}:443",
    "X-Forwarded-For: 2001:db8:{n}::1",
    "X-Forwarded-For: [2001:db8:{n}::1]:443",
    "Forwarded: for=203.0.113.{n};proto=https",
    'Forwarded: for="[2001:db8:{n}::1]"',
    "X-Real-IP: 203.0.113.{n}",
    "X-Client-IP: 203.0.113.{n}",
    "True-Client-IP: 203.0.113.{n}",
    "CF-Connecting-IP: 203.0.113.{n}",
    "X-Cluster-Client-IP: 203.0.113.{n}",
    "X-Forwarded: 203.0.113.{n}",
    "X_Forwarded_For: 203.0.113.{n}",
    "Via: 1.1 203.0.113.{n}",
]
FAILURES = 4


def statuses(live: Live, field: str, calls: int, path: str = "/account") -> list[int]:
    """Of guesses that each name another address in `field`."""
    found = []
    for number in range(calls):
        with wire(live.port) as connection:
            fields = [f"Authorization: Bearer {mint_key(b'other').text}", field.format(n=number + 1)]
            found.append(connection.send(head(f"GET {path}", *fields)).answer().status)
    return found


@pytest.mark.parametrize("trusted", ["192.0.2.0/24", "127.0.0.1"])
def test_row_57_and_107_no_spelling_passes_the_limit_but_the_one_header_of_a_listed_proxy(
    stage: Stage, trusted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    believed = ("X-Forwarded-For:", "x-forwarded-for:", "X-FORWARDED-FOR:") if trusted == "127.0.0.1" else ()
    with stage.serving(failed_credentials_per_minute=str(FAILURES), trusted_proxies=trusted) as live:
        for minute, field in enumerate(SPELLINGS):
            monkeypatch.setattr(live.app.identity.failures._rates, "_clock_us", lambda now_us=minute * 60_000_000: now_us)
            expected = [401] * (FAILURES + 2) if field.startswith(believed) else [401] * FAILURES + [429] * 2
            assert statuses(live, field, FAILURES + 2) == expected, field


def test_row_107_behind_a_listed_proxy_each_caller_has_a_limit_of_its_own(stage: Stage) -> None:
    good = stage.tenant("acme", "iris")
    with stage.serving(failed_credentials_per_minute=str(FAILURES), trusted_proxies="127.0.0.0/8, ::1") as live:
        guesser = "X-Forwarded-For: 10.{n}.0.1, 203.0.113.7"  # what stands left of it was sent by the guesser
        assert statuses(live, guesser, FAILURES + 2) == [401] * FAILURES + [429] * 2
        assert statuses(live, "X-Forwarded-For: 203.0.113.8", 1) == [401]
        assert statuses(live, "X-Forwarded-For: 2001:db8:0:7::{n}", FAILURES + 2) == [401] * FAILURES + [429] * 2, "one /64"
        assert statuses(live, "X-Forwarded-For: 2001:db8:0:8::{n}", 1) == [401]
        assert statuses(live, "X-Forwarded-For: garbage", FAILURES + 1) == [401] * FAILURES + [429], "the proxy's own address"
        assert live.client.get("/account", headers={"x-api-key": good, "x-forwarded-for": "203.0.113.9"}).status_code == 200


def test_row_107_the_token_endpoints_limit_is_by_the_caller_too(stage: Stage) -> None:
    key = stage.tenant("acme", "iris")
    form = {"grant_type": "client_credentials", "client_id": key_id(key), "client_secret": key}

    def ask(live: Live, caller: str) -> int:
        return live.client.post("/oauth/token", data=form, headers={"x-forwarded-for": caller}).status_code

    with stage.serving(token_requests_per_minute="2", trusted_proxies="127.0.0.1") as live:
        assert [ask(live, f"198.51.100.{n}, 203.0.113.7") for n in range(4)] == [200, 200, 429, 429]
        assert ask(live, "203.0.113.8") == 200
    with stage.serving(token_requests_per_minute="2") as live:
        assert [ask(live, f"203.0.113.{n}") for n in range(4)] == [200, 200, 429, 429]


@pytest.mark.parametrize(("trusted", "wrong"), [("", [401] * FEW + [429]), ("127.0.0.1", [401] * (FEW + 1))])
def test_row_107_failed_logins_are_slowed_by_the_caller_too(stage: Stage, trusted: str, wrong: list[int]) -> None:
    body = {"name": "nobody", "password": "a guess at a password"}
    with stage.serving(trusted_proxies=trusted) as live:
        callers = [{"x-forwarded-for": f"198.51.100.1, 203.0.113.{n}"} for n in range(FEW + 1)]
        assert [live.client.post("/login", json=body, headers=caller).status_code for caller in callers] == wrong
        again = [live.client.post("/login", json=body, headers={"x-forwarded-for": "203.0.113.99"}).status_code for _ in range(FEW + 1)]
        assert again == ([401] * FEW + [429] if trusted else [429] * (FEW + 1))


@pytest.mark.parametrize(("trusted", "address"), [("", "127.0.0.1"), ("127.0.0.1", "203.0.113.7")])
def test_row_107_the_audit_trail_names_the_caller_that_a_listed_proxy_saw(stage: Stage, trusted: str, address: str) -> None:
    operator, forwarded = stage.key("_operator", scopes=frozenset(Scope)), {"x-forwarded-for": "198.51.100.1, 203.0.113.7"}
    with stage.serving(trusted_proxies=trusted) as live:
        own = {"authorization": f"Bearer {operator}", **forwarded}
        made = live.client.post("/admin/tenants", json={"name": "acme"}, headers=own)
        assert made.status_code == 201, made.text
        assert "203.0.113" not in made.text + str(made.headers)
        refused = {"name": "nobody", "password": "a guess at a password"}
        assert live.client.post("/login", json=refused, headers=forwarded).status_code == 401
    assert {"tenant.create", "person.login_refused"} <= {action for action, _ in audited(stage)}
    assert {source for _, source in audited(stage)} - {"cli", "start"} == {address}


def audited(stage: Stage) -> list[tuple[str, str]]:
    """Each audited action and from where it was."""
    with stage.database.read() as session:
        return [(row.action, row.source) for row in session.exec(select(AuditTable))]


@pytest.mark.parametrize("trusted", ["", "127.0.0.1"])
def test_row_57_the_limits_of_a_key_do_not_look_at_the_address(stage: Stage, trusted: str) -> None:
    plan = stage.plan(Plan("three", Rate(1, 3600, 3), Rate(1000, 1, 1000), 1000, "soft", 10, 4096))
    key = stage.tenant("acme", "iris", plan=plan)
    with stage.serving(trusted_proxies=trusted) as live:
        found = []
        for number in range(5):
            with wire(live.port) as connection:
                found.append(connection.send(post(key, GOOD, f"X-Forwarded-For: 203.0.113.{number}")).answer().status)
    assert found == [200] * 3 + [429] * 2


@pytest.mark.endpoints("iris v1")
@pytest.mark.parametrize(("trusted", "address"), [("", "127.0.0.1"), ("127.0.0.1/32", "203.0.113.7")])
def test_row_107_the_log_names_the_caller_and_no_link_follows_a_forwarded_header(stage: Stage, trusted: str, address: str) -> None:
    forwarded = {"x-forwarded-for": "evil.test, 203.0.113.7", "x-forwarded-host": "evil.test", "x-forwarded-proto": "ftp"}
    with serving_process(stage, trusted_proxies=trusted) as server, wire(server.port) as connection:
        fields = [f"{name}: {value}" for name, value in forwarded.items()]
        answer = connection.send(head("GET /account", *fields, "Forwarded: for=198.51.100.1;host=evil.test")).answer()
        assert (answer.status, "evil.test" in repr(answer)) == (401, False)
        server.terminate()
    calls = [json.loads(line) for line in server.log.read_text(encoding="utf-8").splitlines()]
    [call] = [call for call in calls if call.get("path") == "/account"]
    assert call["address"] == address
    assert "evil.test" not in json.dumps(calls)


@pytest.mark.parametrize(
    "given", ["everybody", "10.0.0.1/8", "0.0.0.0/0", "::/0", "10.0.0.0/33", "proxy.example.org", "10.0.0.1-10.0.0.9", "*"]
)
def test_a_list_of_proxies_that_names_no_networks_or_everybody_stops_the_start(stage: Stage, given: str) -> None:
    with pytest.raises(SettingsInvalid, match=r"^GATEHOUSE_TRUSTED_PROXIES (must be|would believe)"):
        settings_from(stage.values | {"GATEHOUSE_TRUSTED_PROXIES": given}, stage.state_dir)


def test_row_55_a_flood_is_not_eased_by_good_calls_that_must_be_looked_up(stage: Stage) -> None:
    fresh = [stage.tenant("acme", "iris"), *(stage.key("acme") for _ in range(FAILURES))]
    with stage.serving(failed_credentials_per_minute=str(FAILURES)) as live:
        for key in fresh[:FAILURES]:
            problem(live.get("/account", mint_key(b"other").text), 401, "credential_invalid")
            if key is not fresh[FAILURES - 1]:
                assert live.get("/account", key).status_code == 200
        problem(live.get("/account", fresh[FAILURES]), 429, "too_many_failures")
        problem(live.get("/account", mint_key(b"other").text), 429, "too_many_failures")
        assert [live.get("/account", key).status_code for key in fresh[: FAILURES - 1]] == [200] * (FAILURES - 1)

"""`gatehouse why` names the cause: each fault is planted as it comes about in life, and the command that it names mends it."""

import json
import re
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from secrecy import remember
from stage import ACTOR, IRIS_ROW, WIDE, Live, Stage, instances, key_id, wait_until
from typer.testing import CliRunner

from gatehouse.cli import app
from gatehouse.errors import CATALOGUE
from gatehouse.identity.tenants import show_tenant
from gatehouse.migration.store import create_endpoint
from gatehouse.principal import Rate, Scope
from gatehouse.usage.event import UsageEvent
from gatehouse.usage.store import insert_batch

ENDPOINTS = ("iris v1", "iris v2", "line v1")
PARTS = ["key", "tenant", "grant", "lifecycle", "limits", "quota", "load", "engine"]
NOTHING = "nothing stands in the way of such a call now"
COMMAND = re.compile(r"gatehouse .+?(?=, or |;| \(|$)")


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory, published: Path, module_database_url: str) -> Iterator[Live]:
    """A deployment that is served, once on SQLite and once on PostgreSQL; each test uses tenants of its own."""
    stage = Stage(tmp_path_factory.mktemp("why"), published, module_database_url, ENDPOINTS)
    with stage.serving() as live:
        yield live
    stage.close()


@pytest.fixture
def operate(serving: Live, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Gives commands to the deployment that is served."""
    return commands(serving.stage, monkeypatch)


def commands(stage: Stage, monkeypatch: pytest.MonkeyPatch, **values: str) -> Callable[..., Any]:
    more = {f"GATEHOUSE_{name.upper()}": value for name, value in values.items()}
    for name, value in {**stage.values, "GATEHOUSE_STATE_DIR": str(stage.state_dir), **more}.items():
        monkeypatch.setenv(name, value)

    def run(text: str, code: int = 0) -> str:
        result = CliRunner().invoke(app, text.removeprefix("gatehouse ").split(), prog_name="gatehouse")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, result.output
        return result.stdout if code == 0 or result.stdout else result.stderr

    return run


def steps(operate: Callable[..., Any], tenant: str, *, endpoint: str = "iris v1", key: str = "", code: int = 0) -> dict[str, Any]:
    """By part."""
    model, version = endpoint.split()
    named = f" --key {key_id(key)}" if key else ""
    found = json.loads(operate(f"why --tenant {tenant} --model {model} --api-version {version}{named} --json", code=code))
    assert [step["part"] for step in found["steps"]] == PARTS
    assert found["well"] is (code == 0)
    assert all((step["remedy"] is None) is (step["well"] and not step["lately"]) for step in found["steps"])
    return {step["part"]: step for step in found["steps"]}


def fault(operate: Callable[..., Any], part: str, tenant: str, **asked: Any) -> Any:
    """The one step that is not well."""
    found = steps(operate, tenant, code=1, **asked)
    assert [name for name, step in found.items() if not step["well"]] == [part]
    return found[part]


def mend(operate: Callable[..., Any], step: Any) -> str:
    """What the first line of commands of a remedy prints."""
    found = COMMAND.search(step["remedy"])
    assert found, step
    said = "".join(operate(command.strip()) for command in found[0].split(" && "))
    for text in re.findall(r"gate_\w+", said):
        remember(text)
    return said


def test_a_healthy_deployment_is_well_part_by_part(serving: Live, operate: Any) -> None:
    key = serving.stage.tenant("healthy", "iris", "line")
    assert serving.predict(key, instances(IRIS_ROW)).status_code == 200
    for endpoint in ("iris v1", "iris v2", "line v1"):
        steps(operate, "healthy", endpoint=endpoint)
        steps(operate, "healthy", endpoint=endpoint, key=key)
    shown = operate("why --tenant healthy --model iris --api-version v1")
    assert [line.split()[:2] for line in shown.splitlines() if "✓" in line] == [["✓", part] for part in PARTS]
    assert "✗" not in shown


def test_a_revoked_key_is_named_and_another_one_mends_it(serving: Live, operate: Any) -> None:
    key = serving.stage.tenant("revoked", "iris")
    operate(f"keys revoke {key_id(key)}")
    step = fault(operate, "key", "revoked")
    assert step["detail"].startswith(f"{key_id(key)} is revoked since")
    mend(operate, step)
    steps(operate, "revoked")
    fault(operate, "key", "revoked", key=key)


def lately(operate: Callable[..., Any], part: str, tenant: str, **asked: Any) -> Any:
    """The one step that lets calls in and has refused some; a refusal is in the database after a moment."""
    wait_until(lambda: any(step["lately"] for step in steps(operate, tenant, **asked).values()))
    found = steps(operate, tenant, **asked)
    assert [name for name, step in found.items() if step["lately"]] == [part]
    return found[part]


def test_a_key_that_is_used_on_though_it_was_revoked_is_named_beside_the_one_that_works(serving: Live, operate: Any) -> None:
    key, other = serving.stage.tenant("replaced", "iris"), serving.stage.key("replaced")
    operate(f"keys revoke {key_id(key)}")
    asked = "why --tenant replaced --model iris --api-version v1"
    assert "nothing stands in the way now; a call that gets 401 all the same" in operate(asked)
    wait_until(lambda: serving.predict(key, instances(IRIS_ROW)).status_code == 401)
    step = lately(operate, "key", "replaced")
    assert f"in order: {key_id(other)}; 1 of its keys is not; " in step["detail"]
    assert f"with key {key_id(key)} got 401 in the last 24 hours" in step["detail"]
    assert step["remedy"].startswith("the partner takes another of its keys, or: gatehouse keys create --tenant replaced")
    shown = operate(asked)
    assert [line.split()[1] for line in shown.splitlines() if line.lstrip().startswith("!")] == ["key"]
    assert "what is marked ! has refused calls of the last 24 hours" in shown
    fault(operate, "key", "replaced", key=key)
    assert f"{key_id(key)} is revoked since" in operate(f"{asked} --key gate_{key_id(key)}", code=1)


def test_a_key_that_is_used_from_elsewhere_is_named_and_another_network_mends_it(serving: Live, operate: Any) -> None:
    serving.stage.tenant("elsewhere", "iris")
    key = serving.stage.key("elsewhere", networks=(ip_network("192.0.2.0/24"),))
    assert serving.predict(key, instances(IRIS_ROW)).status_code == 401
    step = lately(operate, "key", "elsewhere")
    assert "1 call with key" in step["detail"]
    assert "from an address outside of 192.0.2.0/24" in step["detail"]
    mend(operate, step | {"remedy": step["remedy"].replace("CIDR,…", "127.0.0.0/8")})
    answers_again(serving, key)


def test_an_expired_key_is_named(serving: Live, operate: Any) -> None:
    serving.stage.tenant("expired", "iris")
    ends = datetime.now(UTC) + timedelta(milliseconds=200)
    key = serving.stage.key("expired", expires_at=ends)
    wait_until(lambda: datetime.now(UTC) > ends)
    step = fault(operate, "key", "expired", key=key)
    assert "has expired" in step["detail"]
    assert "1 of its keys is not" in steps(operate, "expired")["key"]["detail"]
    mend(operate, step)
    steps(operate, "expired", key=key)


def test_a_key_without_the_scope_is_named(serving: Live, operate: Any) -> None:
    serving.stage.tenant("scopeless", "iris")
    key = serving.stage.key("scopeless", scopes=frozenset({Scope.MODELS_READ}))
    step = fault(operate, "key", "scopeless", key=key)
    assert "predictions:create" in step["detail"]
    mend(operate, step)
    steps(operate, "scopeless", key=key)


def test_a_suspended_tenant_is_named(serving: Live, operate: Any) -> None:
    serving.stage.tenant("suspended", "iris")
    operate("tenants suspend suspended")
    mend(operate, fault(operate, "tenant", "suspended"))
    steps(operate, "suspended")


def test_a_grant_that_is_missing_or_of_another_version_is_named(serving: Live, operate: Any) -> None:
    serving.stage.tenant("ungranted")
    mend(operate, fault(operate, "grant", "ungranted"))
    steps(operate, "ungranted")
    serving.stage.tenant("older")
    serving.stage.grant("older", "iris", "v1")
    step = fault(operate, "grant", "older", endpoint="iris v2")
    assert "may call v1 of iris, not v2" in step["detail"]
    mend(operate, step)
    steps(operate, "older", endpoint="iris v2")


@pytest.mark.endpoints("iris v1", "line v1")
def test_a_preview_is_opened_to_a_tenant_by_the_commands_as_they_are_printed(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    with stage.database.write() as session:
        create_endpoint(session, ACTOR, "iris", "2.0.0")
    for name, models in {"whole": ("iris",), "two": ("iris", "line"), "other": ("line", "iris"), "none": ()}.items():
        stage.tenant(name, *models)
    stage.tenant("older")
    stage.grant("older", "iris", "v1")
    operate = commands(stage, monkeypatch)
    with stage.serving():
        for name in ("whole", "two", "other", "none", "older"):
            before = show_tenant(stage.database, name).default_model
            mend(operate, fault(operate, "grant", name, endpoint="iris v2"))
            steps(operate, name, endpoint="iris v2")
            assert show_tenant(stage.database, name).default_model == before or name == "none"
        for name in ("whole", "two", "other", "older"):
            steps(operate, name)
        steps(operate, "two", endpoint="line v1")


def answers_again(serving: Live, key: str) -> None:
    """The server has taken in what an operator did."""
    wait_until(lambda: serving.predict(key, instances(IRIS_ROW)).status_code == 200)


def test_a_brownout_that_is_under_way_is_named_to_those_whom_it_meets(serving: Live, operate: Any) -> None:
    key = serving.stage.tenant("browned", "iris")
    serving.stage.tenant("unbrowned", "iris")
    operate("endpoints deprecate iris v1 --sunset 2099-06-30 --successor v2")
    try:
        assert "answers until the end of 2099-06-30" in steps(operate, "browned")["lifecycle"]["detail"]
        operate("endpoints brownout iris v1 --at now --minutes 5 --tenant browned --force")
        step = fault(operate, "lifecycle", "browned")
        assert "brownout" in step["detail"]
        steps(operate, "unbrowned")
        mend(operate, step)
        steps(operate, "browned")
    finally:
        operate("endpoints undeprecate iris v1")
    answers_again(serving, key)


def test_a_retired_endpoint_is_named(serving: Live, operate: Any) -> None:
    key = serving.stage.tenant("retired", "iris")
    operate("endpoints deprecate iris v1 --sunset 2099-06-30 --successor v2")
    operate("endpoints retire iris v1 --force")
    step = fault(operate, "lifecycle", "retired")
    assert step["remedy"].startswith("retired calls v2 instead")
    mend(operate, step)
    steps(operate, "retired")
    answers_again(serving, key)


def test_a_quota_that_is_used_up_or_too_small_for_a_call_is_named(serving: Live, operate: Any) -> None:
    serving.stage.plan(replace(WIDE, name="three", rows_per_month=3, quota_mode="hard"))
    key = serving.stage.tenant("quotaless", "iris", plan="three")
    assert serving.predict(key, instances(IRIS_ROW, IRIS_ROW)).status_code == 200
    assert serving.predict(key, instances(IRIS_ROW, IRIS_ROW)).json()["code"] == "quota_exhausted"
    wait_until(lambda: '"part": "quota", "well": false' in why_json(operate, "quotaless"))
    assert "too few for 1 call" in fault(operate, "quota", "quotaless")["detail"]
    assert serving.predict(key, instances(IRIS_ROW)).status_code == 200
    wait_until(lambda: '"0 of the 3 rows' in why_json(operate, "quotaless"))
    assert "calls get 429" in fault(operate, "quota", "quotaless")["detail"]
    operate("tenants edit quotaless --plan wide")
    steps(operate, "quotaless")


def why_json(operate: Any, tenant: str) -> str:
    """Whether it is well or not."""
    try:
        return str(operate(f"why --tenant {tenant} --model iris --api-version v1 --json", code=1))
    except AssertionError:
        return ""


def test_a_rate_that_refuses_is_named_though_no_redis_knows_it(serving: Live, operate: Any) -> None:
    serving.stage.plan(replace(WIDE, name="slow", requests=Rate(1, 3600, 1)))
    key = serving.stage.tenant("hasty", "iris", plan="slow")
    statuses = [serving.predict(key, instances(IRIS_ROW)).status_code for _ in range(3)]
    assert statuses == [200, 429, 429]
    wait_until(lambda: '"part": "limits", "well": false' in why_json(operate, "hasty"))
    wait_until(lambda: "refused 2 calls in the last minute" in fault(operate, "limits", "hasty")["detail"])


def test_a_limit_that_lets_nothing_in_is_named_before_a_call_is_refused(serving: Live, operate: Any) -> None:
    serving.stage.tenant("shut", "iris")
    shut = serving.stage.key("shut", requests=Rate(0, 1, 0))
    step = fault(operate, "limits", "shut", key=shut)
    assert "Retry-After" not in step["remedy"]
    mend(operate, step)
    steps(operate, "shut", key=shut)
    serving.stage.plan(replace(WIDE, name="nothing", requests=Rate(0, 1, 0)))
    serving.stage.tenant("closed", "iris", plan="nothing")
    step = fault(operate, "limits", "closed")
    mend(operate, step | {"remedy": step["remedy"].replace("RATE", "5/s").replace("NUMBER", "5")})
    steps(operate, "closed")


def test_the_key_that_was_refused_is_the_one_that_is_given_more(serving: Live, operate: Any) -> None:
    serving.stage.tenant("tight", "iris")
    refused, newer = (serving.stage.key("tight", requests=Rate(1, 3600, 1)) for _ in range(2))
    assert [serving.predict(refused, instances(IRIS_ROW)).status_code for _ in range(2)] == [200, 429]
    wait_until(lambda: '"part": "limits", "well": false' in why_json(operate, "tight"))
    remedy = fault(operate, "limits", "tight")["remedy"]
    assert (key_id(refused) in remedy, key_id(newer) in remedy) == (True, False)


def test_an_artifact_that_was_tampered_with_is_named(serving: Live, operate: Any) -> None:
    serving.stage.tenant("tampered", "line")
    (file,) = (serving.stage.state_dir / "models" / "line" / "1.0.0").glob("model.*")
    content = file.read_bytes()
    file.chmod(0o600)
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    try:
        step = fault(operate, "engine", "tampered", endpoint="line v1")
        assert step["detail"].startswith("line 1.0.0: model.")
        assert step["detail"].endswith(" was changed after it was signed; calls get 503 from the next start on")
        assert step["remedy"] == (
            "put back the file that was published, or publish the model again,"
            " or release another version: gatehouse endpoints release line v1 --version X.Y.Z"
        )
    finally:
        file.write_bytes(content)
    steps(operate, "tampered", endpoint="line v1")


def test_what_no_process_serves_is_named(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.tenant("acme", "iris")
    operate = commands(stage, monkeypatch)
    assert "no process serves" in fault(operate, "load", "acme")["detail"]
    file = stage.state_dir / "models" / "iris" / "1.0.0" / "manifest.sig"
    file.unlink()
    with stage.serving():
        operate("why --tenant acme --model iris --api-version v2")
        found = steps(operate, "acme", code=1)
        assert [part for part, step in found.items() if not step["well"]] == ["load", "engine"]
        assert "has not loaded iris/v1 as released" in found["load"]["detail"]
        said = r"^NOT LOADED by process prc_\w+: .+$"
        assert re.search(said, operate("endpoints show iris v1"), re.MULTILINE)
        assert list(json.loads(operate("endpoints show iris v1 --json"))["not_loaded"].values())
        assert found["engine"]["detail"] == "iris 1.0.0: manifest.sig is missing; calls get 503"
    assert "nobody answers" in steps(operate, "acme", code=1)["load"]["detail"]


def test_redis_says_what_is_left_and_what_is_spent(stage: Stage, valkey_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.plan(replace(WIDE, name="slow", requests=Rate(1, 3600, 2)))
    key = stage.tenant("acme", "iris", plan="slow")
    operate = commands(stage, monkeypatch, redis_url=valkey_url)
    with stage.serving(redis_url=valkey_url) as live:
        wait_until(lambda: live.predict(key, instances(IRIS_ROW)).status_code == 429)
        step = fault(operate, "limits", "acme")
        assert "tenant-requests has nothing left for" in step["detail"]
        operate("tenants edit acme --plan wide")
        wait_until(lambda: "left now: tenant-requests" in json.dumps(steps_now(operate)))


def steps_now(operate: Any) -> Any:
    """Well or not; it may become well between two looks."""
    for code in (0, 1, 0):
        try:
            return json.loads(operate("why --tenant acme --model iris --api-version v1 --json", code=code))["steps"]
        except AssertionError:
            continue
    raise AssertionError("neither 0 nor 1")


def test_a_call_that_was_refused_is_shown_with_what_stands_in_its_way_now(serving: Live, operate: Any) -> None:
    key = serving.stage.tenant("asking", "iris")
    refused = serving.predict(key, b"{", x_request_id="partner-call-0001")
    assert refused.status_code == 400
    wait_until(lambda: '"call"' in either(operate, "why partner-call-0001 --json"))
    found = json.loads(operate("why partner-call-0001 --json", code=1))
    call = found["call"]
    assert (call["tenant"], call["key_id"], call["model"], call["api_version"]) == ("asking", key_id(key), "iris", "v1")
    assert (call["status"], call["code"], call["rows"]) == (400, "invalid_json", 0)
    assert "not JSON" in call["outcome"]
    assert call["again"] == CATALOGUE["invalid_json"].remedy
    assert (found["well"], all(step["well"] for step in found["steps"])) == (False, True)
    operate("tenants suspend asking")
    shown = operate("why partner-call-0001", code=1)
    assert "400 invalid_json" in shown
    assert "gatehouse tenants resume asking" in shown


def test_a_call_that_reached_no_endpoint_is_walked_without_one(serving: Live, operate: Any) -> None:
    key = serving.stage.tenant("lost")
    request_id = serving.predict(key, instances(IRIS_ROW)).headers["x-request-id"]
    wait_until(lambda: '"call"' in either(operate, f"why {request_id} --json"))
    found = json.loads(operate(f"why {request_id} --json", code=1))
    assert (found["call"]["status"], found["call"]["model"]) == (404, None)
    assert [step["part"] for step in found["steps"]] == ["key", "tenant", "grant", "limits", "quota", "load"]
    assert [step["part"] for step in found["steps"] if not step["well"]] == ["grant"]
    shown = operate(f"why {request_id}", code=1)
    assert "nothing stands in the way" not in shown
    assert "lost may call no endpoint now" in shown
    assert "gatehouse grants list lost, then: gatehouse why --tenant lost --model MODEL --api-version vN" in shown
    assert f"journalctl -u gatehouse | grep {request_id}" in shown
    serving.stage.grant("lost", "line")
    assert "lost may call line/v1 now" in operate(f"why {request_id}", code=1)


def test_a_call_without_the_scope_was_refused_before_its_endpoint_was_looked_up(serving: Live, operate: Any) -> None:
    serving.stage.tenant("unscoped", "iris")
    key = serving.stage.key("unscoped", scopes=frozenset({Scope.MODELS_READ}))
    request_id = serving.predict(key, instances(IRIS_ROW)).headers["x-request-id"]
    wait_until(lambda: "403 scope_missing" in either(operate, f"why {request_id}"))
    shown = operate(f"why {request_id}", code=1)
    assert "it was refused before its endpoint was looked up" in shown
    assert "gatehouse keys edit" in shown
    assert "grant" not in shown
    operate(f"keys edit {key_id(key)} --scopes predictions:create")
    assert NOTHING in operate(f"why {request_id}")
    serving.predict(serving.stage.key("unscoped"), instances(IRIS_ROW), x_request_id="partner-call-0002")
    wait_until(lambda: ", 1 row: it was answered" in either(operate, "why partner-call-0002"))


def either(operate: Any, text: str) -> str:
    """What is printed, whatever the exit code is."""
    for code in (0, 1):
        try:
            return str(operate(text, code=code))
        except AssertionError:
            continue
    return ""


def test_a_call_that_would_be_refused_again_is_not_told_that_nothing_stands_in_its_way(serving: Live, operate: Any) -> None:
    serving.stage.plan(replace(WIDE, name="narrow", bytes_per_call=1000))
    serving.stage.tenant("again", "iris", plan="narrow")
    key = serving.stage.key("again", rows=Rate(2, 1, 2))
    bodies = {"rows_exceed_limit": instances(*[IRIS_ROW] * 3), "body_too_large": b" " * 1001, "invalid_input": instances({})}
    for code, body in bodies.items():
        assert serving.predict(key, body, x_request_id=f"again-{code}").json()["code"] == code
    headers = {"authorization": f"Bearer {key}", "x-request-id": "again-unsupported_media_type"}
    assert serving.client.post("/v1/models/iris/predict", content=b"{}", headers=headers).status_code == 415
    for code in (*bodies, "unsupported_media_type"):
        wait_until(lambda code=code: f" {code} after" in either(operate, f"why again-{code}"))
        shown = operate(f"why again-{code}", code=1)
        assert NOTHING not in shown
        assert "✗" not in shown
        assert shown.endswith(f"the same call would get {code} again: {CATALOGUE[code].remedy}\n")


def test_a_call_that_ended_at_the_door_is_not_sent_after_grants(serving: Live, operate: Any) -> None:
    key = serving.stage.tenant("doored", "iris")
    headers = {"authorization": f"Bearer {key}", "x-request-id": "door-405"}
    assert serving.client.get("/v1/models/iris/predict", headers=headers).status_code == 405
    add_events(serving.stage, "doored", key, request_id="door-503", status=503, code="overloaded", model=None, api_version=None)
    add_events(serving.stage, "doored", key, request_id="door-500", status=500, code="prediction_failed")
    add_events(serving.stage, "doored", key, request_id="door-410", status=410, code="endpoint_retired")
    wait_until(lambda: "405 method_not_allowed" in either(operate, "why door-405"))
    for request_id, code in {"door-405": 1, "door-503": 0, "door-500": 1, "door-410": 0}.items():
        shown = operate(f"why {request_id}", code=code)
        assert "✗" not in shown
        assert (NOTHING in shown) is (code == 0)
    assert "grant" not in operate("why door-405", code=1) + operate("why door-503")


def test_a_request_id_that_several_tenants_have_used_is_asked_of_one_of_them(serving: Live, operate: Any) -> None:
    keys = {name: serving.stage.tenant(name, "iris") for name in ("many", "much", "beyond")}
    add_events(serving.stage, "many", keys["many"], number=21, request_id="job-1")
    assert "20 or more calls of many have this request id; this is the last one" in operate("why job-1")
    add_events(serving.stage, "much", keys["much"], number=2, request_id="job-1", at_us=int((time.time() - 60) * 1_000_000))
    said = operate("why job-1", code=1)
    assert said.endswith("calls of many and much have the request id job-1: say whose is meant, as in gatehouse why job-1 --tenant many\n")
    assert said.count("\n") == 1
    assert "20 or more calls of many have" in operate("why job-1 --tenant many")
    assert "2 calls of much have" in operate("why job-1 --tenant much")
    assert "much with key" in operate("why job-1 --tenant much")
    assert json.loads(operate("why job-1 --tenant much --json"))["call"]["calls"] == 2
    assert "no usage event of beyond has the request id job-1" in operate("why job-1 --tenant beyond", code=1)
    assert "no tenant 'behind'" in operate("why job-1 --tenant behind", code=1)
    add_events(serving.stage, "beyond", keys["beyond"], request_id="job-1", at_us=int((time.time() - 86_400 * 9) * 1_000_000))
    assert "calls have" not in operate("why job-1 --tenant beyond")
    assert "calls of many and much have" in operate("why job-1", code=1)


def add_events(stage: Stage, tenant: str, key: str, *, number: int = 1, **facts: Any) -> None:
    """As calls of this moment leave them."""
    now = datetime.now(UTC)
    usual = {"model": "iris", "api_version": "v1", "model_version": None, "engine": None, "rows": 0, "status": 200, "code": None}
    sizes = {"latency_us": 100, "bytes_in": 1, "bytes_out": 1, "at_us": int(now.timestamp() * 1_000_000), "month": f"{now:%Y-%m}"}
    owner = {"process_id": "prc_0000000000000001", "tenant_id": show_tenant(stage.database, tenant).id, "key_id": key_id(key)}
    events = [UsageEvent(id=str(uuid.uuid4()), **{**usual, **sizes, **owner, **facts}) for _ in range(number)]
    with stage.database.write() as session:
        insert_batch(session, events)


def test_a_call_that_left_no_event_is_told_where_to_look(serving: Live, operate: Any) -> None:
    said = operate("why req_0123456789abcdef01234567", code=1)
    assert said.count("\n") == 1
    assert all(
        word in said
        for word in ("401, 408, 414, 429 or 431", "The server's log", "journalctl -u gatehouse | grep req_0123456789abcdef01234567")
    )
    assert said.endswith(", or: gatehouse why --tenant TENANT --model MODEL --api-version vN\n")
    assert "is not found" in operate("why --help")


def test_what_is_not_asked_well_is_refused_in_one_line(serving: Live, operate: Any) -> None:
    serving.stage.tenant("asked", "iris")
    key = serving.stage.tenant("beside", "iris")
    said = {
        "why": "name a call by its request id",
        "why asked": "did you mean: gatehouse why --tenant asked --model MODEL --api-version vN",
        "why --tenant asked --model iris": "name a call by its request id",
        "why req_1 --tenant asked --model iris": "a request id says which endpoint and key",
        "why req_1 --tenant asked": "no usage event of asked has the request id req_1",
        f"why {'x' * 65}": "that is no request id",
        "why --tenant akme --model iris --api-version v1": "no tenant 'akme'",
        "why --tenant asked --model iris --api-version v7": "no endpoint 'iris/v7'",
        f"why --tenant asked --model iris --api-version v1 --key {key_id(key)}": "is one of beside, not of asked",
        "why --tenant asked --model iris --api-version v1 --key nobody": "no key 'nobody'",
        f"why --tenant asked --model iris --api-version v1 --key {key}": "never by the whole key",
    }
    for text, why in said.items():
        answer = operate(text, code=1)
        assert why in answer, answer
        assert answer.count("\n") == 1
        assert key not in answer

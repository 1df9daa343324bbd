"""The guide on the running server: who may read it, in which formats, whose calls it tells of, and its code, run."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import httpx2
import pytest
from sqlalchemy import update
from sqlmodel import col
from stage import ACTOR, IRIS_ROW, Live, Stage, instances, problem, wait_until

from gatehouse.api.pages import PAGE_CSP
from gatehouse.cli.deployment import Deployment
from gatehouse.db.tables import EndpointTable
from gatehouse.identity.tenants import named_tenant
from gatehouse.migration.life_store import change_life
from gatehouse.migration.report_standing import Pair
from gatehouse.migration.report_store import read_report
from gatehouse.migration.shadow_retention_store import KEPT_DAYS
from gatehouse.migration.shadow_rows_store import day_number
from gatehouse.migration.shadow_store import add_shadows, shadow_figures
from gatehouse.migration.shadow_sums import ShadowDay, ShadowSums, UpgradeFailure
from gatehouse.migration.store import named_endpoint
from gatehouse.migration.transitions import Announcement, deprecated, retired
from gatehouse.operating.bridging import begin_bridge
from gatehouse.principal import Scope

GUIDE = "/v2/models/iris/migrate-from/v1"
NOW = datetime.now(UTC)
SUNSET = NOW.date() + timedelta(days=200)
V2_ROW = {"sepal_length_mm": 52, "sepal_width_mm": 36, "petal_length_mm": 15, "petal_width_mm": 3}
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
MEMBERS = {"model", "from", "to", "addresses", "life", "calls"} | {
    "fields",
    "dropped",
    "gaps",
    "codes",
    "answers",
    "output",
    "examples",
    "code",
}
TENANTS = count()


@pytest.fixture(scope="module")
def live(module_stage: Stage) -> Iterator[Live]:
    """iris/v1 is deprecated, and was shadowed long ago."""
    deprecate(module_stage)
    day = day_number(NOW.date()) - KEPT_DAYS - 1
    with module_stage.database.write() as session:
        add_shadows(session, {ShadowDay("long-ago", "iris", "v1", "2.0.0", day): ShadowSums(calls=1)})
    with module_stage.serving() as running:
        yield running


def deprecate(stage: Stage) -> None:
    said = Announcement(SUNSET, "v2", "Lengths <in> millimetres")
    with stage.database.write() as session:
        change_life(session, ACTOR, "deprecate", "iris", "v1", lambda seen, all_: deprecated(seen, all_, said, NOW))


def tenant(live: Live, *models: str) -> tuple[str, str]:
    """A new tenant's name, and a key."""
    name = f"t{next(TENANTS)}"
    return name, live.stage.tenant(name, *models)


def shadowed(live: Live, name: str, other: str, failed: dict[str, int]) -> None:
    """Rows of today that could not be upgraded to a version, by field."""
    failures = Counter({UpgradeFailure(field, "upgrade_out_of_range"): rows for field, rows in failed.items()})
    rows = failures.total()
    with live.stage.database.write() as session:
        day = ShadowDay(named_tenant(session, name).id, "iris", "v1", other, day_number(datetime.now(UTC).date()))
        add_shadows(session, {day: ShadowSums(calls=1, rows=rows, not_upgraded=rows, failures=failures)})


def read(live: Live, key: str, accept: str | None = None, path: str = GUIDE) -> httpx2.Response:
    headers = {"authorization": f"Bearer {key}"} | ({} if accept is None else {"accept": accept})
    return live.client.get(path, headers=headers)


@pytest.fixture(scope="module")
def key(live: Live) -> str:
    return tenant(live, "iris")[1]


def test_it_says_field_by_field_what_changes_and_until_when(live: Live, key: str) -> None:
    guide = read(live, key).json()
    assert (guide["model"], guide["from"], guide["to"]) == ("iris", "v1", "v2")
    assert guide["life"] == {
        "state": "deprecated",
        "deprecated_at": NOW.replace(microsecond=0).isoformat(),
        "sunset": SUNSET.isoformat(),
        "successor": "v2",
        "reason": "Lengths <in> millimetres",
        "link": None,
    }
    assert guide["addresses"]["new"] == f"{live.base_url}/v2/models/iris/predict"
    field = guide["fields"][0]
    assert (field["sources"], field["target"], field["factor"]) == (["sepal_length"], "sepal_length_mm", 10)
    assert guide["examples"] == {"old": instances(IRIS_ROW), "new": instances(V2_ROW)}
    assert guide["gaps"] == []
    assert set(guide) == MEMBERS, "row 45: no digest, class, path or version of a library"
    assert set(field) == {"operation", "sources", "target", "says", "before", "after", "partial", "note", "factor", "offset", "old", "new"}


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (None, "application/json"),
        ("*/*", "application/json"),
        ("application/json", "application/json"),
        (BROWSER, "text/html; charset=utf-8"),
        ("text/markdown", "text/markdown; charset=utf-8"),
        ("text/html;q=0.5, text/markdown;q=0.8", "text/markdown; charset=utf-8"),
        ("text/*", "text/html; charset=utf-8"),
        ("text/*;q=0.2, application/json;q=0.1", "text/html; charset=utf-8"),
        ("*/*, text/html;q=0, application/json;q=0", "text/markdown; charset=utf-8"),
        ("TEXT/HTML ; Q=1", "text/html; charset=utf-8"),
    ],
)
def test_it_comes_in_the_format_that_is_asked_for(live: Live, key: str, accept: str | None, media_type: str) -> None:
    answer = read(live, key, accept)
    assert (answer.status_code, answer.headers["content-type"], answer.headers["vary"]) == (200, media_type, "Accept")


@pytest.mark.parametrize("accept", ["image/png", "text/html;q=0", "application/json;q=2", "nonsense", "a/b;q=1, , ;"])
def test_a_format_that_is_not_to_be_had_is_406_and_says_which_are(live: Live, key: str, accept: str) -> None:
    said = problem(read(live, key, accept), 406, "not_acceptable")
    assert said["detail"] == "This address answers in application/json, text/html, text/markdown."


def test_head_says_the_same_without_a_body(live: Live, key: str) -> None:
    answer = live.client.head(GUIDE, headers={"authorization": f"Bearer {key}", "accept": "text/markdown"})
    assert (answer.status_code, answer.headers["content-type"], answer.content) == (200, "text/markdown; charset=utf-8", b"")


def test_a_format_in_the_query_goes_before_the_header(live: Live, key: str) -> None:
    assert read(live, key, "image/png", GUIDE + "?format=markdown").text.startswith("# Move from iris v1 to v2\n")
    refused = problem(read(live, key, None, GUIDE + "?format=pdf"), 422, "invalid_input")
    assert refused["errors"][0]["parameter"] == "format"


def test_the_page_runs_nothing_fetches_nothing_and_escapes_an_operators_words(live: Live, key: str) -> None:
    page = read(live, key, BROWSER)
    assert page.headers.get_list("content-security-policy") == [PAGE_CSP]
    assert "Reason: Lengths &lt;in&gt; millimetres" in page.text
    assert "<script" not in page.text
    assert " on" not in "".join(part.partition(">")[0] for part in page.text.split("<")[1:] if part.startswith(("p", "td", "a", "code")))


def test_the_link_of_a_deprecated_endpoint_leads_here_in_answers_and_in_the_account(live: Live, key: str) -> None:
    guide = live.base_url + GUIDE
    said = live.predict(key, instances(IRIS_ROW)).json()["notices"][0]["link"]
    shown = live.get("/v1/models/iris", key).json()["link"]
    account = {each["api_version"]: each["link"] for each in live.get("/account", key).json()["endpoints"]}
    assert (said, shown, account) == (guide, guide, {"v1": guide, "v2": None})
    assert read(live, key).status_code == 200


def test_rows_41_and_46_the_guide_is_for_those_who_may_call_one_of_the_two_and_unknown_to_others(live: Live) -> None:
    readers = []
    for version in ("v1", "v2"):
        name, reader = tenant(live)
        live.stage.grant(name, "iris", version)
        readers.append(reader)
    other = tenant(live, "line")[1]
    paths = (GUIDE, "/v2/models/unknown/migrate-from/v1", "/v2/models/iris/migrate-from/v3", "/v2/models/line/migrate-from/v1")
    answers = [read(live, other, path=path) for path in paths]
    assert [read(live, reader).status_code for reader in readers] == [200, 200]
    assert {problem(answer, 404, "not_found")["detail"] for answer in answers} == {
        problem(live.get("/nothing", other), 404, "not_found")["detail"]
    }
    assert len({answer.text.replace(answer.headers["x-request-id"], "") for answer in answers}) == 1


@pytest.mark.parametrize("path", ["/v1/models/iris/migrate-from/v2", "/v2/models/iris/migrate-from/v2", "/v1/models/mixed/migrate-from/v1"])
def test_where_no_rules_lead_up_there_is_no_guide(live: Live, path: str) -> None:
    problem(read(live, tenant(live, "iris", "mixed")[1], path=path), 404, "not_found")


def test_it_tells_the_callers_own_calls_and_failing_fields_and_nobody_elses(live: Live) -> None:
    (name, caller), (_, other) = tenant(live, "iris"), tenant(live, "iris")
    second = live.stage.key(name)
    for each in (caller, second, second):
        assert live.predict(each, instances(IRIS_ROW)).status_code == 200
    assert live.predict(caller, instances(V2_ROW), "/v2/models/iris/predict").status_code == 200
    shadowed(live, name, "2.0.0", {"petal_width": 31})
    wait_until(lambda: read(live, caller).json()["calls"]["tenant"]["calls"] == 3)

    calls = read(live, caller).json()["calls"]
    hour = calls["tenant"]["last_hour"]
    assert abs(datetime.fromisoformat(hour) - datetime.now(UTC)) <= timedelta(hours=1, minutes=1)
    assert calls["key"] == {"calls": 1, "last_hour": hour}
    assert calls["failing"] == [{"field": "petal_width", "code": "upgrade_out_of_range", "rows": 31}]
    assert read(live, other).json()["calls"] == {
        "days": 30,
        "key": {"calls": 0, "last_hour": None},
        "tenant": {"calls": 0, "last_hour": None},
        "failing": [],
    }
    page = read(live, caller, "text/markdown").text
    assert "- This key called v1 once in the last 30 days" in page
    assert "| `petal_width` | the number that the rule makes is outside the newer contract's range | 31 |" in page
    assert "This key did not call v1 in the last 30 days." in read(live, other, "text/markdown").text


def test_the_guide_and_the_report_name_the_same_failing_fields_towards_the_newer_version(live: Live) -> None:
    name, caller = tenant(live, "iris")
    for version, rows in (("1.1.0", 3), ("2.0.0", 4), ("2.9.0", 5), ("3.0.0", 6)):
        shadowed(live, name, version, {"petal_width": rows, f"of_{version}": 1})
    with live.stage.database.read() as session:
        old, new = (named_endpoint(session, "iris", version) for version in ("v1", "v2"))
        [row] = read_report(session, Pair(old, new, rules=True), datetime.now(UTC), named_tenant(session, name).id).tenants
    said = read(live, caller).json()["calls"]["failing"]
    assert said == [{"field": each.field, "code": each.code, "rows": each.rows} for each in row.standing.failures]
    assert [(each["field"], each["rows"]) for each in said] == [("petal_width", 4), ("of_2.0.0", 1)]


def test_a_server_takes_sums_of_shadows_away_that_no_guide_looks_back_to(live: Live) -> None:
    def gone() -> bool:
        with live.stage.database.read() as session:
            return shadow_figures(session, "iris", "v1", NOW.date() - timedelta(days=99), "long-ago") == []

    wait_until(gone)


def test_a_key_that_may_not_read_usage_is_told_no_calls(live: Live) -> None:
    name, _ = tenant(live, "iris")
    answer = read(live, live.stage.key(name, scopes={Scope.MODELS_READ}))
    assert (answer.status_code, answer.json()["calls"]) == (200, None)


def run_script(arguments: list[str], text: str, key: str) -> Any:
    """What a program of the guide prints, as JSON."""
    environment = {"PATH": os.environ["PATH"], "KEY": key}
    done = subprocess.run(arguments, input=text, env=environment, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def test_the_curl_and_the_python_of_the_guide_run_and_get_the_predictions_of_the_newer_version(live: Live, key: str) -> None:
    code = read(live, key).json()["code"]
    expected = live.predict(key, instances(V2_ROW), "/v2/models/iris/predict").json()["predictions"]
    assert run_script(["sh", "-e"], code["curl"], key)["predictions"] == expected
    assert run_script([sys.executable, "-"], code["python"], key) == expected
    markdown = read(live, key, "text/markdown").text
    assert all(f"```{language}\n{code[name]}```" in markdown for name, language in (("curl", "sh"), ("python", "python")))


def test_the_python_of_the_guide_shows_a_refusal(live: Live, key: str) -> None:
    code = read(live, key).json()["code"]["python"].replace("5.2", "-5.2")
    done = subprocess.run([sys.executable, "-"], input=code, env={"KEY": key}, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, '"out_of_range"' in done.stderr) == (1, True)


def test_the_guide_stays_when_the_older_version_is_retired_and_the_410_leads_to_it(stage: Stage) -> None:
    deprecate(stage)
    with stage.database.write() as session:
        change_life(session, ACTOR, "retire", "iris", "v1", lambda seen, all_: retired(seen, all_, [], datetime.now(UTC), force=False))
    with stage.serving() as live:
        key = live.stage.tenant("late", "iris")
        gone = problem(live.predict(key, instances(IRIS_ROW)), 410, "endpoint_retired")
        assert gone["link"] == live.base_url + GUIDE
        guide = read(live, key).json()
        assert (guide["life"]["state"], guide["examples"]["new"]) == ("retired", instances(V2_ROW))
        answer = live.client.post("/v2/models/iris/translate", json=instances(IRIS_ROW), headers={"x-api-key": key})
        assert answer.json() == instances(V2_ROW)


def test_a_preview_is_betrayed_to_nobody_by_its_guide(stage: Stage) -> None:
    newer = (col(EndpointTable.model) == "iris", col(EndpointTable.api_version) == "v2")
    with stage.database.write() as session:
        session.execute(update(EndpointTable).where(*newer).values(state="preview"))
    with stage.serving() as live:
        everything, named = live.stage.tenant("everything", "iris"), live.stage.tenant("named")
        for version in ("v1", "v2"):
            live.stage.grant("named", "iris", version)
        problem(read(live, everything), 404, "not_found")
        problem(live.client.post("/v2/models/iris/translate", json={}, headers={"x-api-key": everything}), 404, "not_found")
        assert read(live, named).status_code == 200


def test_a_browser_without_a_key_is_told_how_to_get_the_guide_and_programs_get_the_problem(live: Live) -> None:
    for path in (GUIDE, "/v9/models/unknown/migrate-from/v1"):
        page = live.client.get(path, headers={"accept": BROWSER})
        assert (page.status_code, page.headers["content-type"]) == (401, "text/html; charset=utf-8")
        assert page.headers["www-authenticate"].startswith("Bearer")
        assert page.headers.get_list("content-security-policy") == [PAGE_CSP]
        assert f"{live.base_url}{path}" in page.text
        problem(live.client.get(path), 401, "credential_missing")
        problem(live.client.get(path, headers={"accept": "application/json"}), 401, "credential_missing")
        problem(live.client.get(path, headers={"accept": BROWSER, "x-api-key": "gate_wrong"}), 401, "credential_malformed")
    assert live.client.head(GUIDE, headers={"accept": BROWSER}).content == b""
    for path in ("/v1/models", f"{GUIDE}/", "/v1/models/iris/predict"):
        problem(live.client.get(path, headers={"accept": BROWSER}), 401, "credential_missing")


def test_over_a_bridge_guide_and_translation_go_on_by_the_older_contract(stage: Stage) -> None:
    begin_bridge(Deployment(settings=stage.settings, database=stage.database, actor=ACTOR), "iris", "v1", "v2")
    with stage.serving() as live:
        key = live.stage.tenant("bridged", "iris")
        assert live.predict(key, instances(IRIS_ROW)).json()["bridged"] is True
        assert read(live, key).json()["examples"] == {"old": instances(IRIS_ROW), "new": instances(V2_ROW)}
        answer = live.client.post("/v2/models/iris/translate", json=instances(IRIS_ROW), headers={"x-api-key": key})
        assert answer.json() == instances(V2_ROW)

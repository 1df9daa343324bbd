"""What a welcome page tells: what the tenant is granted now and nothing else, what ends, its limits, what to send again, whom to ask."""

import re
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest
from sqlalchemy import update
from sqlmodel import col
from stage import ACTOR, WIDE, Stage

from gatehouse.contracts.contract import parse_contract
from gatehouse.contracts.openapi import describe
from gatehouse.db.tables import EndpointTable
from gatehouse.errors import CATALOGUE, Refused
from gatehouse.identity.tenants import named_tenant
from gatehouse.migration.guide_markdown import markdown
from gatehouse.migration.life_store import change_life
from gatehouse.migration.transitions import Announcement, deprecated
from gatehouse.operating.welcome import welcome
from gatehouse.operating.welcome_text import welcome_document
from gatehouse.principal import Rate

pytestmark = pytest.mark.endpoints("iris v1", "iris v2", "line v1")
NOW = datetime(2026, 11, 21, tzinfo=UTC)
SETTINGS = {"GATEHOUSE_PUBLIC_URL": "https://api.example.org", "GATEHOUSE_CONTACT": "help@example.org"}


def facts(stage: Stage, tenant: str, now: datetime = NOW) -> dict[str, Any]:
    with stage.database.read() as session:
        return welcome(session, stage.settings, named_tenant(session, tenant), now)


def page(stage: Stage, tenant: str, now: datetime = NOW) -> str:
    return markdown(welcome_document(facts(stage, tenant, now)))


def names(found: dict[str, Any]) -> list[str]:
    return [f"{each['model']}/{each['api_version']}" for each in found["endpoints"]]


def deprecate(stage: Stage, link: str | None = None) -> None:
    said = Announcement(date(2027, 6, 30), "v2", "Lengths in <mm>", link)
    with stage.database.write() as session:
        change_life(session, ACTOR, "deprecate", "iris", "v1", lambda seen, all_: deprecated(seen, all_, said, NOW))


def test_it_begins_with_the_newest_active_version_of_the_default_model(stage: Stage) -> None:
    stage.values |= SETTINGS
    stage.tenant("acme", "line", "iris")
    found = facts(stage, "acme")
    assert (found["default_model"], found["first"]["model"], found["first"]["api_version"]) == ("line", "line", "v1")
    stage.tenant("beta", "iris")
    found = facts(stage, "beta")
    assert (names(found), found["first"]["api_version"]) == (["iris/v1", "iris/v2"], "v2")
    assert all(
        "https://api.example.org/v2/models/iris/predict" in found["first"]["code"][name] for name in ("curl", "powershell", "python")
    )
    with stage.database.write() as session:
        session.execute(update(EndpointTable).where(col(EndpointTable.api_version) == "v2").values(state="preview"))
    assert names(facts(stage, "beta")) == ["iris/v1"], "a preview needs a grant that names it"
    stage.tenant("gamma")
    stage.grant("gamma", "iris", "v2")
    assert names(facts(stage, "gamma")) == ["iris/v2"]
    assert "**A preview: it may still change.**" in page(stage, "gamma")


def test_what_ends_is_said_with_its_last_day_its_successor_and_the_guide(stage: Stage) -> None:
    stage.values |= SETTINGS
    stage.tenant("acme", "iris")
    assert "What ends" not in page(stage, "acme")
    deprecate(stage)
    said = page(stage, "acme")
    assert "**Deprecated: it answers you until the end of 2027-06-30 (UTC).**" in said
    row = (
        "| `iris` v1 | 2027-06-30 | `https://api.example.org/v2/models/iris/predict` "
        "| <https://api.example.org/v2/models/iris/migrate-from/v1><br>Reason: Lengths in &lt;mm&gt; |"
    )
    assert row in said
    assert facts(stage, "acme")["first"]["api_version"] == "v2"
    assert names(facts(stage, "acme", datetime(2027, 7, 1, tzinfo=UTC))) == ["iris/v2"]


def test_the_operators_own_page_leads_on_where_they_have_one(stage: Stage) -> None:
    stage.values |= SETTINGS
    stage.tenant("acme", "iris")
    deprecate(stage, "https://example.org/moving")
    assert "| <https://example.org/moving><br>Reason:" in page(stage, "acme")


def test_limits_are_those_of_the_plan_and_of_the_deployment(stage: Stage) -> None:
    plan = replace(
        WIDE, name="own", requests=Rate(5, 60, 20), rows=Rate(7, 10, 1_000), rows_per_month=12_000, quota_mode="hard", rows_per_call=900
    )
    stage.values |= {"GATEHOUSE_MAX_BODY_BYTES": "1536", "GATEHOUSE_MAX_CALLS_AT_ONCE_PER_TENANT": "3"}
    stage.tenant("acme", "line", plan=stage.plan(replace(plan, rows_mode="observe")))
    said = page(stage, "acme")
    for line in (
        "- One call: at most 900 rows and 1.5 KiB.",
        "- Requests: 5 a minute, and up to 20 at once after a pause, for your organisation and for each key",
        "- Rows: 7 in 10 seconds are agreed; more is noted, and not refused.",
        "- A month (UTC): 12,000 rows; then calls are refused until the next.",
        "- At once: 3 calls of your organisation in each server process.",
        "- Time: an answer takes at most 65 seconds",
        "- `/account` and `/v1/models`: 100,000 calls a minute of one key",
    ):
        assert line in said
    stage.edit_plan("own", quota_mode="soft")
    assert "12,000 rows; more is noted, and not refused." in page(stage, "acme")


def test_whom_to_ask_is_the_operators_contact_or_who_gave_the_page(stage: Stage) -> None:
    stage.tenant("acme", "line")
    assert "Ask whoever gave you this page, and name the `request_id`" in page(stage, "acme")
    assert "is at <http://127.0.0.1:8000/docs>" in page(stage, "acme")
    stage.values |= SETTINGS | {"GATEHOUSE_DOCS": "off"}
    assert "Ask `help@example.org`, and" in page(stage, "acme")
    assert "/docs" not in page(stage, "acme")
    stage.values["GATEHOUSE_CONTACT"] = "https://example.org/help"
    assert "Ask <https://example.org/help>, and" in page(stage, "acme")


def test_what_to_send_again_is_what_passes_by_the_catalogue(stage: Stage) -> None:
    stage.tenant("acme", "line")
    row = next(line for line in page(stage, "acme").splitlines() if "then send the same call again" in line)
    named = re.findall(r"`(\d{3}) (\w+)`", row)
    assert {(status, code) for status, code in named} == {(str(each.status), code) for code, each in CATALOGUE.items() if each.passes}
    never = ("invalid_input", "credential_invalid", "not_found", "quota_exhausted", "prediction_failed", "endpoint_retired")
    assert not {code for _, code in named} & set(never)
    assert {code for _, code in named} >= {"rate_limited", "overloaded", "body_timeout", "idempotency_in_progress", "prediction_timeout"}


TARGETS = """
format = 1
model = "line"
api_version = "v1"
[features.zone]
type = "category"
allowed = [{zones}]
example = "zone 1"
[output]
task = "multioutput"
[output.targets.rent]
task = "regression"
unit = "EUR"
decimals = 1
[output.targets.sold]
task = "classification"
labels = [{{class = 0, name = "no"}}, {{class = 1, name = "yes"}}]
"""


def test_every_target_and_as_many_categories_as_can_be_read_are_listed(stage: Stage) -> None:
    stage.tenant("acme", "line")
    found = facts(stage, "acme")
    zones = ", ".join(f'"zone {number}"' for number in range(1, 203))
    contract = describe(parse_contract(TARGETS.format(zones=zones).encode(), "line v1"))
    said = markdown(welcome_document(found | {"endpoints": [found["endpoints"][0] | {"contract": contract}]}))
    assert (
        "- `rent`: `value` (EUR; 1 decimal)\n- `sold`: `label`, `confidence`, `probabilities` (labels: `no`, `yes`; 4 decimals)\n" in said
    )
    assert '| category<br>one of `"zone 1"`, `"zone 2"`, ' in said
    assert '`"zone 200"` and 2 more, which GET on the model lists |' in said


@pytest.mark.parametrize(
    ("tenant", "said"),
    [
        ("_operator", "_operator calls no model; its keys are for operators"),
        ("empty", "empty may call nothing yet, so there is nothing to welcome it with: gatehouse grants add empty iris"),
        ("stopped", "stopped is suspended: its keys are refused; let them work again: gatehouse tenants resume stopped"),
        ("nobody", "no tenant 'nobody'; known tenants: _operator, empty, stopped"),
    ],
)
def test_a_tenant_that_can_call_nothing_is_refused_with_the_command_that_helps(stage: Stage, tenant: str, said: str) -> None:
    stage.key("_operator")
    stage.tenant("empty")
    stage.tenant("stopped", "iris")
    stage.suspend("stopped")
    with pytest.raises(Refused) as refused:
        facts(stage, tenant)
    assert str(refused.value) == said


def test_a_contract_that_cannot_be_verified_is_not_left_out(stage: Stage) -> None:
    stage.tenant("acme", "iris", "line")
    contract = stage.state_dir / "models" / "line" / "1.0.0" / "contract.toml"
    contract.chmod(0o600)
    contract.write_bytes(contract.read_bytes() + b"\n")
    with pytest.raises(Refused, match=r"^line 1\.0\.0"):
        facts(stage, "acme")

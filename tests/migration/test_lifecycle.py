"""Who may call what in which state of its life, at which moment, and what they are told."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import ending_fields
import msgspec
import pytest

from gatehouse.call import Call, Route
from gatehouse.errors import EndpointRetired, NotFound
from gatehouse.migration.ending import guide_url
from gatehouse.migration.endpoint import Deprecation, Endpoint, Extension
from gatehouse.migration.lifecycle import Endpoints
from gatehouse.principal import Plan, Principal, Rate, Scope

BASE = "https://api.example.org"
SINCE = datetime(2026, 11, 21, 12, tzinfo=UTC)
SUNSET_ENDS = datetime(2027, 7, 1, tzinfo=UTC)
EXTENSION_ENDS = datetime(2027, 10, 1, tzinfo=UTC)
TICK = timedelta(microseconds=1)
PLAN = Plan("p", Rate(1, 1, 1), Rate(1, 1, 1), 1, "hard", 1, 1)

GRANTS = {"all": None, "named": frozenset({"v1"}), "other": frozenset({"v2"}), "none": "none"}
"""What a tenant holds of the model: all its versions, this one by name, another one by name, or nothing."""
V1 = Endpoint("iris", "v1", "active", "1.0.0")
DEPRECATED = replace(V1, state="deprecated", deprecation=Deprecation(SINCE, date(2027, 6, 30), "v2", "new features"))
EXTENDED = replace(DEPRECATED, extensions=(Extension("tnt_longer", "acme", date(2027, 9, 30)),))
RETIRED = replace(EXTENDED, state="retired", retired_at=datetime(2027, 3, 1, 9, 30, 15, tzinfo=UTC))
UNANNOUNCED = replace(V1, state="retired", retired_at=RETIRED.retired_at)


def principal(grant: str, tenant_id: str = "tnt_1") -> Principal:
    versions: Any = GRANTS[grant]
    grants = {} if versions == "none" else {"iris": versions}
    return Principal(tenant_id, tenant_id, "key", frozenset({Scope.PREDICTIONS_CREATE}), PLAN, grants=grants, default_model="iris")


def outcome(endpoint: Endpoint, caller: Principal, now: datetime, model: str | None = "iris") -> tuple[str, Call]:
    """What becomes of a call: answered, answered and told of the end, 410 or 404."""
    call = Call("req_1", 0)
    try:
        found = Endpoints(BASE, lambda: now, [endpoint]).find(call, caller, Route("v1", model))
    except NotFound:
        return "404", call
    except EndpointRetired:
        return "410", call
    assert found is endpoint
    return "told" if call.notice else "answered", call


@pytest.mark.parametrize(
    ("endpoint", "now", "outcomes"),
    [
        # callers:                                      all         named       other  none
        (replace(V1, state="preview"), SINCE, ("404", "answered", "404", "404")),
        (V1, SINCE, ("answered", "answered", "404", "404")),
        (DEPRECATED, SINCE, ("told", "told", "404", "404")),
        (DEPRECATED, SUNSET_ENDS - TICK, ("told", "told", "404", "404")),
        (DEPRECATED, SUNSET_ENDS, ("410", "410", "404", "404")),
        (RETIRED, SINCE, ("410", "410", "404", "404")),
        (UNANNOUNCED, SINCE, ("410", "410", "404", "404")),
        (replace(UNANNOUNCED, retired_at=None), SINCE, ("410", "410", "404", "404")),
    ],
)
def test_row_88_each_state_to_each_caller(endpoint: Endpoint, now: datetime, outcomes: tuple[str, ...]) -> None:
    for model in ("iris", None):
        assert tuple(outcome(endpoint, principal(grant), now, model)[0] for grant in GRANTS) == outcomes


@pytest.mark.parametrize(
    ("now", "ours", "theirs"),
    [
        (SUNSET_ENDS - TICK, "told", "told"),
        (SUNSET_ENDS, "told", "410"),
        (EXTENSION_ENDS - TICK, "told", "410"),
        (EXTENSION_ENDS, "410", "410"),
    ],
)
def test_row_88_an_extension_is_its_tenants_alone(now: datetime, ours: str, theirs: str) -> None:
    assert outcome(EXTENDED, principal("all", "tnt_longer"), now)[0] == ours
    assert outcome(EXTENDED, principal("all"), now)[0] == theirs
    assert outcome(EXTENDED, principal("none", "tnt_longer"), now)[0] == "404"
    assert outcome(RETIRED, principal("all", "tnt_longer"), now)[0] == "410"


def told(endpoint: Endpoint, now: datetime, tenant_id: str = "tnt_1") -> tuple[dict[str, str], list[dict[str, str]]]:
    notice = outcome(endpoint, principal("all", tenant_id), now)[1].notice
    assert notice is not None
    headers = {name.decode("ascii"): value.decode("ascii") for name, value in notice.headers}
    return headers, msgspec.json.decode(notice.member)


def test_row_89_the_fields_of_a_deprecated_endpoint_are_those_of_the_rfcs() -> None:
    headers, notices = told(DEPRECATED, SINCE)
    guide = f"{BASE}/v2/models/iris"
    assert tuple(headers) == ending_fields.FIELDS
    assert ending_fields.deprecation(headers) == SINCE
    assert ending_fields.sunset(headers) == SUNSET_ENDS - timedelta(seconds=1)
    assert ending_fields.links(headers) == {"deprecation": guide, "sunset": guide, "successor-version": f"{guide}/predict"}
    detail = "iris/v1 is deprecated and answers until the end of 2027-06-30 (UTC). Move to v2. Reason: new features"
    assert notices == [{"code": "endpoint_deprecated", "detail": detail, "link": guide}]


def test_row_89_where_rules_lead_up_the_links_lead_to_the_guide_and_else_to_the_successors_contract() -> None:
    guide = f"{BASE}/v2/models/iris/migrate-from/v1"
    asked: list[tuple[str, str, str]] = []

    def has_guide(*pair: str) -> bool:
        asked.append(pair)
        return True

    endpoints = Endpoints(BASE, lambda: SINCE, [DEPRECATED], has_guide=has_guide)
    (endpoint,) = endpoints.all()
    call = Call("req", 0)
    endpoints.find(call, principal("all"), Route("v1", "iris"))
    assert asked == [("iris", "v1", "v2")]
    assert call.notice is not None
    assert msgspec.json.decode(call.notice.member)[0]["link"] == guide_url(endpoint, BASE) == guide
    assert dict(call.notice.headers)[b"link"].count(f"<{guide}>;".encode()) == 2
    assert DEPRECATED.deprecation is not None
    own = replace(endpoint, deprecation=replace(DEPRECATED.deprecation, link="https://partners.example/moving"))
    assert guide_url(own, BASE) == "https://partners.example/moving"
    assert guide_url(replace(endpoint, guided=False), BASE) == f"{BASE}/v2/models/iris"


def test_row_89_an_operators_page_is_where_the_links_lead() -> None:
    page = "https://partners.example/moving;a=1,2?to=v2"
    assert DEPRECATED.deprecation is not None
    headers, (notice,) = told(replace(DEPRECATED, deprecation=replace(DEPRECATED.deprecation, link=page)), SINCE)
    found = ending_fields.links(headers)
    assert (found["deprecation"], found["sunset"], notice["link"]) == (page, page, page)
    assert found["successor-version"] == f"{BASE}/v2/models/iris/predict"


def test_row_89_a_tenant_with_an_extension_is_told_its_own_day() -> None:
    headers, (notice,) = told(EXTENDED, SUNSET_ENDS, "tnt_longer")
    assert ending_fields.sunset(headers) == EXTENSION_ENDS - timedelta(seconds=1)
    assert "until the end of 2027-09-30 (UTC)" in notice["detail"]


def test_row_89_a_retired_endpoint_says_since_when_and_what_to_call() -> None:
    headers, (notice,) = told(RETIRED, SINCE)
    assert ending_fields.deprecation(headers) == SINCE
    assert ending_fields.sunset(headers) == RETIRED.retired_at
    instead = f"Call v2 instead: {BASE}/v2/models/iris/predict"
    assert (notice["code"], notice["detail"]) == ("endpoint_retired", f"iris/v1 has been retired on 2027-03-01 (UTC). {instead}")
    _, (notice,) = told(DEPRECATED, SUNSET_ENDS)
    assert (notice["code"], notice["detail"]) == (
        "endpoint_retired",
        f"iris/v1 answers no more since the end of 2027-06-30 (UTC). {instead}",
    )


def test_row_89_one_that_was_never_deprecated_names_no_successor() -> None:
    headers, (notice,) = told(UNANNOUNCED, SINCE)
    assert tuple(headers) == ("sunset",)
    assert notice["link"] == f"{BASE}/errors/endpoint_retired"
    assert told(replace(UNANNOUNCED, retired_at=None), SINCE)[0] == {}


def test_row_89_who_is_answered_with_404_is_told_nothing_and_its_call_names_no_endpoint() -> None:
    for endpoint in (DEPRECATED, RETIRED):
        said, call = outcome(endpoint, principal("other"), SINCE)
        assert (said, call.notice, call.model) == ("404", None, None)


def test_the_sunset_is_looked_at_by_each_call_and_needs_no_change_of_anything() -> None:
    clock = [SUNSET_ENDS - TICK]
    endpoints = Endpoints(BASE, lambda: clock[0], [DEPRECATED])
    route, caller = Route("v1", "iris"), principal("all")
    assert endpoints.find(Call("req_1", 0), caller, route) is DEPRECATED
    clock[0] += TICK
    with pytest.raises(EndpointRetired) as refusal:
        endpoints.find(Call("req_2", 0), caller, route)
    assert refusal.value.members["successor"] == {"api_version": "v2", "url": f"{BASE}/v2/models/iris/predict"}


def test_an_endpoint_that_goes_on_needs_no_clock() -> None:
    def never() -> datetime:
        raise AssertionError("the clock was read")

    call = Call("req_1", 0)
    assert Endpoints(BASE, never, [V1]).find(call, principal("all"), Route("v1", "iris")) is V1
    assert (call.notice, call.model, call.api_version) == (None, "iris", "v1")

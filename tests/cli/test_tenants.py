"""`gatehouse tenants` and `gatehouse grants`: what they do, say and refuse."""

from typing import Any


def test_a_tenant_is_told_the_next_command(gatehouse: Any) -> None:
    said = gatehouse("tenants", "create", "acme").lines
    assert said[0].startswith("acme is a tenant on plan trial (ten_")
    assert said[1] == "acme may call nothing yet, and no model is published: gatehouse models publish FILE --sample rows.csv"


def test_a_tenant_without_grants_is_told_which_there_are(published: Any) -> None:
    assert published("tenants", "create", "acme").lines[-1] == "acme may call nothing yet: gatehouse grants add acme pair"
    assert published("grants", "add", "acme", "pair").lines == [
        "acme may call: pair; default model pair",
        "next: gatehouse keys create --tenant acme",
    ]
    assert published("grants", "add", "acme", "pair", "--api-version", "v1").lines[0] == "acme had this grant before"
    assert published("grants", "list", "acme", "--json").json[0]["model"] == "pair"
    assert "pair" in published("grants", "list").out
    assert published("grants", "remove", "acme", "pair").lines == ["acme may call nothing yet: gatehouse grants add acme pair"]
    assert published("grants", "list").lines == ["there are no grants yet: gatehouse grants add TENANT MODEL"]


def test_a_tenant_with_models_and_plan_in_one_command(published: Any) -> None:
    made = published("tenants", "create", "acme", "--models", "pair", "--plan", "standard", "--json").json
    assert (made["name"], made["plan"], made["default_model"], made["suspended_at"]) == ("acme", "standard", "pair", None)
    assert made["grants"] == [{"model": "pair", "api_version": None}]
    assert published("tenants", "list", "--json").json == [made]
    assert "acme" in published("tenants", "list").out


def test_one_tenant_is_shown_with_what_it_may_call(published: Any) -> None:
    made = published("tenants", "create", "acme", "--models", "pair", "--json").json
    assert published("tenants", "show", "acme", "--json").json == made
    said = published("tenants", "show", "acme").lines
    assert said[-2:] == ["acme may call: pair; default model pair", "next: gatehouse keys list --tenant acme"]
    assert "no tenant 'acne'; known tenants: acme; did you mean acme?" in published("tenants", "show", "acne", code=1).error


def test_suspending_editing_and_resuming_say_what_holds(published: Any) -> None:
    published("tenants", "create", "acme", "--models", "pair")
    refused = "acme is suspended, its keys and tokens are refused: gatehouse tenants resume acme"
    assert published("tenants", "suspend", "acme").lines == [refused]
    assert published("tenants", "list", "--json").json[0]["suspended_at"] is not None
    assert "suspended" in published("tenants", "list").out
    assert published("keys", "create", "--tenant", "acme").lines[-1] == refused
    assert published("tenants", "resume", "acme").lines == [
        "acme is not suspended; its keys work",
        "acme may call: pair; default model pair",
        "next: gatehouse keys list --tenant acme",
    ]
    assert published("tenants", "edit", "acme", "--plan", "standard").lines[0] == "acme is on plan standard"
    assert published("tenants", "edit", "acme", "--default-model", "pair", "--json").json["plan"] == "standard"
    assert published("tenants", "resume", "acme", "--json").json["suspended_at"] is None
    assert published("tenants", "suspend", "acme", "--json").json["suspended_at"] is not None


def test_refusals_are_one_line_that_lists_the_known_names(published: Any) -> None:
    published("tenants", "create", "acme")
    published("tenants", "create", "demo")
    first = "publish it first: gatehouse models publish FILE"
    for arguments, line in (
        (("grants", "add", "acmee", "pair"), "no tenant 'acmee'; known tenants: acme, demo; did you mean acme?"),
        (("grants", "add", "acme", "pear"), "no model 'pear'; known models: pair; did you mean pair?"),
        (("tenants", "create", "eta", "--models", "wine"), f"no model 'wine'; known models: pair; {first}"),
        (("grants", "remove", "acme", "pair"), "no model 'pair' granted to acme; there are no models granted to acme yet"),
        (("tenants", "create", "acme"), "there is a tenant 'acme' already: change it with gatehouse tenants edit acme"),
        (("tenants", "create", "beta", "--plan", "trail"), "no plan 'trail'; known plans: standard, trial; did you mean trial?"),
    ):
        answer = published(*arguments, code=1)
        assert (answer.out, answer.error) == ("", f"gatehouse: {line}\n")


def test_an_edit_that_names_nothing_is_a_usage_error(gatehouse: Any) -> None:
    gatehouse("tenants", "create", "acme")
    assert "say what to change" in gatehouse("tenants", "edit", "acme", code=2).error


def test_an_empty_deployment_says_where_to_begin(gatehouse: Any) -> None:
    assert gatehouse("tenants", "list").lines == ["there are no tenants yet: gatehouse tenants create acme"]
    assert gatehouse("tenants", "list", "--json").json == []
    assert gatehouse("grants", "list", "--json").json == []

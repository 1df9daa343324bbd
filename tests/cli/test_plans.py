"""`gatehouse plans`: limits are shown, made from the trial's, and changed one by one."""

from typing import Any


def test_built_in_plans_are_shown(gatehouse: Any) -> None:
    [standard, trial] = gatehouse("plans", "list", "--json").json
    assert (standard["name"], standard["quota"], standard["bytes_per_call"]) == ("standard", "soft", 64 * 1024 * 1024)
    assert trial["requests"] == {"count": 5, "period_s": 1, "burst": 20}
    assert "5/s, burst 20" in gatehouse("plans", "list").out


def test_a_new_plan_is_the_trial_but_for_what_is_said(gatehouse: Any) -> None:
    answer = gatehouse("plans", "create", "gold", "--requests", "100/s", "--requests-burst", "400", "--bytes-per-call", "2MiB")
    assert "100/s, burst 400" in answer.out
    assert answer.lines[-1] == "next: gatehouse tenants create acme --plan gold"
    gold = gatehouse("plans", "list", "--json").json[0]
    assert (gold["bytes_per_call"], gold["rows_per_month"], gold["quota"]) == (2 * 1024 * 1024, 10_000, "hard")


def test_an_edit_leaves_the_rest(gatehouse: Any) -> None:
    wish = ("--rows", "2000/s", "--rows-burst", "5000", "--rows-per-call", "5000", "--rows-per-month", "1000000", "--quota", "soft")
    changed = gatehouse("plans", "edit", "trial", *wish, "--json").json
    assert changed["rows"] == {"count": 2000, "period_s": 1, "burst": 5000}
    assert (changed["rows_per_call"], changed["rows_per_month"], changed["quota"]) == (5000, 1_000_000, "soft")
    assert changed["requests"] == {"count": 5, "period_s": 1, "burst": 20}
    assert "its tenants: gatehouse tenants list" in gatehouse("plans", "edit", "trial", "--quota", "hard").out


def test_limits_that_contradict_are_refused_in_one_line(gatehouse: Any) -> None:
    for arguments, said in (
        (("edit", "trial", "--rows-per-call", "1001"), "a call of 1001 rows could never pass a burst of 1000 rows"),
        (("edit", "trial", "--quota", "firm"), "the quota is hard or soft, not 'firm'"),
        (("edit", "trail"), "no plan 'trail'; known plans: standard, trial; did you mean trial?"),
        (("create", "trial"), "there is a plan 'trial' already"),
    ):
        answer = gatehouse("plans", *arguments, code=1)
        assert said in answer.error
        assert answer.error.count("\n") == 1
    assert "write a size as" in gatehouse("plans", "edit", "trial", "--bytes-per-call", "2 MB", code=2).error


def test_one_plan_is_shown(gatehouse: Any) -> None:
    listed = {plan["name"]: plan for plan in gatehouse("plans", "list", "--json").json}
    assert gatehouse("plans", "show", "trial", "--json").json == listed["trial"]
    assert gatehouse("plans", "show", "trial").lines[-1] == "to change it: gatehouse plans edit trial"
    assert "no plan 'trail'; known plans: standard, trial; did you mean trial?" in gatehouse("plans", "show", "trail", code=1).error

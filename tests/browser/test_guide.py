"""The guide in a real browser: the page as a person sees it, and the JavaScript of the guide, run by what runs JavaScript."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from stage import IRIS_ROW, Live, instances
from upgrade_pairs import pairs
from upgrade_text import CM, MM, NAME, contract, rules_text, upgrade

from gatehouse.contracts.drawing import draw_cells
from gatehouse.contracts.upgrade import Upgrade, bind_upgrade
from gatehouse.contracts.upgrade_guide import guide_facts
from gatehouse.migration.guide_javascript import javascript_conversion

pytestmark = pytest.mark.browser

GUIDE = "/v2/models/iris/migrate-from/v1"
AWKWARD = 'it\'s "quoted" \\ `code` ${id} </script> é \u202e'
ROWS = 12


@pytest.mark.parametrize("width", [1280, 400])
def test_the_page_fits_the_screen_fetches_nothing_else_and_breaks_no_policy(page: Any, live: Live, tmp_path: Path, width: int) -> None:
    key = live.stage.tenant(f"width-{width}", "iris")
    page.resize(width, 1000)
    page.carry(authorization=f"Bearer {key}")
    page.open(live.base_url + GUIDE)
    page.wait_for("document.querySelector('article.guide h1')?.innerText === 'Move from iris v1 to v2'")
    page.screenshot(tmp_path / "guide.png")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth") is True
    assert [url for url in page.requested if not url.startswith("data:")] == [live.base_url + GUIDE]
    assert page.complaints == []


def test_the_javascript_of_the_guide_runs_and_gets_the_predictions_of_the_newer_version(page: Any, live: Live) -> None:
    key = live.stage.tenant("scripted", "iris")
    code = live.get(GUIDE, key).json()["code"]["javascript"]
    page.open(f"{live.base_url}/docs")  # a page that may ask this server
    page.wait_for("document.readyState === 'complete'")
    around = f"const said = [], process = {{ env: {{ KEY: {json.dumps(key)} }} }}, console = {{ log: text => said.push(text) }};"
    printed = page.evaluate(f"(async () => {{ {around}\n{code}\nreturn said.join(); }})()")
    v1 = live.predict(key, instances(IRIS_ROW)).json()["predictions"]
    predictions = json.loads(printed)
    assert [each["label"] for each in predictions] == [f"Iris {each['label']}" for each in v1]


def converted(page: Any, bound: Upgrade, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each row's new one under `made`, or nothing there."""
    code = javascript_conversion(guide_facts(bound)["fields"], "v2")
    each = "rows.map(row => { try { return { made: toV2(row) } } catch (error) { return { error: String(error) } } })"
    text = page.evaluate(
        f"(() => {{ {code}\nconst rows = JSON.parse({json.dumps(json.dumps(rows))});\nreturn JSON.stringify({each}); }})()"
    )
    found: list[dict[str, Any]] = json.loads(text)
    return found


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(bound=pairs())
def test_the_javascript_makes_what_the_rules_make(page: Any, bound: Upgrade) -> None:
    cells = draw_cells(bound.old.features, ROWS, 3)
    rows = [dict(zip(bound.old.names, row, strict=True)) for row in cells]
    for row, found in zip(cells, converted(page, bound, rows), strict=True):
        made, failures = bound.row(row)
        if not failures:
            assert found == {"made": bound.record(made)}


def test_whatever_names_and_categories_are_called_the_javascript_stays_code(page: Any) -> None:
    toml = json.dumps(AWKWARD, ensure_ascii=False)
    old = {
        "__proto__": f'type = "category"\nallowed = [{toml}]\nexample = {toml}',
        "constructor": NAME + "\nrequired = false\nnullable = true",
    }
    new = {"__proto__": f'type = "category"\nallowed = [{toml}]\nexample = {toml}', "toString": NAME + "\nnullable = true", "x": NAME}
    text = rules_text(
        f'{{map = "__proto__", values = {{{toml} = {toml}}}}}', '{rename = "constructor", to = "toString"}', '{constant = "</p>", to = "x"}'
    )
    bound = bind_upgrade(contract("v1", old), contract("v2", new, upgrade=text), "v2.toml")
    assert converted(page, bound, [{"__proto__": AWKWARD}]) == [{"made": {"__proto__": AWKWARD, "toString": None, "x": "</p>"}}]
    assert "error" in converted(page, bound, [{"__proto__": "another"}])[0]


def test_the_javascript_scales_as_the_server_does(page: Any) -> None:
    tenth = upgrade({"a": MM}, {"b": CM}, '{scale = "a", to = "b", factor = 0.1}')
    assert converted(page, tenth, [{"a": 33}]) == [{"made": {"b": 3.3}}]
    whole = 'type = "integer"\nexample = 1'
    exact = upgrade({"a": whole}, {"b": whole}, f'{{scale = "a", to = "b", factor = 3, offset = -{2**53}}}')
    sent = 6004799503160661  # three times it is no double
    assert converted(page, exact, [{"a": sent}]) == [{"made": {"b": sent * 3 - 2**53}}]

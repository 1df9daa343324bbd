"""The pages that a partner's developer sees, in a real browser, and the JavaScript of a welcome page, run by what runs JavaScript."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hostile_model import HOSTILE, publish_hostile
from stage import Live, Stage, instances

from gatehouse.principal import Scope

pytestmark = [pytest.mark.browser, pytest.mark.endpoints("iris v1", "iris v2")]


@pytest.fixture(scope="module")
def live(published: Path, module_stage: Stage) -> Iterator[Live]:
    publish_hostile(published, module_stage)
    with module_stage.serving(contact="help@example.org") as running:
        yield running


def welcome(live: Live, tenant: str, form: str) -> Any:
    operator = live.stage.key("_operator", scopes=frozenset({Scope.ADMIN_READ}))
    return live.get(f"/admin/tenants/{tenant}/welcome?format={form}", operator)


@pytest.mark.parametrize("model", ["iris", "hostile"])
def test_the_javascript_of_the_page_runs_as_pasted(page: Any, live: Live, model: str) -> None:
    key = live.stage.tenant(f"script-{model}", model)
    facts = welcome(live, f"script-{model}", "json").json()
    page.open(f"{live.base_url}/docs")  # a page that may ask this server
    page.wait_for("document.readyState === 'complete'")
    around = f"const said = [], process = {{ env: {{ PARTNER_KEY: {json.dumps(key)} }} }}, console = {{ log: text => said.push(text) }};"
    printed = page.evaluate(f"(async () => {{ {around}\n{facts['first']['code']['javascript']}\nreturn said.join(); }})()")
    first = facts["endpoints"][-1]
    expected = live.predict(key, instances(first["row"]), first["url"].removeprefix(live.base_url)).json()["predictions"]
    assert json.loads(printed) == expected


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("path", ["/", "/errors/rate_limited", "/errors/credential_invalid"])
def test_the_public_pages_fit_the_screen_fetch_nothing_else_and_break_no_policy(page: Any, live: Live, path: str, width: int) -> None:
    page.resize(width, 900)
    page.open(live.base_url + path)
    page.wait_for("document.querySelector('a[href=\"mailto:help@example.org\"]')")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth") is True
    assert [url for url in page.requested if not url.startswith("data:")] == [live.base_url + path]
    assert page.complaints == []


@pytest.mark.parametrize("width", [1280, 400])
def test_the_welcome_page_as_html_fits_the_screen_and_its_texts_stay_texts(page: Any, live: Live, tmp_path: Path, width: int) -> None:
    live.stage.tenant(f"shown-{width}", "iris", "hostile")
    file = tmp_path / "welcome.html"
    file.write_text(welcome(live, f"shown-{width}", "html").text, encoding="utf-8")
    page.resize(width, 900)
    page.open(file.as_uri())
    page.wait_for(f"document.querySelector('article.guide h1')?.innerText === 'Predictions for shown-{width}'")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth") is True
    assert page.evaluate(f"document.body.innerText.includes({json.dumps(HOSTILE.replace(chr(0x202E), chr(92) + 'u202e'))})") is True
    assert page.evaluate("document.querySelectorAll('script, img, iframe').length") == 0
    assert page.complaints == []

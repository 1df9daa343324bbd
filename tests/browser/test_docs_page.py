"""The reference page of the running server in a real browser."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dev_server import DevServer, dev_server

pytestmark = pytest.mark.browser

IRIS = "operations-iris-predict_iris_v1"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevServer]:
    with dev_server(tmp_path_factory.mktemp("dev"), GATEHOUSE_DOCS="key", GATEHOUSE_PUBLIC_URL="https://api.example.org") as running:
        yield running


def authorize(page: Any, scheme: str, value: str) -> None:
    """Type a credential into the Authorize form, as a person does."""
    page.wait_for("document.querySelector('.auth-wrapper .authorize')")
    page.evaluate("document.querySelector('.auth-wrapper .authorize').click()")
    page.wait_for("document.querySelector('.auth-container input')")
    place = f"[...document.querySelectorAll('.auth-container')].find(one => one.innerText.includes('{scheme}'))"
    page.evaluate(
        f"(() => {{ const input = {place}.querySelector('input');"
        "Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set.call(input, " + json.dumps(value) + ");"
        "input.dispatchEvent(new Event('input', {bubbles: true})); input.dispatchEvent(new Event('change', {bubbles: true})); })()"
    )
    page.evaluate(f"{place}.querySelector('button.authorize').click()")


def close_form(page: Any) -> None:
    page.wait_for("document.querySelector('.btn-done')")
    page.evaluate("document.querySelector('.btn-done').click()")


IRIS_SHOWN = "document.body.innerText.includes('/v1/models/iris/predict')"


def test_row_95_the_page_loads_from_this_server_alone_and_keeps_its_policy(page: Any, server: DevServer, tmp_path: Path) -> None:
    page.open(f"{server.url}/docs")

    page.wait_for("document.querySelector('.auth-wrapper .authorize')")

    page.wait_for("document.body.innerText.includes('/v1/models/{model}/predict')")
    assert page.evaluate(IRIS_SHOWN) is False
    page.screenshot(tmp_path / "docs.png")
    foreign = [url for url in page.requested if not url.startswith((server.url, "data:"))]
    assert foreign == []
    assert page.complaints == []


def test_a_key_is_shown_the_calls_that_it_may_make_and_no_others(page: Any, server: DevServer) -> None:
    server.command("tenants", "create", "narrow", "--models", "diabetes")
    key = json.loads(server.command("keys", "create", "--tenant", "narrow", "--scopes", "predictions:create,models:read", "--json"))["key"]
    page.open(f"{server.url}/docs")
    page.wait_for("document.querySelector('.auth-wrapper .authorize')")
    page.wait_for("document.querySelector('[data-path=\"/account/keys\"]')")

    authorize(page, "bearer", key)
    close_form(page)

    page.wait_for("document.body.innerText.includes('/v1/models/diabetes/predict')")
    shown = page.evaluate("[...document.querySelectorAll('.opblock-summary-path')].map(one => one.dataset.path)")
    assert [path for path in shown if path.endswith("/predict")] == [
        "/v1/models/diabetes/predict",
        "/v1/predict",
        "/v2/models/{model}/predict",
        "/v2/predict",
    ]
    assert {path.split("/")[1] for path in shown} == {"v1", "v2", "{api_version}", "health", "oauth", "login", ".well-known", "account"}
    assert [path for path in shown if path.startswith(("/account", "/admin", "/metrics"))] == ["/account/logout"]
    assert page.complaints == []


@pytest.mark.parametrize("scheme", ["bearer", "apiKey"])
def test_after_authorize_the_granted_contract_appears_and_after_logout_it_is_gone(page: Any, server: DevServer, scheme: str) -> None:
    page.open(f"{server.url}/docs")

    authorize(page, scheme, server.key)
    page.wait_for(IRIS_SHOWN)

    page.wait_for("[...document.querySelectorAll('.auth-container button')].some(one => one.innerText === 'Logout')")
    page.evaluate("[...document.querySelectorAll('.auth-container button')].find(one => one.innerText === 'Logout').click()")
    page.wait_for(f"!({IRIS_SHOWN})")


def test_a_refused_credential_is_said_and_the_page_stays(page: Any, server: DevServer) -> None:
    page.open(f"{server.url}/docs")

    authorize(page, "bearer", "eyJhbGciOiJFUzI1NiJ9.e30.AA")

    assert "unknown, expired or revoked" in page.wait_for("document.getElementById('notice').innerText")
    assert page.evaluate("document.body.innerText.includes('/v1/models/{model}/predict')") is True


def test_try_it_out_sends_the_example_to_this_server_and_is_answered(page: Any, server: DevServer, tmp_path: Path) -> None:
    page.open(f"{server.url}/docs")
    for scheme in ("bearer", "apiKey"):  # both are filled in, yet one is sent: the server refuses two
        authorize(page, scheme, server.key)
        close_form(page)
    page.wait_for(IRIS_SHOWN)

    page.wait_for(f"document.getElementById('{IRIS}')")
    page.evaluate(f"document.querySelector('#{IRIS} .opblock-summary-control').click()")
    page.wait_for(f"document.querySelector('#{IRIS} textarea')?.value.includes('sepal_length')")
    page.evaluate(f"document.querySelector('#{IRIS} button.execute').click()")

    shown = page.wait_for("document.querySelector('.live-responses-table .response')?.innerText")
    page.evaluate("document.querySelector('.live-responses-table').scrollIntoView({block: 'center'})")
    page.screenshot(tmp_path / "tried.png")
    assert shown.startswith("200")
    assert "setosa" in shown
    assert page.complaints == []

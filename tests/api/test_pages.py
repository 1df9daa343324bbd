"""The two plain pages."""

import base64
import hashlib
import re
from html import escape
from http import HTTPStatus
from pathlib import Path

import pytest

from gatehouse.api.pages import PAGE_CSP, error_pages, home_page
from gatehouse.errors import CATALOGUE

ADDRESS = "https://api.example.org/base"
RECIPES = [folder.name for folder in (Path(__file__).parents[2] / "models").iterdir() if folder.is_dir()]


@pytest.mark.parametrize("code", sorted(CATALOGUE))
def test_every_code_of_the_catalogue_has_a_page_that_says_what_to_do(code: str) -> None:
    page = error_pages()[code].decode()
    problem = CATALOGUE[code]

    assert f"{problem.status} {HTTPStatus(problem.status).phrase} &middot; <code>{code}</code>" in page
    assert f"<h2>Cause</h2>\n<p>{escape(problem.cause)}</p>" in page
    assert f"<h2>Remedy</h2>\n<p>{escape(problem.remedy)}</p>" in page
    assert f"<h2>Send the same call again?</h2>\n<p>{'Yes: wait' if problem.passes else 'No: as it is'}" in page
    assert "Ask whoever runs this server, and name" in page


@pytest.mark.parametrize("code", sorted(CATALOGUE))
def test_cause_and_remedy_are_two_sentences_of_their_own_that_an_answer_says_both(code: str) -> None:
    problem = CATALOGUE[code]

    assert all(text[0].isupper() and text.endswith(".") for text in (problem.cause, problem.remedy))
    assert problem.cause != problem.remedy
    assert problem().detail == f"{problem.cause} {problem.remedy}"


@pytest.mark.parametrize(
    ("contact", "link"),
    [
        ("help@example.org", '<a href="mailto:help@example.org" rel="noreferrer">help@example.org</a>'),
        ("https://example.org/a?b=1&c", '<a href="https://example.org/a?b=1&amp;c" rel="noreferrer">https://example.org/a?b=1&amp;c</a>'),
    ],
)
def test_the_operators_contact_is_on_each_page(contact: str, link: str) -> None:
    pages = [home_page(ADDRESS, contact=contact), *error_pages(contact).values()]
    assert [page for page in pages if link not in page.decode()] == []


@pytest.mark.parametrize("code", ["", "unknown", "INVALID_JSON", "../invalid_json", "<script>"])
def test_a_code_that_is_not_in_the_catalogue_has_no_page(code: str) -> None:
    assert code not in error_pages()


@pytest.mark.parametrize("page", [home_page(ADDRESS), home_page(ADDRESS, docs=False), error_pages("a@b.org")["invalid_input"]])
def test_row_93_the_pages_have_one_style_block_that_the_policy_names_and_no_script(page: bytes) -> None:
    (style,) = re.findall(rb"<style>(.*?)</style>", page, re.DOTALL)

    digest = base64.b64encode(hashlib.sha256(style).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in PAGE_CSP
    assert b"<script" not in page
    assert b" style=" not in page
    assert re.findall(rb"(?:src|href)=\"(?:https?:)?//", page) == []


@pytest.mark.parametrize("docs", [True, False])
def test_the_home_page_names_no_model(docs: bool) -> None:
    page = home_page(ADDRESS, docs=docs).decode()

    assert [name for name in (*RECIPES, "iris", "breast_cancer", "diabetes") if re.search(rf"\b{name}\b", page)] == []


def test_the_home_page_links_to_the_reference_only_where_there_is_one() -> None:
    assert b'href="docs"' in home_page(ADDRESS)
    assert b'href="docs"' not in home_page(ADDRESS, docs=False)
    assert b"openapi" not in home_page(ADDRESS, docs=False)


@pytest.mark.parametrize(("address", "said"), [(ADDRESS, " over HTTPS"), ("http://127.0.0.1:8000", "")])
def test_the_home_page_speaks_of_https_where_the_public_address_is_such(address: str, said: str) -> None:
    assert f"<h1>Predictions{said}, for those who hold a key</h1>" in home_page(address).decode()


def test_the_home_page_shows_a_first_call_to_this_server() -> None:
    assert f'curl -H "Authorization: Bearer $PARTNER_KEY" \\\n  {ADDRESS}/v1/models</code>' in home_page(ADDRESS).decode()

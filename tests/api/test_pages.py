"""The two plain pages."""

import base64
import hashlib
import re
from html import escape
from pathlib import Path

import pytest

from gatehouse.api.pages import PAGE_CSP, error_page, home_page
from gatehouse.errors import CATALOGUE

RECIPES = [folder.name for folder in (Path(__file__).parents[2] / "models").iterdir() if folder.is_dir()]


@pytest.mark.parametrize("code", sorted(CATALOGUE))
def test_every_code_of_the_catalogue_has_a_page_that_says_what_to_do(code: str) -> None:
    page = error_page(code).decode()

    assert f"<code>{code}</code>" in page
    assert str(CATALOGUE[code].status) in page
    assert escape(CATALOGUE[code].meaning) in page


@pytest.mark.parametrize("code", ["", "unknown", "INVALID_JSON", "../invalid_json", "<script>"])
def test_a_code_that_is_not_in_the_catalogue_has_no_page(code: str) -> None:
    assert error_page(code) is None


@pytest.mark.parametrize("page", [home_page(), home_page(docs=False), error_page("invalid_input")])
def test_row_93_the_pages_have_one_style_block_that_the_policy_names_and_no_script(page: bytes) -> None:
    (style,) = re.findall(rb"<style>(.*?)</style>", page, re.DOTALL)

    digest = base64.b64encode(hashlib.sha256(style).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in PAGE_CSP
    assert b"<script" not in page
    assert b" style=" not in page
    assert re.findall(rb"(?:src|href)=\"(?:https?:)?//", page) == []


@pytest.mark.parametrize("docs", [True, False])
def test_the_home_page_names_no_model(docs: bool) -> None:
    page = home_page(docs=docs).decode()

    assert [name for name in (*RECIPES, "iris", "breast_cancer", "diabetes") if re.search(rf"\b{name}\b", page)] == []


def test_the_home_page_links_to_the_reference_only_where_there_is_one() -> None:
    assert b'href="docs"' in home_page()
    assert b'href="docs"' not in home_page(docs=False)
    assert b"openapi" not in home_page(docs=False)

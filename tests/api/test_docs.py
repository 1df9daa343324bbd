"""The files behind `/docs`: only listed ones, the vendored ones unchanged, and nothing that points elsewhere."""

import hashlib
import re
from importlib.resources import files
from pathlib import Path

import pytest

from gatehouse.api.docs import ASSET_NAMES, ASSET_PREFIX, DOCS_CSP, asset, docs_page

DEPENDENCIES = Path(__file__).parents[2] / "docs" / "dependencies.md"


def test_row_95_the_page_and_its_own_files_name_no_host() -> None:
    own = [docs_page(), *(asset(name)[0] for name in ("docs.js", "docs.css"))]

    assert [found for content in own for found in re.findall(rb"(?:https?:)?//[a-z0-9-]+\.[a-z.]+", content)] == []


def test_row_93_the_page_has_no_inline_script_and_its_policy_allows_none() -> None:
    assert re.findall(rb"<script(?![^>]*\bsrc=)", docs_page()) == []
    assert re.findall(rb"\son[a-z]+=", docs_page()) == []
    assert "script-src 'self';" in DOCS_CSP
    assert "default-src 'none'" in DOCS_CSP


def test_every_file_that_the_page_asks_for_is_served() -> None:
    asked = re.findall(r'(?:src|href)="docs/assets/([^"]+)"', docs_page().decode())

    assert sorted(asked) == sorted(ASSET_NAMES)
    for name in asked:
        content, content_type = asset(name)
        assert content
        assert content_type.split(";")[0] in ("text/javascript", "text/css")
    assert ASSET_PREFIX == "/docs/assets/"


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../docs.py",
        "swagger/LICENSE",
        "LICENSE",
        "docs.html",
        "DOCS.JS",
        "docs.js/",
        "%2e%2e/docs.py",
        "docs.js\x00",
        "/etc/passwd",
    ],
)
def test_row_76_a_name_that_is_not_listed_is_no_asset(name: str) -> None:
    assert asset(name) is None


@pytest.mark.parametrize("name", ["swagger-ui-bundle.js", "swagger-ui.css"])
def test_the_vendored_files_are_those_whose_digests_are_recorded(name: str) -> None:
    digest = hashlib.sha256(asset(name)[0]).hexdigest()

    assert f"`{name}` | `{digest}`" in DEPENDENCIES.read_text(encoding="utf-8")


def test_the_vendored_files_keep_their_licences() -> None:
    folder = files("gatehouse.api").joinpath("assets", "swagger")

    names = {entry.name for entry in folder.iterdir()}
    assert names == {"swagger-ui-bundle.js", "swagger-ui.css", "LICENSE", "NOTICE", "swagger-ui-bundle.js.LICENSE.txt"}

"""The frame of all pages, and the two plain ones: `/`, and `/errors/{code}`, which every problem document's `type` points to."""

import base64
import hashlib
from html import escape
from http import HTTPStatus
from importlib.resources import files
from string import Template

from gatehouse.errors import CATALOGUE, Problem


def _read(name: str) -> str:
    return files("gatehouse.api").joinpath("assets", "pages", name).read_text(encoding="utf-8")


_FRAME = Template(_read("page.html"))  # read once, at import: no request opens a file
_STYLE = _read("page.css")
_STYLE_DIGEST = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

PAGE_CSP = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_DIGEST}'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The Content-Security-Policy of every page: its one style block, by its digest, and nothing else."""


def page(title: str, body: str) -> bytes:
    """A whole page around a body whose texts are escaped already; the title is escaped here."""
    return _FRAME.substitute(title=escape(title), style=_STYLE, body=body).encode()


def _error_body(problem: type[Problem]) -> str:
    fields = {"code": problem.code, "status": str(problem.status), "phrase": HTTPStatus(problem.status).phrase}
    fields |= {"title": problem.title, "meaning": problem.meaning}
    return Template(_read("error.html")).substitute({name: escape(value) for name, value in fields.items()})


def _home_body(docs: str) -> str:
    return Template(_read("home.html")).substitute(docs=docs)


_NO_KEY = Template(_read("no_key.html"))
_HOME = {True: page("Gatehouse", _home_body(_read("home_docs.html"))), False: page("Gatehouse", _home_body(""))}
_ERRORS = {code: page(f"{problem.title} - Gatehouse", _error_body(problem)) for code, problem in CATALOGUE.items()}


def home_page(*, docs: bool = True) -> bytes:
    """The HTML of `/`: what this is, where a key comes from, where to go on (`docs`: whether `/docs` is served). Names no model."""
    return _HOME[docs]


def error_page(code: str) -> bytes | None:
    """The HTML of `/errors/{code}`; None for a code that is not in the catalogue."""
    return _ERRORS.get(code)


def no_key_page(address: str) -> bytes:
    """What a person sees who follows the link to a guide; `address` is where that is."""
    return page("This guide needs your API key - Gatehouse", _NO_KEY.substitute(address=escape(address)))

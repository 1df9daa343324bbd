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


_HOME = Template(_read("home.html"))
_HOME_DOCS = _read("home_docs.html")
_ERROR = Template(_read("error.html"))
_NO_KEY = Template(_read("no_key.html"))
_NO_CODE = Template(_read("no_code.html"))
AGAIN = "Yes: wait for the seconds in <code>Retry-After</code>, or a moment where there is none, then send it again."
NOT_AGAIN = "No: as it is, it would be refused again."


def home_page(base_url: str, *, docs: bool = True, contact: str = "") -> bytes:
    """The HTML of `/`: what this is, where a key comes from, where to go on (`docs`: whether `/docs` is served). Names no model."""
    fields = {"docs": _HOME_DOCS if docs else "", "contact": _asked(contact), "address": escape(base_url)}
    fields["over_https"] = " over HTTPS" if base_url.startswith("https://") else ""
    return page("Gatehouse", _HOME.substitute(fields))


def error_pages(contact: str = "") -> dict[str, bytes]:
    """The HTML of `/errors/{code}` for each code of the catalogue."""
    return {code: page(f"{problem.title} - Gatehouse", _error_body(problem, contact)) for code, problem in CATALOGUE.items()}


def _error_body(problem: type[Problem], contact: str) -> str:
    fields = {"code": problem.code, "status": str(problem.status), "phrase": HTTPStatus(problem.status).phrase}
    fields |= {"title": problem.title, "cause": problem.cause, "remedy": problem.remedy}
    shown = {name: escape(value) for name, value in fields.items()}
    return _ERROR.substitute(shown, again=AGAIN if problem.passes else NOT_AGAIN, contact=_asked(contact))


def _asked(contact: str) -> str:
    """Whom to ask, as HTML: an e-mail address, a page, or nobody by name."""
    if not contact:
        return "whoever runs this server"
    address = contact if "://" in contact else f"mailto:{contact}"
    return f'<a href="{escape(address)}" rel="noreferrer">{escape(contact)}</a>'


def no_key_page(address: str) -> bytes:
    """What a person sees who follows the link to a guide; `address` is where that is."""
    return page("This guide needs your API key - Gatehouse", _NO_KEY.substitute(address=escape(address)))


def no_code_page(base_url: str) -> bytes:
    """What a person sees who follows a link to an error code that is none: those that there are."""
    lines = [
        f'<li><a href="{escape(base_url)}/errors/{code}"><code>{code}</code></a>: {escape(problem.title)}</li>\n'
        for code, problem in sorted(CATALOGUE.items())
    ]
    return page("There is no such error code - Gatehouse", _NO_CODE.substitute(codes="".join(lines)))

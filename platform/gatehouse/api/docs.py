"""`/docs`: the API reference in the browser, from files of this package alone; no foreign host, no inline script."""

from importlib.resources import files

DOCS_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The page's Content-Security-Policy. Swagger UI writes style attributes, hence 'unsafe-inline' for styles only."""

ASSET_PREFIX = "/docs/assets/"

_SCRIPT = "text/javascript; charset=utf-8"
_STYLE = "text/css; charset=utf-8"
_FILES = {
    "swagger-ui-bundle.js": ("swagger", _SCRIPT),
    "swagger-ui.css": ("swagger", _STYLE),
    "docs.js": ("docs", _SCRIPT),
    "docs.css": ("docs", _STYLE),
}


def _read(folder: str, name: str) -> bytes:
    return files("gatehouse.api").joinpath("assets", folder, name).read_bytes()


# Read once, at import: no request opens a file.
_PAGE = _read("docs", "docs.html")
_ASSETS = {name: (_read(folder, name), content_type) for name, (folder, content_type) in _FILES.items()}
ASSET_NAMES = frozenset(_ASSETS)


def docs_page() -> bytes:
    """The HTML of `/docs`. Its links are relative, so it must be served at `/docs` without a slash at the end."""
    return _PAGE


def asset(name: str) -> tuple[bytes, str] | None:
    """The content and content type of one file under ASSET_PREFIX; None for any name that is not one of ASSET_NAMES."""
    return _ASSETS.get(name)

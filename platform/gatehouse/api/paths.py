"""The table of paths: which are predictions, and which can be reached without a credential."""

import re
from functools import lru_cache

from gatehouse.call import Route
from gatehouse.errors import CATALOGUE

MODEL_NAME = "[a-z][a-z0-9_]{0,62}"
API_VERSION = "v[1-9][0-9]{0,2}"
PREDICTION_PATHS = ("/{api_version}/predict", "/{api_version}/models/{model}/predict")
"""All prediction paths; the dispatcher, the OpenAPI document and the tests read this."""
TRANSLATION_PATH = "/{api_version}/models/{model}/translate"
"""Takes bodies as large as a prediction's, and is none."""
GUIDE_PATH = "/{api_version}/models/{model}/migrate-from/{older}"
TENANT_IMPORT_PATH = "/admin/tenants/import"
KEY_IMPORT_PATH = "/admin/keys/import"
IMPORT_PATHS = frozenset({TENANT_IMPORT_PATH, KEY_IMPORT_PATH})
"""Take whole files, of operators alone."""
JWKS_PATH = "/.well-known/jwks.json"
METADATA_PATH = "/.well-known/oauth-authorization-server"
PUBLIC_PATHS = frozenset(
    {
        "/",
        "/health",
        "/health/live",
        "/login",
        "/login/accept",
        "/oauth/token",
        "/oauth/revoke",
        JWKS_PATH,
        METADATA_PATH,
        *(f"/errors/{code}" for code in CATALOGUE),
    }
)
OPTIONAL_CREDENTIAL_PATHS = frozenset({"/health/ready"})
"""Public, but they say more to a credential."""
_PLACES = ("/admin/", "/account/")
_READING = frozenset({"GET", "HEAD", "OPTIONS"})


def _pattern(path: str) -> re.Pattern[str]:
    for name, pattern in (("api_version", API_VERSION), ("model", MODEL_NAME), ("older", API_VERSION)):
        path = path.replace(f"{{{name}}}", f"({pattern})")
    return re.compile(path)


_PATTERNS = [_pattern(path) for path in PREDICTION_PATHS]
_TRANSLATION = _pattern(TRANSLATION_PATH)
_GUIDE = _pattern(GUIDE_PATH)


def is_writing(method: str, path: str) -> bool:
    """Whether a call changes something under `/admin` or `/account`; `method` in capitals."""
    return method not in _READING and f"{path}/".startswith(_PLACES)


@lru_cache(maxsize=4096)
def match_prediction(path: str) -> Route | None:
    """The route of a prediction path, None for any other path. Case, `//` and dots are not folded."""
    for pattern in _PATTERNS:
        found = pattern.fullmatch(path)
        if found:
            return Route(found[1], found[2] if pattern.groups == 2 else None)
    return None


def is_translation(path: str) -> bool:
    """Whether a path is TRANSLATION_PATH."""
    return _TRANSLATION.fullmatch(path) is not None


def is_guide(path: str) -> bool:
    """Whether a path is GUIDE_PATH."""
    return _GUIDE.fullmatch(path) is not None


def is_under_errors(path: str) -> bool:
    """Whether a path is where the pages of error codes are."""
    return f"{path}/".startswith("/errors/")

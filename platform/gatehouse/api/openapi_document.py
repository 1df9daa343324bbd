"""The OpenAPI 3.1 document: FastAPI's own operations, and the prediction paths, which FastAPI never sees, added by hand."""

import copy
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from gatehouse.api.openapi_predictions import DocumentedEndpoint, prediction_paths, prediction_schemas
from gatehouse.api.openapi_problems import problem_ref, problem_responses, problem_schemas
from gatehouse.api.paths import is_writing

__all__ = ["DocumentedEndpoint", "openapi_document"]

Json = dict[str, Any]

AUTHORIZE = "Predictions of machine-learning models for holders of a key. Press **Authorize** and paste your API key into the first field"
OWN_MODELS = "the reference then shows the models that you may call, with their fields, units and ranges"
EVERY_MODEL = "calls can then be tried out here. This page shows every model of this server; your key may call those of `GET /v1/models`"
ERRORS = "Every error is a problem document (RFC 9457) with a stable `code`; its `type` is a page that says what to do."
SECURITY_SCHEMES: Mapping[str, Json] = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key (`gate_…`), or an access token from `POST /oauth/token`. Use this field.",
    },
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "An API key. Send this or the bearer, not both."},
}
TAGS = {
    "predictions": "By your default model, or by any that you may call",
    "models": "What you may call",
    "account": "Your plan, what is left of it, and what you have used",
    "keys": "Your tenant's API keys, for those of them that may manage keys",
    "tokens": "Short-lived access tokens",
    "health": "For load balancers",
    "operations": "For those who run the server",
}
"""In the order of the reference."""
EITHER_CREDENTIAL: Sequence[Json] = ({"bearer": []}, {"apiKey": []})
OTHER_PROBLEMS = (400, 401, 403, 404, 414, 429, 431, 500, 503)
WRITING_PROBLEMS = (408, 413, 422)
"""Of every change: a body is read, and refused where none is taken."""
PUBLIC_PROBLEMS = (400, 404, 414, 431, 500)
_METHODS = frozenset({"get", "put", "post", "delete", "options", "head", "patch", "trace"})


def openapi_document(
    *,
    base: Mapping[str, Any],
    endpoints: Sequence[DocumentedEndpoint],
    base_url: str,
    version: str,
    contact: str = "",
    public_paths: Collection[str] = (),
    shows_every_model: bool = False,
) -> Json:
    """`base` (FastAPI's own document) with prediction paths, problems and security; names only the models of `endpoints`.

    `public_paths` are the paths that need no credential; `contact` is an e-mail address or a page.
    `shows_every_model`: whether `endpoints` are all, whoever asks.
    """
    shown = EVERY_MODEL if shows_every_model else OWN_MODELS
    document: Json = copy.deepcopy(dict(base))
    document["openapi"] = "3.1.0"
    description = f"{AUTHORIZE}: {shown}.\n\n{ERRORS}"
    document["info"] = {"title": "Gatehouse", "version": version, "description": description, "license": _LICENSE}
    if contact:
        document["info"]["contact"] = {"name": "those who run this server", "url" if "://" in contact else "email": contact}
    document["servers"] = [{"url": base_url}]
    document["security"] = list(EITHER_CREDENTIAL)
    paths: Json = document.setdefault("paths", {})
    _complete_base(paths, public_paths)
    parts = _parts_of_bodies(paths)
    predictions = prediction_paths(endpoints)
    document["paths"] = predictions | paths
    document["tags"] = _tags(endpoints, document.get("tags", []), document["paths"])
    components: Json = document.setdefault("components", {})
    schemas: Json = components.setdefault("schemas", {})
    for automatic in ("HTTPValidationError", "ValidationError"):
        schemas.pop(automatic, None)
    schemas |= parts | problem_schemas() | prediction_schemas(endpoints)
    components["responses"] = components.get("responses", {}) | problem_responses()
    components["securitySchemes"] = dict(SECURITY_SCHEMES)
    return document


_LICENSE = {"name": "Apache-2.0", "identifier": "Apache-2.0"}


def _complete_base(paths: Json, public_paths: Collection[str]) -> None:
    for path, item in paths.items():
        if "get" in item:
            item.pop("head", None)  # every GET of HTTP has one; shown apart, it would only say the same again
        for method, operation in item.items():
            if method not in _METHODS:
                continue
            if path in public_paths:
                operation["security"] = []
            responses = operation.setdefault("responses", {})
            # FastAPI announces its own 422, which this server never sends
            had_input = responses.pop("422", None) is not None
            for status in PUBLIC_PROBLEMS if path in public_paths else OTHER_PROBLEMS:
                responses.setdefault(str(status), problem_ref(status))
            if is_writing(method.upper(), path):
                for status in WRITING_PROBLEMS:
                    responses.setdefault(str(status), problem_ref(status))
            if had_input:
                responses["422"] = problem_ref(422)


def _parts_of_bodies(paths: Json) -> Json:
    """What the bodies of routes that read their body themselves refer to, taken out of them; the references lead to the components."""
    parts: Json = {}
    for item in paths.values():
        for operation in item.values():
            for content in operation.get("requestBody", {}).get("content", {}).values():
                parts |= content["schema"].pop("$defs", {})
    return parts


def _tags(endpoints: Iterable[DocumentedEndpoint], given: Sequence[Json], paths: Json) -> list[Json]:
    """Those under which something stands."""
    models = sorted({endpoint.model for endpoint in endpoints})
    first = [{"name": model, "description": f"The model {model}, one path for each API version"} for model in models]
    used = {tag for item in paths.values() for operation in item.values() for tag in operation.get("tags", ())}
    every = [*first, *({"name": name, "description": text} for name, text in TAGS.items()), *given]
    return [tag for tag in every if tag["name"] in used]

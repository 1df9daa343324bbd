"""The prediction paths in the OpenAPI document, from the contracts of endpoints."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gatehouse.api.openapi_problems import NOTICES, STATUSES, problem_ref
from gatehouse.api.paths import MODEL_NAME, PREDICTION_PATHS

Json = dict[str, Any]

API_VERSIONS = ("v1", "v2")
"""Versions that are documented even when no endpoint of them is."""
PREDICTION_PROBLEMS = tuple(status for status in STATUSES if status not in (405, 406))
_DEFAULT_PATH, _MODEL_PATH = PREDICTION_PATHS


@dataclass(frozen=True, slots=True)
class DocumentedEndpoint:
    """One endpoint as callers may see it. The schemas stand alone: they hold no `$ref`."""

    model: str
    api_version: str
    request_schema: Mapping[str, Any]
    response_schema: Mapping[str, Any]
    example: Mapping[str, Any]
    """A whole request body, invented by the contract's author."""
    deprecated: bool = False


def prediction_paths(endpoints: Sequence[DocumentedEndpoint]) -> Json:
    """Every prediction path: of each endpoint its own; of a version without one the general path."""
    paths: Json = {}
    for api_version in sorted({*API_VERSIONS, *(endpoint.api_version for endpoint in endpoints)}, key=_number):
        documented = sorted((one for one in endpoints if one.api_version == api_version), key=lambda one: one.model)
        for endpoint in documented:
            paths[_MODEL_PATH.format(api_version=api_version, model=endpoint.model)] = {"post": _endpoint_operation(endpoint)}
        if not documented:
            paths[_MODEL_PATH.format(api_version=api_version, model="{model}")] = {"post": _any_model_operation(api_version)}
        paths[_DEFAULT_PATH.format(api_version=api_version)] = {"post": _default_model_operation(api_version, documented)}
    return paths


def _number(api_version: str) -> int:
    return int(api_version.removeprefix("v"))


def _endpoint_operation(endpoint: DocumentedEndpoint) -> Json:
    operation = _operation(
        operation_id=f"predict_{endpoint.model}_{endpoint.api_version}",
        tag=endpoint.model,
        summary=f"Predict with {endpoint.model} {endpoint.api_version}",
        request=_ref(_schema_name(endpoint, "Request")),
        answer=_ref(_schema_name(endpoint, "Answer")),
        examples={endpoint.model: endpoint.example},
    )
    if endpoint.deprecated:
        operation["deprecated"] = True
    return operation


def _any_model_operation(api_version: str) -> Json:
    operation = _operation(
        operation_id=f"predict_model_{api_version}",
        tag="predictions",
        summary=f"Predict with a model that you have been granted, under {api_version}",
        request=_ref("PredictionRequest"),
        answer=_ref("PredictionAnswer"),
        examples={},
    )
    model = {
        "name": "model",
        "in": "path",
        "required": True,
        "description": f"A name from `GET /{api_version}/models`.",
        "schema": {"type": "string", "pattern": f"^{MODEL_NAME}$"},
    }
    operation["parameters"] = [model, *operation["parameters"]]
    return operation


def _default_model_operation(api_version: str, documented: Sequence[DocumentedEndpoint]) -> Json:
    requests = [_ref(_schema_name(endpoint, "Request")) for endpoint in documented]
    answers = [_ref(_schema_name(endpoint, "Answer")) for endpoint in documented]
    operation = _operation(
        operation_id=f"predict_{api_version}",
        tag="predictions",
        summary=f"Predict with your default model under {api_version}",
        description="The default model is the first that you were granted; `GET /account` names it. New code should name the model.",
        request=_any_of(requests) if documented else _ref("PredictionRequest"),
        answer=_any_of(answers) if documented else _ref("PredictionAnswer"),
        examples={endpoint.model: endpoint.example for endpoint in documented},
    )
    if documented and all(endpoint.deprecated for endpoint in documented):
        operation["deprecated"] = True
    return operation


def _operation(
    *,
    operation_id: str,
    tag: str,
    summary: str,
    request: Json,
    answer: Json,
    examples: Mapping[str, Mapping[str, Any]],
    description: str = "",
) -> Json:
    body: Json = {"schema": request}
    if examples:
        body["examples"] = {name: {"value": dict(value)} for name, value in examples.items()}
    responses: Json = {
        "200": {
            "description": "One prediction for each row, in the order sent",
            "headers": _ANSWER_HEADERS,
            "content": {"application/json": {"schema": answer}},
        }
    }
    responses |= {str(status): problem_ref(status) for status in PREDICTION_PROBLEMS}
    operation: Json = {"tags": [tag], "summary": summary, "operationId": operation_id}
    if description:
        operation["description"] = description
    asked: Json = {"required": True, "content": {"application/json": body}}
    return operation | {"parameters": [_IDEMPOTENCY_KEY], "requestBody": asked, "responses": responses}


_IDEMPOTENCY_KEY: Json = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": (
        "A new one for each new call, such as a UUID, bare or in double quotes. The same call sent again with it within 24 hours is "
        "scored by the same model version and not metered again."
    ),
    "schema": {"type": "string", "minLength": 1, "maxLength": 512},
}
_ANSWER_HEADERS = {
    "X-Request-Id": {"description": "Names this call, in the answer and in the server's log", "schema": {"type": "string"}},
    "RateLimit-Policy": {"description": "The limits that hold (IETF httpapi draft)", "schema": {"type": "string"}},
    "RateLimit": {"description": "What is left of them", "schema": {"type": "string"}},
    "Idempotency-Replayed": {
        "description": "On a repeat by Idempotency-Key, which was not metered",
        "schema": {"type": "string", "const": "true"},
    },
    "Deprecation": {
        "description": "Since when the endpoint is deprecated (RFC 9745)",
        "schema": {"type": "string", "pattern": "^@[0-9]+$"},
    },
    "Sunset": {"description": "Until when it answers you (RFC 8594)", "schema": {"type": "string"}},
    "Link": {
        "description": "Of a deprecated endpoint (RFC 8288): its successor-version, and where its deprecation and sunset are explained",
        "schema": {"type": "string"},
    },
}
_TEXTS: Json = {"type": "array", "items": {"type": "string"}}
_GENERIC_SCHEMAS: Json = {
    "PredictionRequest": {
        "description": "Rows as records or as columns; the fields are those of the model's contract.",
        "anyOf": [
            {
                "title": "Records",
                "type": "object",
                "required": ["instances"],
                "additionalProperties": False,
                "properties": {"instances": {"type": "array", "minItems": 1, "items": {"type": "object"}}, "outputs": _TEXTS},
            },
            {
                "title": "Columns",
                "type": "object",
                "required": ["columns", "data"],
                "additionalProperties": False,
                "properties": {
                    "columns": {**_TEXTS, "minItems": 1},
                    "data": {"type": "array", "minItems": 1, "items": {"type": "array"}},
                    "outputs": _TEXTS,
                },
            },
        ],
    },
    "PredictionAnswer": {
        "type": "object",
        "required": ["model", "model_version", "api_version", "request_id", "predictions"],
        "properties": {
            "model": {"type": "string"},
            "model_version": {"type": "string"},
            "api_version": {"type": "string"},
            "request_id": {"type": "string"},
            "predictions": {"type": "array", "items": {"type": "object"}},
            "bridged": {"const": True},
            "notices": NOTICES,
        },
    },
}


def prediction_schemas(endpoints: Iterable[DocumentedEndpoint]) -> Json:
    """The schemas that prediction paths refer to."""
    schemas = dict(_GENERIC_SCHEMAS)
    for endpoint in endpoints:
        schemas[_schema_name(endpoint, "Request")] = dict(endpoint.request_schema)
        schemas[_schema_name(endpoint, "Answer")] = _with_notices(endpoint.response_schema)
    return schemas


def _with_notices(schema: Mapping[str, Any]) -> Json:
    """The contract's answer, and what is said beside it of an endpoint that ends."""
    return {**schema, "properties": {**schema["properties"], "notices": NOTICES}}


def _schema_name(endpoint: DocumentedEndpoint, part: str) -> str:
    return f"{endpoint.model}.{endpoint.api_version}.{part}"


def _ref(schema: str) -> Json:
    return {"$ref": f"#/components/schemas/{schema}"}


def _any_of(references: Sequence[Json]) -> Json:
    return references[0] if len(references) == 1 else {"anyOf": list(references)}

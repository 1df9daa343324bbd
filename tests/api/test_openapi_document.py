"""The OpenAPI document: valid, complete, and silent about models that it was not given."""

import json
from typing import Any

import pytest
import schemathesis
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

from gatehouse.api.openapi_document import DocumentedEndpoint, openapi_document
from gatehouse.errors import CATALOGUE

BASE: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "FastAPI", "version": "0.1.0"},
    "paths": {
        "/health": {
            "get": {"operationId": "health", "responses": {"200": {"description": "up"}}},
            "head": {"operationId": "health", "responses": {"200": {"description": "up"}}},
        },
        "/{api_version}/models": {
            "get": {
                "operationId": "list_models",
                "parameters": [{"name": "api_version", "in": "path", "required": True, "schema": {"type": "string"}}],
                "responses": {
                    "200": {"description": "the models"},
                    "422": {
                        "description": "no",
                        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/HTTPValidationError"}}},
                    },
                },
            }
        },
    },
    "components": {"schemas": {"HTTPValidationError": {"type": "object"}, "ValidationError": {"type": "object"}}},
}


def endpoint(model: str, api_version: str = "v1", *, deprecated: bool = False) -> DocumentedEndpoint:
    request = {
        "type": "object",
        "required": ["instances"],
        "properties": {
            "instances": {"type": "array", "items": {"type": "object", "properties": {"width": {"type": "number", "minimum": 0.1}}}}
        },
    }
    answer = {"type": "object", "properties": {"predictions": {"type": "array"}}, "additionalProperties": False}
    return DocumentedEndpoint(model, api_version, request, answer, {"instances": [{"width": 1.5}]}, deprecated)


def document(*endpoints: DocumentedEndpoint) -> dict[str, Any]:
    return openapi_document(
        base=BASE, endpoints=endpoints, base_url="https://api.example.org", version="0.1.0", public_paths=frozenset({"/health"})
    )


@pytest.mark.parametrize("endpoints", [(), (endpoint("iris"),), (endpoint("iris"), endpoint("wine"), endpoint("iris", "v3"))])
def test_the_document_is_valid_openapi_3_1_and_every_reference_in_it_resolves(endpoints: tuple[DocumentedEndpoint, ...]) -> None:
    made = document(*endpoints)

    OPENAPI_31_VALIDATOR.validate(made)
    names = [operation["operationId"] for item in made["paths"].values() for operation in item.values()]
    assert len(names) == len(set(names))
    for operation in schemathesis.openapi.from_dict(made).get_all_operations():
        operation.ok()
    for reference in references(made):
        assert resolves(made, reference), reference


@pytest.mark.parametrize(("contact", "member"), [("help@example.org", "email"), ("https://example.org/help", "url")])
def test_the_document_says_whom_to_ask_where_somebody_is_named(contact: str, member: str) -> None:
    made = openapi_document(base=BASE, endpoints=(), base_url="https://api.example.org", version="0.1.0", contact=contact)

    assert made["info"]["contact"] == {"name": "those who run this server", member: contact}
    OPENAPI_31_VALIDATOR.validate(made)
    assert "contact" not in document()["info"]


def references(value: Any) -> list[str]:
    if isinstance(value, list):
        return [found for entry in value for found in references(entry)]
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [found for entry in value.values() for found in references(entry)]
    return []


def resolves(made: dict[str, Any], reference: str) -> bool:
    place: Any = made
    for step in reference.removeprefix("#/").split("/"):
        if step not in place:
            return False
        place = place[step]
    return True


def test_row_94_without_endpoints_only_general_prediction_paths_are_named() -> None:
    paths = [path for path, item in document()["paths"].items() if "post" in item]

    assert paths == ["/v1/models/{model}/predict", "/v1/predict", "/v2/models/{model}/predict", "/v2/predict"]


def test_each_endpoint_has_a_path_of_its_own_name_with_its_schemas_and_example() -> None:
    made = document(endpoint("wine"), endpoint("iris"), endpoint("iris", "v2"))

    operation = made["paths"]["/v1/models/iris/predict"]["post"]
    content = operation["requestBody"]["content"]["application/json"]
    assert content["schema"] == {"$ref": "#/components/schemas/iris.v1.Request"}
    assert content["examples"]["iris"]["value"] == {"instances": [{"width": 1.5}]}
    assert made["components"]["schemas"]["iris.v1.Request"] == endpoint("iris").request_schema
    assert set(made["paths"]) >= {"/v1/models/wine/predict", "/v2/models/iris/predict", "/v1/predict", "/v2/predict"}
    assert "/v1/models/{model}/predict" not in made["paths"]


def test_every_prediction_takes_an_idempotency_key_and_says_how_its_repeats_are_answered() -> None:
    made = document(endpoint("iris"))

    for path in ("/v1/models/iris/predict", "/v1/predict", "/v2/models/{model}/predict", "/v2/predict"):
        operation = made["paths"][path]["post"]
        (header,) = [parameter for parameter in operation["parameters"] if parameter["in"] == "header"]
        assert (header["name"], header["required"]) == ("Idempotency-Key", False)
        assert "Idempotency-Replayed" in operation["responses"]["200"]["headers"]
        assert {"400", "409", "422", "503"} <= set(operation["responses"])
    conflict = made["components"]["responses"]["Problem409"]
    assert "Retry-After" in conflict["headers"]
    examples = conflict["content"]["application/problem+json"]["examples"]
    assert {"idempotency_in_progress", "idempotency_version_gone"} <= set(examples)


def test_the_default_model_path_takes_any_documented_contract_of_its_version() -> None:
    made = document(endpoint("iris"), endpoint("wine"), endpoint("iris", "v2"))

    def schema(path: str) -> Any:
        return made["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]

    assert [entry["$ref"].rpartition("/")[2] for entry in schema("/v1/predict")["anyOf"]] == ["iris.v1.Request", "wine.v1.Request"]
    assert schema("/v2/predict") == {"$ref": "#/components/schemas/iris.v2.Request"}


def test_a_deprecated_endpoint_is_marked_and_no_other() -> None:
    paths = document(endpoint("iris", deprecated=True), endpoint("wine"))["paths"]

    assert paths["/v1/models/iris/predict"]["post"]["deprecated"] is True
    assert "deprecated" not in paths["/v1/models/wine/predict"]["post"]


def test_every_operation_but_the_public_ones_needs_a_credential() -> None:
    made = document(endpoint("iris"))

    assert made["security"] == [{"bearer": []}, {"apiKey": []}]
    assert set(made["components"]["securitySchemes"]) == {"bearer", "apiKey"}
    free = [path for path, item in made["paths"].items() for operation in item.values() if operation.get("security") == []]
    assert free == ["/health"]


def test_a_prediction_documents_every_status_of_the_catalogue_but_405_and_406() -> None:
    responses = document(endpoint("iris"))["paths"]["/v1/models/iris/predict"]["post"]["responses"]

    assert set(responses) == {"200", *(str(problem.status) for problem in CATALOGUE.values() if problem.status not in (405, 406))}


def test_the_automatic_422_of_the_framework_is_replaced_by_the_problem_document() -> None:
    made = document()

    assert made["paths"]["/{api_version}/models"]["get"]["responses"]["422"] == {"$ref": "#/components/responses/Problem422"}
    assert "HTTPValidationError" not in json.dumps(made)


def test_the_base_document_is_left_as_it_was() -> None:
    before = json.dumps(BASE)

    document(endpoint("iris"))

    assert json.dumps(BASE) == before

"""A contract as JSON Schema (2020-12, for OpenAPI 3.1) and as the view that partners get of it."""

from typing import Any

from gatehouse.contracts.bodies import example_columns_request, example_request
from gatehouse.contracts.contract import Contract
from gatehouse.contracts.feature import Feature
from gatehouse.contracts.output import Output

__all__ = ["describe", "example_columns_request", "example_request", "request_schema", "response_schema"]

Schema = dict[str, Any]

JSON_TYPE = {"number": "number", "integer": "integer", "boolean": "boolean", "category": "string", "text": "string"}
PROBABILITY: Schema = {"type": "number", "minimum": 0, "maximum": 1}


def request_schema(contract: Contract) -> Schema:
    """Both body shapes. What no schema can say (the type of a cell by its column) is said in words."""
    outputs = {
        "type": "array",
        "description": "Narrows the answer to some of the contract's results; leave it out to get all.",
        "items": {"enum": list(contract.output.returns)},
        "minItems": 1,
    }
    return {"oneOf": [_records(contract, outputs), _columns(contract, outputs)]}


def response_schema(contract: Contract) -> Schema:
    """The answer to a prediction. It may grow by members that clients must ignore."""
    text = {"type": "string"}
    return {
        "title": "Predictions",
        "type": "object",
        "required": ["model", "model_version", "api_version", "request_id", "predictions"],
        "properties": {
            "model": {"const": contract.model},
            "model_version": text | {"description": "Semantic version of the model that answered.", "examples": ["1.0.0"]},
            "api_version": {"const": contract.api_version},
            "request_id": text | {"description": "Name it when you ask for help."},
            "predictions": {
                "type": "array",
                "description": "One for each row, in the order of the rows.",
                "minItems": 1,
                "items": _prediction(contract.output),
            },
            "bridged": {
                "const": True,
                "description": "Only where a model of a later API version answered; request and answer are still of this contract.",
            },
            "notices": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["code", "detail"],
                    "properties": {"code": text, "detail": text, "link": text},
                },
            },
        },
    }


def describe(contract: Contract) -> Schema:
    """What a partner may know of a contract: a fixed list of facts, without digest or classes."""
    return {"features": [_feature_view(feature) for feature in contract.features], "output": _output_view(contract.output)}


def _output_view(output: Output) -> Schema:
    several = output.task == "multioutput"
    return _without_none(
        {
            "task": output.task,
            "labels": [label.name for label in output.labels] or None,
            "returns": list(output.returns),
            "top_k": output.top_k,
            "decimals": None if several else output.decimals,
            "unit": output.unit,
            "targets": [{"name": target.name} | _output_view(target.output) for target in output.targets if target.name in output.returns]
            or None,
        }
    )


def _feature_view(feature: Feature) -> Schema:
    return _without_none(
        {
            "name": feature.name,
            "type": feature.type,
            "unit": feature.unit,
            "minimum": feature.minimum,
            "maximum": feature.maximum,
            "exclusive_minimum": feature.exclusive_minimum,
            "exclusive_maximum": feature.exclusive_maximum,
            "allowed": None if feature.allowed is None else list(feature.allowed),
            "max_length": feature.max_length,
            "required": feature.required,
            "nullable": feature.nullable,
            "default": feature.default,
            "description": feature.description,
            "example": feature.example,
        }
    )


def _records(contract: Contract, outputs: Schema) -> Schema:
    return {
        "title": "Records",
        "description": "One object for each row.",
        "type": "object",
        "additionalProperties": False,
        "required": ["instances"],
        "properties": {
            "instances": {
                "type": "array",
                "minItems": 1,
                "items": {
                    "type": "object",
                    "additionalProperties": False,
                    "required": [feature.name for feature in contract.features if feature.required],
                    "properties": {feature.name: _cell(feature) for feature in contract.features},
                },
            },
            "outputs": outputs,
        },
        "examples": [example_request(contract)],
    }


def _columns(contract: Contract, outputs: Schema) -> Schema:
    required = [feature.name for feature in contract.features if feature.required]
    width = len(contract.features)
    columns: Schema = {
        "type": "array",
        "description": "Names of fields, each once, in the order of the values in every row.",
        "items": {"enum": list(contract.names)},
        "uniqueItems": True,
        "minItems": max(1, len(required)),
        "maxItems": width,
    }
    if len(required) < width and required:
        columns["allOf"] = [{"contains": {"const": name}} for name in required]
    return {
        "title": "Columns",
        "description": "For many rows: what pandas writes with to_json(orient='split', index=False).",
        "type": "object",
        "additionalProperties": False,
        "required": ["columns", "data"],
        "properties": {
            "columns": columns,
            "data": {
                "type": "array",
                "minItems": 1,
                "items": {
                    "type": "array",
                    "description": "One value for each column, by the rules of its field.",
                    "items": {"type": _cell_types(contract)},
                    "minItems": max(1, len(required)),
                    "maxItems": width,
                },
            },
            "outputs": outputs,
        },
        "examples": [example_columns_request(contract)],
    }


def _cell_types(contract: Contract) -> list[str]:
    types = list(dict.fromkeys(JSON_TYPE[feature.type] for feature in contract.features))
    return [*types, "null"] if any(feature.nullable for feature in contract.features) else types


def _cell(feature: Feature) -> Schema:
    type_ = JSON_TYPE[feature.type]
    schema: Schema = {"type": [type_, "null"] if feature.nullable else type_}
    if feature.type in ("number", "integer"):
        (low, above), (high, below) = feature.lowest, feature.highest
        schema["exclusiveMinimum" if above else "minimum"] = low
        schema["exclusiveMaximum" if below else "maximum"] = high
    if feature.allowed is not None:
        schema["enum"] = [*feature.allowed, None] if feature.nullable else list(feature.allowed)
    if feature.max_length is not None:
        schema["maxLength"] = feature.max_length
        schema["pattern"] = r"^[^\u0000]*$"
    if feature.default is not None:
        schema["default"] = feature.default
    words = [text for text in (feature.description, f"Unit: {feature.unit}." if feature.unit else None) if text]
    if words:
        schema["description"] = " ".join(words)
    if feature.unit:
        schema["x-unit"] = feature.unit
    return schema | {"examples": [feature.example]}


def _prediction(output: Output) -> Schema:
    if output.task == "multioutput":
        of = {target.name: _prediction(target.output) for target in output.targets}
        return {"type": "object", "properties": {name: of[name] for name in output.returns}}
    step = f"Rounded to {output.decimals} decimals."
    possible: dict[str, Schema] = {
        "label": {"enum": [label.name for label in output.labels]},
        "confidence": PROBABILITY | {"description": f"Probability of the label. {step}"},
        "probabilities": _probabilities(output, step),
        "value": {"type": "number", "description": f"In {output.unit}. {step}" if output.unit else step},
    }
    return {"type": "object", "properties": {name: possible[name] for name in output.returns}}


def _probabilities(output: Output, step: str) -> Schema:
    names = [label.name for label in output.labels]
    schema: Schema = {"type": "object", "properties": dict.fromkeys(names, PROBABILITY)}
    if output.top_k is None:
        return schema | {"description": f"Probability of every label. {step}", "required": names}
    return schema | {
        "description": f"Probabilities of the {output.top_k} most probable labels. {step}",
        "minProperties": output.top_k,
    }


def _without_none(members: Schema) -> Schema:
    return {name: value for name, value in members.items() if value is not None}

"""What `/v{n}/models` answers: fixed lists of fields, in the OpenAPI document as they stand here. The answers are made by the rooms."""

from typing import Any

from gatehouse.api.key_bodies import Closed
from gatehouse.migration.endpoint import EndpointState

Cell = str | int | float | bool | None
"""A value of a row."""


class SuccessorBody(Closed):
    """Which API version to call instead, and where."""

    api_version: str
    url: str


class BrownoutBody(Closed):
    """When, and which percentage of the calls."""

    starts_at: str
    ends_at: str
    share: int


class EndpointSummary(Closed):
    """An endpoint that you may call. `sunset` is the last day (UTC) on which it answers you."""

    model: str
    api_version: str
    lifecycle: EndpointState
    model_version: str
    bridged: bool
    url: str
    deprecated_at: str | None
    sunset: str | None
    successor: SuccessorBody | None
    reason: str | None
    link: str | None
    brownouts: list[BrownoutBody]


class ModelList(Closed):
    """What your key may call under one API version."""

    models: list[EndpointSummary]


class FeatureBody(Closed):
    """A field of a row; what does not apply to it is left out."""

    name: str
    type: str
    required: bool
    nullable: bool
    example: Cell
    unit: str = ""
    minimum: float = 0
    maximum: float = 0
    exclusive_minimum: float = 0
    exclusive_maximum: float = 0
    allowed: list[str] = []
    max_length: int = 0
    default: Cell = None
    description: str = ""


class TargetBody(Closed):
    """What is predicted; of several targets each has a name. What does not apply is left out."""

    task: str
    returns: list[str]
    name: str = ""
    labels: list[str] = []
    top_k: int = 0
    decimals: int = 0
    unit: str = ""


class OutputBody(TargetBody):
    targets: list[TargetBody] = []


class ContractBody(Closed):
    """What may be sent, and what comes back."""

    features: list[FeatureBody]
    output: OutputBody


class ShownModel(EndpointSummary):
    contract: ContractBody | None
    """Null while the endpoint is not served."""


def answers_with(model: type[Closed], **others: Any) -> dict[str, Any]:
    """What the OpenAPI document says of a route whose answer is plain data: its list of fields, and `others` beside JSON by media type."""
    return {"response_model": None, "responses": {200: {"model": model, **({"content": others} if others else {})}}}

"""An endpoint: model + API version, where it stands in its life, and which model versions serve it."""

from dataclasses import dataclass
from typing import Literal

EndpointState = Literal["preview", "active", "deprecated", "retired"]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`previous_version` is what a rollback goes back to; the canary, where there is one, answers `canary_percent` of the keys."""

    model: str
    api_version: str
    state: EndpointState
    stable_version: str
    previous_version: str | None = None
    canary_version: str | None = None
    canary_percent: int | None = None

    @property
    def name(self) -> str:
        """`MODEL/vN`, as it stands in commands and changes."""
        return f"{self.model}/{self.api_version}"


def api_version_of(model_version: str) -> str:
    """The major number of a model version is its API version: `1.2.0` serves `v1`."""
    return f"v{model_version.partition('.')[0]}"

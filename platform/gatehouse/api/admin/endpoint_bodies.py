"""What `/admin/endpoints` takes and answers: fixed lists of fields, in the OpenAPI document as they stand here."""

from datetime import UTC, date, datetime
from typing import Annotated

from fastapi import Path
from pydantic import Field

from gatehouse.api.admin.pages import PageQuery
from gatehouse.api.admin.tenant_bodies import ApiVersion, Model, Reference
from gatehouse.api.key_bodies import Closed, Moment
from gatehouse.api.paths import API_VERSION
from gatehouse.migration.brownout import LONGEST_MIN
from gatehouse.migration.endpoint import Brownout, Endpoint, EndpointState
from gatehouse.migration.transitions import MAX_LINK, MAX_REASON

MODEL_VERSION = r"[1-9][0-9]{0,8}\.(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})"
Version = Annotated[str, Field(pattern=f"^{MODEL_VERSION}$", description="A published model version, such as 1.2.0")]
OneVersion = Annotated[str, Path(pattern=f"^{API_VERSION}$", description="The API version")]
Force = Annotated[bool, Field(description="Also where something speaks against it that is no error")]
Share = Annotated[int, Field(ge=1, le=100, description="Percentage of the calls")]


class EndpointQuery(PageQuery):
    """Which endpoints."""

    model: Model | None = None
    state: Annotated[EndpointState | None, Field(description="As it is at this moment")] = None


class Release(Closed):
    """A model version that shall serve."""

    version: Version
    canary: Annotated[int, Field(ge=1, le=99, description="Percentage of the keys, always the same ones")] | None = Field(
        None, description="All keys unless given"
    )
    force: Force = False


class Forced(Closed):
    """Whether it is done against what speaks against it."""

    force: Force = False


class Deprecation(Closed):
    """The end of an endpoint; said again, what is left out stays."""

    sunset: Annotated[date, Field(description="The last day (UTC) on which it answers")]
    successor: ApiVersion
    reason: Annotated[str, Field(min_length=1, max_length=MAX_REASON, description="One line for callers")] | None = None
    link: (
        Annotated[str, Field(max_length=MAX_LINK, pattern="^https?://", description="A page that says how to move; else the guide")] | None
    ) = None


class NewExtension(Closed):
    """That one tenant may call past the sunset; said again, its day is moved."""

    tenant: Reference
    until: Annotated[date, Field(description="The last day (UTC) on which it answers this tenant")]


class NewBrownout(Closed):
    """Minutes in which a deprecated endpoint answers 410."""

    starts_at: Moment | None = Field(None, description="RFC 3339 with a time zone; now unless given, which needs `force`")
    minutes: Annotated[int, Field(ge=1, le=LONGEST_MIN)] = 5
    tenant: Reference | None = Field(None, description="All tenants unless given")
    share: Share = 100
    force: Annotated[bool, Field(description="Also sooner than 24 hours from now")] = False


class NewBridge(Closed):
    """Which later API version's model answers."""

    to: ApiVersion


class BridgeEnd(Closed):
    """Which version of its own serves an endpoint again."""

    version: Version | None = Field(None, description="The one from before the bridge unless given")


class NewShadow(Closed):
    """Which other version scores the calls too."""

    version: Annotated[
        str,
        Field(pattern=f"^({API_VERSION}|{MODEL_VERSION})$", description="A later API version, or another model version of this one"),
    ]
    share: Share = 100


class PlannedWindow(Closed):
    """A brownout of an endpoint that is not over."""

    id: str
    starts_at: datetime
    ends_at: datetime
    share: int


class ExtensionEntry(Closed):
    """How long one tenant may call past the sunset."""

    tenant: str
    tenant_id: str
    until: date


class ShadowEntry(Closed):
    """What scores the calls too."""

    version: str
    share: int


class EndpointEntry(Closed):
    """A model and API version, where it stands in its life, and which model versions serve it."""

    model: str
    api_version: str
    state: EndpointState
    stable_version: str
    previous_version: str | None
    canary_version: str | None
    canary_percent: int | None
    bridged_to: str | None
    shadow: ShadowEntry | None
    deprecated_at: datetime | None
    sunset: date | None
    successor: str | None
    reason: str | None
    link: str | None
    retired_at: datetime | None
    extensions: list[ExtensionEntry]
    brownouts: list[PlannedWindow]


class EndpointList(Closed):
    """By model and API version."""

    items: list[EndpointEntry]
    next: str | None


def endpoint_entry(endpoint: Endpoint, now: datetime) -> EndpointEntry:
    """An endpoint by the list of fields."""
    ending, shadow = endpoint.deprecation, endpoint.shadow
    return EndpointEntry(
        model=endpoint.model,
        api_version=endpoint.api_version,
        state=endpoint.state_at(now),
        stable_version=endpoint.stable_version,
        previous_version=endpoint.previous_version,
        canary_version=endpoint.canary_version,
        canary_percent=endpoint.canary_percent,
        bridged_to=endpoint.bridged_to,
        shadow=None if shadow is None else ShadowEntry(version=shadow.version, share=shadow.percent),
        deprecated_at=ending and ending.since,
        sunset=ending and ending.sunset,
        successor=ending and ending.successor,
        reason=ending and ending.reason,
        link=ending and ending.link,
        retired_at=endpoint.retired_at,
        extensions=[ExtensionEntry(tenant=each.tenant, tenant_id=each.tenant_id, until=each.until) for each in endpoint.extensions],
        brownouts=[window_entry(each) for each in endpoint.brownouts if each.key_id is None],
    )


def window_entry(window: Brownout) -> PlannedWindow:
    """A window by the list of fields."""
    starts_at, ends_at = window.starts_at.astimezone(UTC), window.ends_at.astimezone(UTC)
    return PlannedWindow(id=window.id, starts_at=starts_at, ends_at=ends_at, share=window.percent)

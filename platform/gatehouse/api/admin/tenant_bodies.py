"""What `/admin/tenants` and `/admin/grants` take and answer: fixed lists of fields, in the OpenAPI document as they stand here."""

from datetime import datetime
from typing import Annotated

from fastapi import Path
from pydantic import Field

from gatehouse.api.admin.changing import LEFT_OUT
from gatehouse.api.admin.pages import PageQuery
from gatehouse.api.key_bodies import Closed
from gatehouse.api.paths import API_VERSION, MODEL_NAME
from gatehouse.identity.names import NAME
from gatehouse.identity.store import Grant, Tenant
from gatehouse.identity.tenants import DEFAULT_PLAN

REFERENCE = "^[0-9A-Za-z_][0-9A-Za-z_-]{0,62}$"
ALL = "all"
"""Stands in the path of a grant for all API versions."""
MOST_MODELS = 100

Name = Annotated[str, Field(pattern=f"^{NAME.pattern}$", description="Small letters, digits, '-' and '_'")]
Prefix = Annotated[str, Field(pattern="^[a-z0-9_][a-z0-9_-]{0,62}$", description="What the name begins with")]
PlanName = Annotated[str, Field(pattern=f"^{NAME.pattern}$", description="The plan that holds the limits")]
Model = Annotated[str, Field(pattern=f"^{MODEL_NAME}$", description="A model's name")]
ApiVersion = Annotated[str, Field(pattern=f"^{API_VERSION}$", description="One API version")]
Reference = Annotated[str, Field(pattern=REFERENCE, description="A tenant's id or name")]
TenantPath = Annotated[str, Path(pattern=REFERENCE, description="The tenant's id or name")]
ModelPath = Annotated[str, Path(pattern=f"^{MODEL_NAME}$", description="The model's name")]
VersionPath = Annotated[str, Path(pattern=f"^({ALL}|{API_VERSION})$", description="An API version, or `all`")]


class TenantQuery(PageQuery):
    """Which tenants."""

    plan: PlanName | None = None
    suspended: bool | None = None
    name_prefix: Prefix | None = None
    model: Annotated[Model | None, Field(description="One that they may call, in any API version")] = None


class GrantQuery(PageQuery):
    """Which grants."""

    tenant: Reference | None = None
    model: Model | None = None


class NewTenant(Closed):
    """A tenant to be made, with grants for all API versions of its models."""

    name: Name
    plan: PlanName = DEFAULT_PLAN
    models: Annotated[list[Model], Field(max_length=MOST_MODELS, description="The first becomes the default model")] = []


class TenantEdit(Closed):
    """What to change; what is left out stays."""

    plan: PlanName = LEFT_OUT
    default_model: Annotated[Model, Field(description="What /v1/predict serves; a granted model")] = LEFT_OUT


class NewGrant(Closed):
    """A grant to be made."""

    tenant: Reference
    model: Model
    api_version: ApiVersion | None = Field(None, description="All of them unless given")


class GrantedModel(Closed):
    """`api_version` null stands for all."""

    model: str
    api_version: str | None


class TenantEntry(Closed):
    """A tenant, and what it may call."""

    id: str
    name: str
    plan: str
    default_model: str | None
    grants: list[GrantedModel]
    suspended_at: datetime | None
    created_at: datetime


class TenantList(Closed):
    """By name."""

    items: list[TenantEntry]
    next: str | None


class GrantEntry(GrantedModel):
    """That a tenant may call a model."""

    tenant: str
    tenant_id: str
    created_at: datetime


class GrantList(Closed):
    """By tenant, model and API version."""

    items: list[GrantEntry]
    next: str | None


def tenant_entry(tenant: Tenant, grants: list[Grant]) -> TenantEntry:
    """A tenant by the list of fields."""
    return TenantEntry(
        id=tenant.id,
        name=tenant.name,
        plan=tenant.plan,
        default_model=tenant.default_model,
        grants=[GrantedModel(model=grant.model, api_version=grant.api_version) for grant in grants],
        suspended_at=tenant.suspended_at,
        created_at=tenant.created_at,
    )


def grant_entry(tenant_id: str, grant: Grant) -> GrantEntry:
    """A grant by the list of fields."""
    return GrantEntry(
        tenant=grant.tenant, tenant_id=tenant_id, model=grant.model, api_version=grant.api_version, created_at=grant.created_at
    )

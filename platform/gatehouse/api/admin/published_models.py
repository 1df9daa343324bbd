"""`/admin/published-models`: what is published here, and what it serves. (`/admin/models` would be taken for `/v1/models`.)"""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from gatehouse.api.admin.changing import AdminReader, said_by_admin
from gatehouse.api.admin.pages import PageQuery
from gatehouse.api.admin.parts import AdminParts
from gatehouse.api.key_bodies import Closed
from gatehouse.api.openapi_problems import problem_ref
from gatehouse.api.probing import get_and_head
from gatehouse.api.strict_router import strict_router
from gatehouse.migration.endpoint import EndpointState
from gatehouse.operating.model_list import list_models, model_facts

LIST = "models"


class ModelEndpoint(Closed):
    """An endpoint of a model."""

    api_version: str
    state: EndpointState
    stable_version: str
    bridged_to: str | None


class ModelVersions(Closed):
    """`versions` lie in the repository of the server that answers, lowest number first."""

    model: str
    versions: list[str]
    endpoints: list[ModelEndpoint]


class ModelVersionsList(Closed):
    """By model."""

    items: list[ModelVersions]
    next: str | None


def admin_models_router(parts: AdminParts) -> APIRouter:
    """Published models."""
    router = strict_router(prefix="/admin/published-models", tags=["admin: endpoints"])

    @get_and_head(
        router,
        "",
        summary="Published models with their versions and endpoints",
        operation_id="admin_list_published_models",
        responses={409: problem_ref(409)},
    )
    @parts.limited
    def list_all(request: Request, principal: AdminReader, query: Annotated[PageQuery, Query()]) -> ModelVersionsList:
        after = query.after(LIST, str)
        with said_by_admin(), parts.database.read() as session:
            found = [each for each in list_models(session, parts.settings) if after is None or each.model > after[0]]
        items, cursor = query.cut(LIST, found, lambda each: (each.model,))
        now = parts.now()
        return ModelVersionsList(items=[ModelVersions.model_validate(model_facts(each, now)) for each in items], next=cursor)

    return router

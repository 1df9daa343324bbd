"""All routers under `/admin`."""

from collections.abc import Iterator

from fastapi import APIRouter

from gatehouse.api.admin.audit import audit_router
from gatehouse.api.admin.endpoint_bridges import endpoint_bridges_router
from gatehouse.api.admin.endpoint_brownouts import endpoint_brownouts_router
from gatehouse.api.admin.endpoint_desk import Desks
from gatehouse.api.admin.endpoint_life import endpoint_life_router
from gatehouse.api.admin.endpoint_shadows import endpoint_shadows_router
from gatehouse.api.admin.endpoints import endpoints_router
from gatehouse.api.admin.grants import grants_router
from gatehouse.api.admin.imports import imports_router
from gatehouse.api.admin.key_changes import key_changes_router
from gatehouse.api.admin.keys import admin_keys_router
from gatehouse.api.admin.leaked_keys import leaked_keys_router
from gatehouse.api.admin.migration import migration_router
from gatehouse.api.admin.migration_guide import admin_guide_router
from gatehouse.api.admin.notice_targets import notice_targets_router
from gatehouse.api.admin.notices import notices_router
from gatehouse.api.admin.parts import AdminParts
from gatehouse.api.admin.people import admin_people_router
from gatehouse.api.admin.people_changes import people_changes_router
from gatehouse.api.admin.plans import plans_router
from gatehouse.api.admin.published_models import admin_models_router
from gatehouse.api.admin.status import status_router
from gatehouse.api.admin.tenant_limits import tenant_limits_router
from gatehouse.api.admin.tenants import tenants_router
from gatehouse.api.admin.token_keys import token_keys_router
from gatehouse.api.admin.usage import usage_router
from gatehouse.api.admin.usage_events import usage_events_router
from gatehouse.api.admin.welcome import welcome_router


def admin_routers(parts: AdminParts) -> Iterator[APIRouter]:
    """A line each."""
    yield tenants_router(parts)
    yield plans_router(parts)
    yield admin_keys_router(parts)
    yield key_changes_router(parts)
    yield leaked_keys_router(parts)
    yield imports_router(parts)
    yield grants_router(parts)
    yield admin_people_router(parts)
    yield people_changes_router(parts)
    yield from _endpoint_routers(parts)
    yield migration_router(parts)
    yield admin_guide_router(parts)
    yield usage_router(parts)
    yield usage_events_router(parts)
    yield admin_models_router(parts)
    yield tenant_limits_router(parts)
    yield welcome_router(parts)
    yield notices_router(parts)
    yield notice_targets_router(parts)
    yield token_keys_router(parts)
    yield status_router(parts)
    yield audit_router(parts)


def _endpoint_routers(parts: AdminParts) -> Iterator[APIRouter]:
    desks = Desks(parts)
    yield endpoints_router(parts, desks)
    yield endpoint_life_router(parts, desks)
    yield endpoint_brownouts_router(parts, desks)
    yield endpoint_bridges_router(parts, desks)
    yield endpoint_shadows_router(parts, desks)

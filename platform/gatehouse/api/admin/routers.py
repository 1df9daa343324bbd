"""All routers under `/admin`."""

from collections.abc import Iterator

from fastapi import APIRouter

from gatehouse.api.admin.grants import grants_router
from gatehouse.api.admin.key_changes import key_changes_router
from gatehouse.api.admin.keys import admin_keys_router
from gatehouse.api.admin.leaked_keys import leaked_keys_router
from gatehouse.api.admin.parts import AdminParts
from gatehouse.api.admin.people import admin_people_router
from gatehouse.api.admin.people_changes import people_changes_router
from gatehouse.api.admin.plans import plans_router
from gatehouse.api.admin.tenants import tenants_router


def admin_routers(parts: AdminParts) -> Iterator[APIRouter]:
    """A line each."""
    yield tenants_router(parts)
    yield plans_router(parts)
    yield admin_keys_router(parts)
    yield key_changes_router(parts)
    yield leaked_keys_router(parts)
    yield grants_router(parts)
    yield admin_people_router(parts)
    yield people_changes_router(parts)

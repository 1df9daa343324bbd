"""All routers under `/admin`."""

from collections.abc import Iterator

from fastapi import APIRouter

from gatehouse.api.admin.parts import AdminParts
from gatehouse.api.admin.plans import plans_router


def admin_routers(parts: AdminParts) -> Iterator[APIRouter]:
    """A line each."""
    yield plans_router(parts)

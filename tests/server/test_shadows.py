"""What the event loop hands over: calls in the share of a shadow, and of a bridged endpoint none."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gatehouse.db.session import Database
from gatehouse.migration.endpoint import Endpoint, Shadow
from gatehouse.migration.lifecycle import Endpoints
from gatehouse.server.shadow_book import ShadowBook
from gatehouse.server.shadow_process import ShadowProcess
from gatehouse.server.shadows import Shadows

V1 = Endpoint("iris", "v1", "active", "1.2.0")


@pytest.mark.parametrize(("percent", "draw", "is_kept"), [(100, 0.9999, True), (30, 0.2999, True), (30, 0.3, False), (1, 0.01, False)])
def test_a_call_is_kept_in_the_share_of_its_shadow(sqlite_database: Database, percent: int, draw: float, is_kept: bool) -> None:
    endpoints = Endpoints("https://models.example", lambda: datetime.now(UTC))
    shadows = Shadows(endpoints, ShadowProcess(Path("models"), Path("keys")), ShadowBook(sqlite_database), draw=lambda: draw)
    shadow = Shadow("v2", percent)
    assert (shadows.kept(replace(V1, shadow=shadow)) is not None) is is_kept
    assert shadows.kept(replace(V1, shadow=shadow, bridged_to="v2")) is None

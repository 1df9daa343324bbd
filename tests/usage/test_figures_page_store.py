"""Usage page by page: every figure once, in order, whatever it is by, on each database."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from past_calls import call, insert_calls
from stage import ACTOR

from gatehouse.db.session import Database
from gatehouse.identity.tenants import create_tenant
from gatehouse.usage.figures_page_store import page_of_figures, place_kinds, place_of
from gatehouse.usage.figures_store import By, Figures, UsageFilter, figures_of, read_figures, usage_figures

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
DAY = NOW.date()


@pytest.fixture
def called(database: Database) -> Database:
    """Two tenants' calls of three days by two keys, some of which reached no model; and those of a tenant that is gone."""
    ids = [create_tenant(database, ACTOR, name, lambda _: {}).tenant.id for name in ("zeta", "acme")]
    events = [
        call(NOW, tenant, timedelta(days=days, hours=days), key_id=key, model=model, api_version=version, status=status)
        for tenant in (*ids, "ten_gone")
        for days in (0, 1, 2)
        for key in ("k1", "k2")
        for model, version, status in (("iris", "v1", 200), (None, None, 404))
    ]
    insert_calls(database, *events)
    return database


def pages(database: Database, wanted: UsageFilter, by: list[By], limit: int) -> list[Figures]:
    """All figures, the place of each page's last one written and read as a cursor is."""
    found: list[Figures] = []
    after: Any = None
    while True:
        with database.read() as session:
            page = page_of_figures(session, wanted, by, after, limit)
        found += page
        assert len(found) < 1_000, "a page begins where the one before began"
        if len(page) < limit:
            return found
        after = tuple(kind(str(step)) for kind, step in zip(place_kinds(by), place_of(page[-1], by), strict=True))


@pytest.mark.parametrize(
    "by",
    [
        [By.DAY],
        [By.TENANT],
        [By.HOUR, By.STATUS],
        [By.DAY, By.HOUR, By.KEY],
        [By.DAY, By.TENANT, By.MODEL, By.API_VERSION, By.STATUS],
        list(By),
    ],
    ids=lambda by: ",".join(by),
)
def test_all_pages_hold_what_one_list_holds(called: Database, by: list[By]) -> None:
    wanted = UsageFilter(DAY - timedelta(days=2), DAY)
    with called.read() as session:
        whole = usage_figures(session, tenant_id=None, since=wanted.since, until=wanted.until, by=by)
    for limit in (1, 2, 5, 100):
        assert pages(called, wanted, by, limit) == whole


def test_figures_of_one_key_or_model_and_their_sum(called: Database) -> None:
    narrowed: tuple[tuple[dict[str, str], int], ...] = (
        ({}, 36),
        ({"key_id": "k1"}, 18),
        ({"model": "iris"}, 18),
        ({"key_id": "k2", "model": "iris"}, 9),
        ({"key_id": "k"}, 0),
    )
    for more, calls in narrowed:
        wanted = UsageFilter(DAY - timedelta(days=2), DAY, **more)
        with called.read() as session:
            total = read_figures(session, figures_of(wanted, ())[0])
        assert sum(each.calls for each in total) == calls
        assert sum(each.calls for each in pages(called, wanted, [By.DAY, By.TENANT], 2)) == calls


@pytest.mark.parametrize("step", ["-1", "1.5", "x", "", "9" * 50])
def test_a_place_holds_numbers_that_every_database_takes(step: str) -> None:
    with pytest.raises(ValueError, match=r"invalid literal|beyond all figures"):
        place_kinds([By.DAY])[0](step)

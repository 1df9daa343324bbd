"""The limits of a tenant in words."""

from collections.abc import Iterator, Mapping
from typing import Any

from gatehouse.migration.guide_document import Code, Line

Facts = Mapping[str, Any]
PERIODS = {1: "a second", 60: "a minute", 3600: "an hour", 86_400: "a day"}
MEBIBYTE = 1024 * 1024


def limit_lines(limits: Facts) -> list[Line]:
    """One for each limit, the strictest first to be met."""
    return list(_lines(limits))


def _lines(limits: Facts) -> Iterator[Line]:
    yield [f"One call: at most {limits['rows_per_call']:,} rows and {_size(limits['bytes_per_call'])}."]
    for unit in ("requests", "rows"):
        yield [_rate(unit, limits[unit], limits[f"{unit}_mode"])]
    yield [_month(limits)]
    yield [f"At once: {limits['calls_at_once']:,} calls of your organisation in each server process."]
    yield [f"Time: an answer takes at most {limits['seconds_per_call']} seconds; let your program wait as long."]
    per_minute = f": {limits['account_requests_per_minute']:,} calls a minute of one key, free of charge."
    yield [Code("/account"), " and ", Code("/v1/models"), per_minute]


def _rate(unit: str, rate: Facts, mode: str) -> str:
    period = PERIODS.get(rate["period_s"], f"in {rate['period_s']:,} seconds")
    title = unit.capitalize()
    if mode == "observe":
        return f"{title}: {rate['count']:,} {period} are agreed; more is noted, and not refused."
    return (
        f"{title}: {rate['count']:,} {period}, and up to {rate['burst']:,} at once after a pause, for your organisation and for each key "
        "that has no limit of its own."
    )


def _month(limits: Facts) -> str:
    rows = f"A month (UTC): {limits['rows_per_month']:,} rows"
    return f"{rows}; then calls are refused until the next." if limits["quota"] == "hard" else f"{rows}; more is noted, and not refused."


def _size(count: int) -> str:
    """`64 MiB`."""
    for size, unit in ((MEBIBYTE, "MiB"), (1024, "KiB")):
        if count >= size:
            return f"{count / size:.4g} {unit}"
    return f"{count} bytes"

"""What people write for rates, sizes, moments and lists, turned into values; anything else is a usage error."""

import re
from datetime import UTC, date, datetime, timedelta

import typer

from gatehouse.errors import Refused
from gatehouse.identity.networks import parse_networks
from gatehouse.principal import Network, Scope

_RATE = re.compile(r"([0-9]{1,10})/([0-9]{0,6})(s|min|h|d)")
_SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86_400}
_SPAN = re.compile(r"([0-9]{1,5})(h|d)")
_GRACE = re.compile(r"0|([0-9]{1,5})(min|h|d)")
_SIZE = re.compile(r"([0-9]{1,12})(KiB|MiB|GiB)?")
_BYTES = {None: 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}


def count_per_period(text: str) -> tuple[int, int]:
    """`5/s`, `100/min`, `30/10s`: count and seconds."""
    found = _RATE.fullmatch(text)
    if found is None:
        raise typer.BadParameter("write a rate as 5/s, 100/min, 1000/h or 30/10s")
    return int(found[1]), int(found[2] or 1) * _SECONDS[found[3]]


def size(text: str) -> int:
    """Bytes: `1048576` or `1MiB`."""
    found = _SIZE.fullmatch(text)
    if found is None:
        raise typer.BadParameter("write a size as 1048576, 512KiB or 64MiB")
    return int(found[1]) * _BYTES[found[2]]


def expiry(text: str) -> datetime:
    """`90d`, `12h` from now, or a date; a date alone is its beginning in UTC."""
    span = _SPAN.fullmatch(text)
    if span is not None:
        return datetime.now(UTC) + timedelta(**{"hours" if span[2] == "h" else "days": int(span[1])})
    return instant(text)


def instant(text: str) -> datetime:
    """`2027-01-31` or `2027-01-31T12:00:00Z`; UTC unless it says otherwise."""
    try:
        at = datetime.fromisoformat(text)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):  # the latter where it lies before the year 1, or behind 9999, in UTC
        raise typer.BadParameter("write a moment as 90d, 12h, 2027-01-31 or 2027-01-31T12:00:00Z") from None


def whole_day(text: str) -> date:
    """`2027-06-30`."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter("write a day as 2027-06-30") from None


def span(text: str) -> timedelta:
    """`24h`, `7d`, `30min` or `0`."""
    found = _GRACE.fullmatch(text)
    if found is None:
        raise typer.BadParameter("write a span as 24h, 7d, 30min or 0")
    return timedelta(seconds=int(found[1] or 0) * _SECONDS.get(found[2], 0))


def networks(text: str) -> tuple[Network, ...]:
    """`10.0.0.0/8,2001:db8::/32`, or `none` for anywhere."""
    if text == "none":
        return ()
    if not names(text):
        raise typer.BadParameter("write networks as 10.0.0.0/8,2001:db8::/32, or none for anywhere")
    try:
        return parse_networks(names(text))
    except Refused as refusal:
        raise typer.BadParameter(str(refusal)) from None


def names(text: str) -> list[str]:
    """`churn,iris`."""
    return [name.strip() for name in text.split(",") if name.strip()]


def scopes(text: str) -> frozenset[Scope]:
    """`predictions:create,models:read`."""
    known = {scope.value: scope for scope in Scope}
    wrong = [name for name in names(text) if name not in known]
    if wrong:
        raise typer.BadParameter(f"no scope '{wrong[0]}'; the scopes are {', '.join(known)}")
    return frozenset(known[name] for name in names(text))


def past_day(text: str) -> date:
    """`7d` ago, or a date."""
    span = _SPAN.fullmatch(text)
    if span is not None:
        return (datetime.now(UTC) - timedelta(**{"hours" if span[2] == "h" else "days": int(span[1])})).date()
    return instant(text).date()


def past_moment(text: str) -> datetime:
    """`7d` or `12h` ago, or a moment."""
    span = _SPAN.fullmatch(text)
    if span is None:
        return instant(text)
    return datetime.now(UTC) - timedelta(**{"hours" if span[2] == "h" else "days": int(span[1])})


def past_days(since: str, until: str) -> tuple[date, date]:
    """The first and the last day of a span."""
    first, last = past_day(since), past_day(until)
    if first > last:
        raise typer.BadParameter(f"--since is {first}, which is after --until, {last}: write the earlier day as --since")
    return first, last

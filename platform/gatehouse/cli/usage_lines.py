"""Usage as people and programs read it: lines, sums and bars."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gatehouse.cli.output import print_table
from gatehouse.usage.figures_store import By, Figures, mean_ms
from gatehouse.usage.ledger_store import TenantDay

HEADINGS = {By.KEY: "key id", By.API_VERSION: "API version"}
SUMS = ("calls", "rows", "bytes_in", "bytes_out")
BAR_WIDTH = 24
EIGHTHS = " ▏▎▍▌▋▊▉"


def facts(figures: Figures, by: Sequence[By]) -> dict[str, Any]:
    """A line of usage for programs; model and API version are null for calls that reached none."""
    shown = {("key_id" if each is By.KEY else each.value): _text(figures, each) or None for each in by if each is not By.STATUS}
    status = {"status": figures.status} if By.STATUS in by else {}
    return {**shown, **status, **{name: getattr(figures, name) for name in SUMS}, "mean_ms": mean_ms(figures)}


def print_figures(found: Sequence[Figures], by: Sequence[By]) -> None:
    """A table; its bars compare rows, or calls where no row was metered."""
    longest = max(each.rows for each in found)
    columns = (*(HEADINGS.get(each, each.value) for each in by), "calls", "rows", "mean ms", f"{'rows' if longest else 'calls'}, compared")
    lines = []
    for figures in found:
        share = figures.rows / longest if longest else figures.calls / max(each.calls for each in found)
        cells = [_text(figures, each) or "none" for each in by]
        lines.append((*cells, f"{figures.calls:,}", f"{figures.rows:,}", f"{mean_ms(figures):,.1f}", bar(share)))
    print_table(columns, lines)


def counted(number: int, noun: str) -> str:
    """`1 call`, `2,000 calls`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def in_order(days: Iterable[TenantDay], names: Mapping[str, str]) -> list[TenantDay]:
    """By the names of the tenants, then by time."""
    return sorted(days, key=lambda of: (names.get(of.tenant_id, of.tenant_id), of.tenant_id, of.day))


def bar(share: float) -> str:
    """A share from 0 to 1 as a bar; what is not nothing shows."""
    eighths = round(share * BAR_WIDTH * 8)
    if share > 0:
        eighths = max(1, eighths)
    return ("█" * (eighths // 8) + EIGHTHS[eighths % 8]).rstrip()


def _text(figures: Figures, by: By) -> str:
    if by is By.HOUR and figures.hour:
        return f"{figures.hour:%Y-%m-%d %H:00}"
    if by is By.KEY:
        return figures.key_id or ""
    return str(getattr(figures, by.value))

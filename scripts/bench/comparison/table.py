"""Rows of text as a table that reads the same on a terminal and in Markdown."""

from collections.abc import Mapping, Sequence

from comparison.figures import Figures, ratio
from comparison.load import Sample

BOUND = 0.9
"""A load process that used more of its core than this measured itself."""


def lines_of(rows: Sequence[Sequence[str]]) -> list[str]:
    """The first row is the head; the first column is text, the others are numbers."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    padded = [
        [f"{cell:<{width}}" if not place else f"{cell:>{width}}" for place, (cell, width) in enumerate(zip(row, widths, strict=True))]
        for row in rows
    ]
    rule = [("-" * width) if not place else "-" * (width - 1) + ":" for place, width in enumerate(widths)]
    return [f"| {' | '.join(row)} |" for row in (padded[0], rule, *padded[1:])]


def comparison_rows(figures: Mapping[str, Figures], samples: Mapping[str, Sequence[Sample]], ours: str) -> list[list[str]]:
    """One row for each server; `ours` is held against each."""
    head = ["server", "calls a second", "spread", "p50", "p99", "CPU a call", f"{ours} is", "load"]
    rows = [head]
    for name, each in figures.items():
        times = f"{ratio(samples[ours], samples[name], lambda sample: sample.calls_s):,.2f} times" if name != ours else ""
        rows.append(
            [
                name,
                f"{each.calls_s:,.0f}",
                f"{each.spread:.0%}",
                f"{each.p50_ms:.2f} ms",
                f"{each.p99_ms:.2f} ms",
                f"{each.cpu_us:,.0f} µs",
                times,
                f"{each.load_share:.0%}" + (" (bound)" if each.load_share > BOUND else ""),
            ]
        )
    return rows

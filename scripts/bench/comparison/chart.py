"""Bars on a logarithmic scale, as an SVG that reads on a light and a dark page."""

import math
from collections.abc import Sequence
from xml.sax.saxutils import escape

from comparison.finding import Chart

WIDTH, LEFT, RIGHT = 760, 190, 110
BAR, GAP, HEAD = 22, 8, 44
STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#24292f}.title{font-weight:600}.other{fill:#8c959f}.ours{fill:#1a7f5a}"
    "@media(prefers-color-scheme:dark){text{fill:#e6edf3}.other{fill:#6e7681}.ours{fill:#3fb68b}}"
)


def drawn(charts: Sequence[Chart], ours: str = "Gatehouse") -> str:
    """One below the other."""
    parts, top = [], 0
    for chart in charts:
        parts += panel(chart, ours, top)
        top += HEAD + len(chart.values) * (BAR + GAP) + GAP
    title = f"<title>{escape('; '.join(chart.title for chart in charts))}</title>"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}" width="{WIDTH}" height="{top}" role="img">',
            title,
            f"<style>{STYLE}</style>",
            *parts,
            "</svg>\n",
        ]
    )


def panel(chart: Chart, ours: str, top: int) -> list[str]:
    """A title, then a bar for each value, the smallest first."""
    least, most = min(chart.values.values()), max(chart.values.values())
    parts = [f'<text class="title" x="0" y="{top + 20}">{escape(chart.title)}: {escape(chart.unit)}, logarithmic</text>']
    for place, (name, value) in enumerate(sorted(chart.values.items(), key=lambda item: item[1])):
        y = top + HEAD - 10 + place * (BAR + GAP)
        width = length(value, least, most)
        kind = "ours" if name == ours else "other"
        parts += [
            f'<text x="{LEFT - 10}" y="{y + 16}" text-anchor="end">{escape(name)}</text>',
            f'<rect class="{kind}" x="{LEFT}" y="{y}" width="{width:.0f}" height="{BAR}" rx="2"/>',
            f'<text x="{LEFT + width + 8:.0f}" y="{y + 16}">{value:,.0f}</text>',
        ]
    return parts


def length(value: float, least: float, most: float) -> float:
    """Pixels; the smallest is 0.3 of a decade above the start of the scale."""
    start = math.log10(least) - 0.3
    return (WIDTH - LEFT - RIGHT) * (math.log10(value) - start) / (math.log10(most) - start)

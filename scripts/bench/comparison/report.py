"""All findings of a run, as text, JSON and Markdown."""

import json
import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from comparison.chart import drawn
from comparison.finding import Finding
from comparison.table import lines_of

HEAD = ["what is promised", "target", "measured", ""]


def as_text(finding: Finding) -> str:
    """A table under its title, on a terminal and in Markdown."""
    return "\n".join([f"### {finding.title}", "", *lines_of(finding.rows), *(f"\n{note}." for note in finding.notes), ""])


def bars_as_text(findings: Sequence[Finding]) -> str:
    """Each bar with its target and whether it is met."""
    bars = [bar.cells() for finding in findings for bar in finding.bars]
    return "\n".join(["### What is promised", "", *lines_of([HEAD, *bars]), ""])


def as_json(findings: Sequence[Finding], settings: dict[str, Any]) -> dict[str, Any]:
    return {
        "taken_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "settings": settings,
        "findings": [{"title": each.title, **each.figures} for each in findings],
        "bars": [bar.as_json() for each in findings for bar in each.bars],
    }


def machine() -> dict[str, Any]:
    """What the figures depend on; the load average tells whether it was busy."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "system": platform.system(),
        "load_average": [round(each, 2) for each in os.getloadavg()],
    }


def machine_as_text() -> str:
    """One half of a sentence; a load average above its cores tells that others were at work too."""
    found = machine()
    load = found["load_average"][1]
    busy = ", busy with other work as well" if load > found["cores"] else ""
    return f"{found['cores']} cores, Python {found['python']}, load average {load:g}{busy}"


def write(findings: Sequence[Finding], settings: dict[str, Any], json_file: Path | None, chart_file: Path | None) -> None:
    if json_file:
        json_file.write_text(json.dumps(as_json(findings, settings), indent=1) + "\n", encoding="utf-8")
    charts = [chart for each in findings for chart in each.charts]
    if chart_file and charts:
        chart_file.write_text(drawn(charts), encoding="utf-8")

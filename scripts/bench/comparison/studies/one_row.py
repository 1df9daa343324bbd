"""One secured row of the iris forest against every baseline, from one connection to a thousand."""

import sys
from collections.abc import Sequence

from comparison.contenders import Contender, bare, echo, flask, gatehouse, tutorial
from comparison.environments import NotInstalled
from comparison.figures import all_figures, figures_of, ratio
from comparison.finding import Bar, Chart, Finding
from comparison.load import Sample
from comparison.mlserver import mlserver, one_row
from comparison.table import comparison_rows
from comparison.turns import Running, in_turns, served
from comparison.workbench import Workbench
from comparison.wrk import installed, measure

OURS, TUTORIAL, FLASK, ECHO, BARE, MLSERVER = "Gatehouse", "tutorial", "Flask and gunicorn", "FastAPI echo", "bare ASGI", "MLServer"
USUAL = 64
TIMES = {TUTORIAL: 160.0, MLSERVER: 10.0, ECHO: 2.0, BARE: 0.45}
Samples = dict[str, list[Sample]]


def study(bench: Workbench) -> list[Finding]:
    deployment = bench.copied("one-row")
    ours = gatehouse(deployment, deployment.tenant("bench", "iris"))
    findings = []
    with served([*baselines(bench), ours], bench.on) as running:
        usual = in_turns(running, bench.on, bench.turns, USUAL)
        single = in_turns(running if bench.full else those(running, TUTORIAL, OURS), bench.on, bench.turns, 1)
        findings.append(compared(USUAL, usual, (*bars(usual), single_bar(single))))
        findings.append(compared(1, single))
        many = (256, 1000) if bench.full else ()
        findings += [compared(connections, in_turns(running, bench.on, bench.turns, connections)) for connections in many]
        if bench.with_wrk and installed():
            findings.append(compared(USUAL, in_turns(running, bench.on, bench.turns, USUAL, by=measure), by="wrk"))
    findings[-1] = with_note(findings[-1], deployment.check_events())
    deployment.close()
    return findings


def baselines(bench: Workbench) -> list[Contender]:
    """All that can be installed here; the full run must have MLServer."""
    found = [tutorial(bench.folder, bench.forest)]
    try:
        found.append(flask(bench.folder, bench.forest, bench.flask_packages))
    except NotInstalled as error:
        print(f"Without Flask: {error}", file=sys.stderr)
    if bench.full:
        found.append(mlserver(bench.folder, one_row()))
    return [*found, echo(bench.folder), bare(bench.folder)]


def those(running: Sequence[Running], *names: str) -> list[Running]:
    return [each for each in running if each.contender.name in names]


def compared(connections: int, samples: Samples, bars: Sequence[Bar] = (), by: str = "") -> Finding:
    figures = all_figures(samples)
    title = f"One row of the iris forest, {connections:,} connection{'s' if connections > 1 else ''}" + (f", load by {by}" if by else "")
    values = {name: each.calls_s for name, each in figures.items()}
    return Finding(
        title,
        comparison_rows(figures, samples, OURS),
        {"connections": connections, "load": by or "own", "servers": {name: each.as_json() for name, each in figures.items()}},
        bars,
        (Chart(title, "calls a second", values),) if connections == USUAL and not by else (),
    )


def with_note(finding: Finding, note: str) -> Finding:
    return Finding(finding.title, finding.rows, finding.figures, finding.bars, finding.charts, (*finding.notes, note))


def bars(samples: Samples) -> list[Bar]:
    """What is promised at 64 connections."""
    found = [Bar(f"one row, calls a second of {name}", target, speed(samples, name)) for name, target in TIMES.items()]
    ours = figures_of(samples[OURS]).p99_ms
    for name in (TUTORIAL, FLASK, MLSERVER):
        theirs = figures_of(samples[name]).p99_ms if name in samples else None
        found.append(Bar(f"one row, p99 below that of {name}", theirs or 0.0, ours if theirs else None, least=False, unit="ms"))
    return found


def single_bar(samples: Samples) -> Bar:
    return Bar(f"one row, one connection, calls a second of {TUTORIAL}", 50.0, speed(samples, TUTORIAL))


def speed(samples: Samples, name: str) -> float | None:
    return ratio(samples[OURS], samples[name], lambda each: each.calls_s) if name in samples else None

"""Many rows with 30 fields in both body shapes, and what they do to another tenant's single rows."""

from collections.abc import Sequence
from typing import get_args

from comparison.contenders import gatehouse
from comparison.figures import all_figures, ratio
from comparison.finding import Bar, Chart, Finding
from comparison.load import Sample
from comparison.many_rows import Shape, exchanges, gatehouse_many, tutorial_many
from comparison.mlserver import many_rows, mlserver
from comparison.neighbour import beside
from comparison.turns import in_turns, served
from comparison.workbench import Workbench

CONNECTIONS = 2
MOST = 10_000
OURS, TUTORIAL, MLSERVER = "Gatehouse", "tutorial", "MLServer"
TIMES = {MLSERVER: 5.0, TUTORIAL: 4.0}
Samples = dict[str, list[Sample]]


def study(bench: Workbench) -> list[Finding]:
    deployment = bench.copied("bulk")
    key, quiet = deployment.tenant("bulk", "breast_cancer"), deployment.tenant("quiet", "iris")
    contenders = [tutorial_many(bench), gatehouse_many(deployment)]
    if bench.full:
        contenders.insert(1, mlserver(bench.folder, ()))
    findings = []
    with served(contenders, bench.on) as running:
        for rows in (100, 1_000, MOST) if bench.full else (MOST,):
            for shape in get_args(Shape):
                sent = {TUTORIAL: exchanges(bench, rows, shape), OURS: exchanges(bench, rows, shape, key)}
                if bench.full:
                    sent[MLSERVER] = many_rows(bench.cells.rows(rows))
                findings.append(compared(rows, shape, in_turns(running, bench.on, bench.longer, CONNECTIONS, sent)))
        single = gatehouse(deployment, quiet).exchanges
        noise = [(exchanges(bench, MOST, shape, key), 2) for shape in get_args(Shape)]
        findings.append(beside(bench, running[-1], single, noise, f"while bodies of {MOST:,} rows run"))
    deployment.check_events()
    deployment.close()
    return findings


def compared(rows: int, shape: Shape, samples: Samples) -> Finding:
    figures = all_figures(samples)
    table = [["server", "rows a second", "spread", "p50", "p99", "CPU a row", f"{OURS} is"]]
    for name, each in figures.items():
        times = "" if name == OURS else f"{speed(samples, name):,.2f} times"
        table.append(
            [
                name,
                f"{each.calls_s * rows:,.0f}",
                f"{each.spread:.0%}",
                f"{each.p50_ms:,.0f} ms",
                f"{each.p99_ms:,.0f} ms",
                f"{each.cpu_us / rows:.2f} µs",
                times,
            ]
        )
    title = f"{rows:,} rows × 30 fields as {shape}, {CONNECTIONS} connections"
    charts = [Chart(title, "rows a second", {name: each.calls_s * rows for name, each in figures.items()})] if rows == MOST else []
    said = {name: each.as_json() for name, each in figures.items()}
    return Finding(title, table, {"rows": rows, "shape": shape, "servers": said}, bars(rows, shape, samples), charts)


def bars(rows: int, shape: Shape, samples: Samples) -> Sequence[Bar]:
    """What is promised of the largest bodies."""
    if rows != MOST:
        return ()
    return [
        Bar(f"{rows:,} rows as {shape}, rows a second of {name}", least, speed(samples, name) if name in samples else None)
        for name, least in TIMES.items()
    ]


def speed(samples: Samples, name: str) -> float:
    return ratio(samples[OURS], samples[name], lambda each: each.calls_s)

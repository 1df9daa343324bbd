"""What each stage of a prediction costs, measured in a real server, and what security costs as a whole against a bare FastAPI echo call.

Clocks stand around the functions of each stage (`comparison/road.py` names them) while it is called; then parts of security are left out
one at a time, in turns, in the bench only. Target: security costs at most 0.3 of the CPU of the echo's call.
`python scripts/bench/stages.py [--rounds 5] [--seconds 0.6] [--docs]`
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from comparison.contenders import Contender, at_once, echo, gatehouse
from comparison.deployment import Deployment
from comparison.figures import ratio
from comparison.finding import Bar, Finding
from comparison.load import BENCH, Sample
from comparison.process_group import ProcessGroup, ends_what_it_started, free_port
from comparison.published import publish
from comparison.report import as_text, bars_as_text, machine_as_text
from comparison.road import METERING, SECURITY, STAGES, StageGone, check
from comparison.turns import Turns, in_turns, served
from comparison.workbench import Workbench

MOST = 0.3
CONNECTIONS = 64
WHOLE, ECHO = "the whole call", "FastAPI echo"
NONE = "without all four"
Samples = dict[str, list[Sample]]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.6)
    parser.add_argument("--docs", action="store_true", help="put what is found into docs/performance.md")
    given = parser.parse_args()
    ends_what_it_started()
    try:
        check()
    except StageGone as error:
        raise SystemExit(str(error)) from None
    with tempfile.TemporaryDirectory(prefix="gatehouse-bench-") as folder:
        bench = Workbench(Path(folder), Turns(given.rounds, given.seconds))
        samples = left_out(bench)
        findings = [stage_table(clocked(bench), samples), switched_off(samples)]
    text = "\n".join(
        [*map(as_text, findings), bars_as_text(findings), f"{given.rounds} rounds of {given.seconds:g} s on {machine_as_text()}."]
    )
    print(text)
    if given.docs:
        publish("stages.py", text)
    return int(any(bar.met is False for finding in findings for bar in finding.bars))


def altered(deployment: Deployment, how: tuple[str, str], cores: set[int]) -> ProcessGroup:
    """`gatehouse serve`, altered for the bench."""
    port = free_port()
    words = [sys.executable, "-m", "comparison.altered_server", *how, "serve", "--port", str(port)]
    environment = deployment.environment | {"PYTHONPATH": str(BENCH)}
    return ProcessGroup(words, environment, deployment.folder, port, cores)


def clocked(bench: Workbench) -> dict[str, float]:
    """Microseconds of a call, by stage."""
    deployment, file = bench.copied("clocked"), bench.folder / "clocks.json"
    ours = one_row_of(deployment, WHOLE)
    ours = replace(ours, start=partial(altered, deployment, ("--clocks", str(file))))
    with served([ours], bench.on) as running:
        in_turns(running, bench.on, bench.turns, CONNECTIONS)
    said = running[0].server.said()
    deployment.close()
    if not file.is_file():
        raise SystemExit(f"the clocks have written nothing:\n{said[-2000:]}")
    found: dict[str, float] = json.loads(file.read_text(encoding="utf-8"))
    return found


def left_out(bench: Workbench) -> Samples:
    """In turns: the whole call, each part of security left out, all of them left out, and the echo."""
    contenders = [one_row_of(bench.copied("whole"), WHOLE)]
    for name, parts in {**{f"without {part}": (part,) for part in SECURITY}, NONE: SECURITY}.items():
        deployment = bench.copied(name.replace(" ", "-"))
        ours = one_row_of(deployment, name)
        start = partial(altered, deployment, ("--without", ",".join(parts)))
        contenders.append(replace(ours, start=start, settle=at_once if METERING in parts else ours.settle))
    contenders.append(echo(bench.folder))
    with served(contenders, bench.on) as running:
        return in_turns(running, bench.on, bench.turns, CONNECTIONS)


def one_row_of(deployment: Deployment, name: str) -> Contender:
    """The same row again and again, since what is left out answers as before."""
    ours = gatehouse(deployment, deployment.tenant("bench", "iris"), name)
    return replace(ours, exchanges=ours.exchanges[:1])


def stage_table(stages: dict[str, float], samples: Samples) -> Finding:
    """Each stage against the echo's whole call; what no stage is, is the event loop's, uvicorn's reading, the kernel's and the drain's."""
    echo_us, whole_us = median_cpu(samples[ECHO]), median_cpu(samples[WHOLE])
    rows = [["stage", "CPU", "of an echo call"]]
    beside = max(0.0, whole_us - sum(stages.values()))
    everything = {**stages, "reading, event loop, kernel, drain": beside, "the whole call": whole_us, "a bare FastAPI echo call": echo_us}
    rows += [[name, f"{us:.1f} µs", f"{us / echo_us:.2f}"] for name, us in everything.items()]
    secured = sum(stages[stage.name] for stage in STAGES if stage.security)
    bar = Bar("security by its stages, of a bare FastAPI echo call", MOST, secured / echo_us, least=False)
    return Finding("The budget of a call", rows, {"stages_us": everything}, [bar])


def switched_off(samples: Samples) -> Finding:
    """What a call costs less without each, so that what stages do to each other counts too."""
    cost = {name: median_cpu(each) for name, each in samples.items()}
    rows = [["", "CPU a call", "less than whole", "of an echo call"]]
    for name, us in cost.items():
        less = cost[WHOLE] - us
        saved = ["", ""] if name in (WHOLE, ECHO) else [f"{less:.1f} µs", f"{less / cost[ECHO]:.2f}"]
        rows.append([name, f"{us:.1f} µs", *saved])
    share = ratio(samples[WHOLE], samples[ECHO], cpu_us) - ratio(samples[NONE], samples[ECHO], cpu_us)
    bar = Bar("security by leaving it out, of a bare FastAPI echo call", MOST, share, least=False)
    return Finding("Security left out, in the bench only", rows, {"cpu_us": cost}, [bar])


def cpu_us(sample: Sample) -> float:
    return sample.cpu_us


def median_cpu(samples: Sequence[Sample]) -> float:
    return sorted(map(cpu_us, samples))[len(samples) // 2]


if __name__ == "__main__":
    sys.exit(main())

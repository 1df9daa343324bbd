"""A secured prediction of Gatehouse against the usual stack: each server on one core, the load on another, in turns, the others frozen.

`python scripts/bench/usual_stack.py [--full] [--only one_row,bulk] [--rounds 5] [--seconds 0.6] [--docs]`; exit code 1
where a target is missed or a study broke off. `--full` measures everything, MLServer in an environment of its own included.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from comparison.environments import NotInstalled
from comparison.finding import Finding
from comparison.process_group import ends_what_it_started
from comparison.published import CHART, FIGURES, publish
from comparison.report import as_text, bars_as_text, machine_as_text, write
from comparison.studies import bulk, callers, footprint, models, one_row, refusals, workers
from comparison.turns import Turns
from comparison.workbench import Workbench

Study = Callable[[Workbench], list[Finding]]
STUDIES: dict[str, Study] = {
    "one_row": one_row.study,
    "models": models.study,
    "bulk": bulk.study,
    "refusals": refusals.study,
    "callers": callers.study,
    "workers": workers.study,
    "footprint": footprint.study,
}
ONLY_IN_FULL = {"models"}
SECONDS, FULL_SECONDS = 0.5, 5.0


def main() -> int:
    given = arguments()
    ends_what_it_started()
    seconds = given.seconds or (FULL_SECONDS if given.full else SECONDS)
    chosen = given.only.split(",") if given.only else [name for name in STUDIES if given.full or name not in ONLY_IN_FULL]
    with tempfile.TemporaryDirectory(prefix="gatehouse-bench-") as folder:
        bench = Workbench(Path(folder), Turns(given.rounds, seconds), given.full, given.wrk or given.full)
        findings, broken = studied(bench, chosen)
    closing = f"{bars_as_text(findings)}\n{given.rounds} rounds of {seconds:g} s on {machine_as_text()}."
    print(closing)
    settings = {"rounds": given.rounds, "seconds": seconds, "full": given.full, "studies": chosen, "broken": broken}
    write(findings, settings, given.json, given.chart)
    if given.docs and not broken:
        write(findings, settings, FIGURES, CHART)
        publish("usual_stack.py", "\n".join([*map(as_text, findings), closing]))
    return int(bool(broken) or any(bar.met is False for finding in findings for bar in finding.bars))


def studied(bench: Workbench, chosen: list[str]) -> tuple[list[Finding], list[str]]:
    """What was found, printed as it comes, and the studies that broke off: by a wrong answer, say."""
    findings: list[Finding] = []
    broken: list[str] = []
    for name in chosen:
        try:
            found = STUDIES[name](bench)
        except (SystemExit, NotInstalled) as error:
            print(f"{name} broke off: {error}", file=sys.stderr)
            broken.append(name)
            continue
        print("\n".join(map(as_text, found)), flush=True)
        findings += found
    return findings, broken


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="all of the work, in longer rounds")
    parser.add_argument("--only", metavar="STUDY,…", help=f"of {', '.join(STUDIES)}")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, help=f"of a round; {SECONDS:g}, or {FULL_SECONDS:g} with --full, unless given")
    parser.add_argument("--wrk", action="store_true", help="one row once more with wrk, where it is installed")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--chart", type=Path, metavar="FILE", help="an SVG")
    parser.add_argument("--docs", action="store_true", help="put what is found into docs/performance.md, with figures and chart beside it")
    given = parser.parse_args()
    unknown = set((given.only or "").split(",")) - {"", *STUDIES}
    if unknown:
        parser.error(f"no study {', '.join(sorted(unknown))}: choose of {', '.join(STUDIES)}")
    if given.rounds < 1:
        parser.error("--rounds must be at least 1")
    if given.seconds is not None and given.seconds <= 0:
        parser.error("--seconds must be more than 0")
    return given


if __name__ == "__main__":
    sys.exit(main())

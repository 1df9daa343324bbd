"""The same measurement with wrk, where it is installed: a second opinion about the driver."""

import os
import re
import resource
import shutil
import subprocess
import tempfile
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from comparison.exchange import Orders
from comparison.load import Sample, Settle
from comparison.process_group import ProcessGroup

SCRIPT = Path(__file__).with_name("wrk.lua")
LEAST_S = 3
"""It counts whole seconds, and only calls that are answered before its end: a slow server answers all of its connections in two."""
RESULT = re.compile(r"^RESULT (\d+) (\d+) (\d+) ([\d.]+) ([\d.]+) (\d+) ?(.*)$", re.MULTILINE)


def installed() -> bool:
    return shutil.which("wrk") is not None


@dataclass(frozen=True, slots=True)
class Done:
    """What wrk says of a run."""

    calls: int
    seconds: float
    p50_ms: float
    p99_ms: float


def measure(server: ProcessGroup, orders: Orders, cores: set[int], settle: Settle) -> Sample:
    """As load.measure, with the first exchange only, since wrk does not tell which request an answer is to. Raises SystemExit."""
    status = orders.exchanges[0].status
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "wrk.lua"
        script.write_bytes(filled_script(orders))
        warm = ran(script, orders, 0.0, cores)
        settle(Counter({status: warm.calls}), orders.connections)
        before, own_before = server.cpu_s(), children_cpu_s()
        done = ran(script, orders, orders.seconds, cores)
        at_the_last, own = server.cpu_s(), children_cpu_s() - own_before
        settle(Counter({status: done.calls}), orders.connections)
        behind_s = server.cpu_s() - at_the_last
    return Sample(
        done.calls / (done.seconds + behind_s),
        done.p50_ms,
        done.p99_ms,
        (at_the_last - before + behind_s) / done.calls * 1e6,
        own / done.seconds,
        Counter({status: warm.calls + done.calls}),
    )


def filled_script(orders: Orders) -> bytes:
    """With the request and what its answer must be; every byte as a number, so that none means something to Lua."""
    exchange = orders.exchanges[0]

    def quoted(content: bytes) -> bytes:
        return b'"' + b"".join(b"\\%03d" % byte for byte in content) + b'"'

    holds = exchange.holds[0][0] if exchange.holds else b""
    values = b"SENT = %s\nSTATUS = %d\nHOLDS = %s\n" % (quoted(exchange.sent), exchange.status, quoted(holds))
    return values + SCRIPT.read_bytes()


def ran(script: Path, orders: Orders, seconds: float, cores: set[int]) -> Done:
    """Raises SystemExit where an answer was wrong or a call broke off."""
    words = ["wrk", "--threads", "1", "--connections", str(orders.connections), "--duration", f"{max(LEAST_S, round(seconds))}s"]
    words += ["--timeout", "60s", "--latency", "--script", str(script), f"http://127.0.0.1:{orders.port}/"]
    pin = partial(os.sched_setaffinity, 0, cores)
    said = subprocess.run(words, capture_output=True, text=True, check=False, preexec_fn=pin).stdout
    found = RESULT.search(said)
    if found is None:
        raise SystemExit(f"wrk did not end well:\n{said}")
    calls, microseconds, broken, p50, p99, wrong, first = found.groups()
    if not int(calls):
        raise SystemExit(f"wrk: no answer before its end: {' '.join(words[:7])}")
    if int(broken) or int(wrong):
        raise SystemExit(f"wrk: {wrong} wrong answers, {broken} calls broke off: {first}")
    return Done(int(calls), int(microseconds) / 1e6, float(p50) / 1e3, float(p99) / 1e3)


def children_cpu_s() -> float:
    """Of all children that have ended: between two measurements that is wrk."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime

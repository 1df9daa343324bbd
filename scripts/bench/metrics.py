"""What metrics cost: counting a call against the whole call of a real server, and publishing against the second that it is done once in.

.venv/bin/python scripts/bench/metrics.py
"""

import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from connections import cpu_s
from prometheus_client import CollectorRegistry, Counter, Histogram
from support.server import GATEHOUSE, wait_until_ready

from gatehouse.call import Call, Route
from gatehouse.metrics.calls import BOUNDS_S, CallCounts
from gatehouse.metrics.publisher import Publisher

ROUNDS = 7
CALLS = 3_000
COUNTS = 100_000
PUBLISHED = 20
BODY = json.dumps({"instances": [{"sepal_length": 5.2, "sepal_width": 3.6, "petal_length": 1.5, "petal_width": 0.3}]}).encode()


@contextmanager
def serving(folder: Path) -> Iterator[tuple[int, int, str]]:
    """The pid of a server, its port and a key."""
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        port = chosen.getsockname()[1]
    foreign = {name: value for name, value in os.environ.items() if not name.startswith("GATEHOUSE_")}
    environment = foreign | {"GATEHOUSE_STATE_DIR": str(folder / ".gatehouse"), "GATEHOUSE_LOG_FORMAT": "json"}
    log = folder / "log"
    with (
        log.open("wb") as output,
        subprocess.Popen([GATEHOUSE, "dev", "--port", str(port)], env=environment, cwd=folder, stdout=output, stderr=output) as server,
    ):
        try:
            wait_until_ready(port, server)
            words = ["plans", "edit", "standard", "--requests", "100000/s", "--requests-burst", "100000", "--rows-per-month", "100000000"]
            subprocess.run([GATEHOUSE, *words], env=environment, cwd=folder, capture_output=True, check=True)
            time.sleep(1)  # the change is taken in within that
            yield server.pid, port, re.findall(r"gate_\w+", log.read_text(encoding="utf-8"))[0]
        finally:
            server.terminate()


def whole_call_us(pid: int, port: int, key: str) -> float:
    """Processor time of one prediction."""
    request = (
        f"POST /v1/models/iris/predict HTTP/1.1\r\nHost: 127.0.0.1\r\nX-API-Key: {key}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(BODY)}\r\n\r\n"
    ).encode() + BODY
    begun = cpu_s(pid)
    with socket.create_connection(("127.0.0.1", port)) as connection:
        for _ in range(CALLS):
            connection.sendall(request)
            answer = b""
            while not answer.endswith(b"}]}"):
                answer += connection.recv(65536)
                if not answer.startswith(b"HTTP/1.1 200"):
                    raise SystemExit(answer.decode())
    return (cpu_s(pid) - begun) / CALLS * 1e6


def answered(model: str = "iris") -> Call:
    """A call as the road leaves it."""
    call = Call("01J0000000000000000000000B", time.perf_counter_ns(), route=Route("v1", model), status=200)
    call.model, call.api_version, call.rows, call.bytes_in, call.bytes_out = model, "v1", 1, 118, 240
    return call


def count_us() -> float:
    """Counting one call as Gatehouse does."""
    counts, call = CallCounts(), answered()
    begun = time.process_time()
    for _ in range(COUNTS):
        counts.count(call)
    return (time.process_time() - begun) / COUNTS * 1e6


def client_us() -> float:
    """The same numbers by prometheus-client's own counters, in one process."""
    registry, labels = CollectorRegistry(), ("model", "api_version")
    calls = Counter("calls", "x", (*labels, "status", "code"), registry=registry)
    seconds = Histogram("seconds", "x", labels, buckets=BOUNDS_S, registry=registry)
    sums = [Counter(name, "x", labels, registry=registry) for name in ("rows", "bytes_in", "bytes_out")]
    call = answered()
    begun = time.process_time()
    for _ in range(COUNTS // 10):
        calls.labels(call.model, call.api_version, "200", "").inc()
        seconds.labels(call.model, call.api_version).observe((time.perf_counter_ns() - call.started_ns) / 1e9)
        for each, value in zip(sums, (call.rows, call.bytes_in, call.bytes_out), strict=True):
            each.labels(call.model, call.api_version).inc(value)
    return (time.process_time() - begun) / (COUNTS // 10) * 1e6


def publish_us(folder: Path, endpoints: int) -> float:
    """Publishing once what was counted of so many endpoints."""
    counts = CallCounts()
    for number in range(endpoints):
        counts.count(answered(f"model_{number}"))
    publisher = Publisher(folder, f"bench-{endpoints}", "prc_bench", counts.families)
    begun = time.process_time()
    for _ in range(PUBLISHED):
        publisher.publish()
    taken = (time.process_time() - begun) / PUBLISHED * 1e6
    publisher.close()
    return taken


def main() -> int:
    with tempfile.TemporaryDirectory() as name, serving(Path(name)) as server:
        folder = Path(name) / "metrics"
        steps: dict[str, Callable[[], float]] = {
            "the whole call": lambda: whole_call_us(*server),
            "counting it": count_us,
            "counting it by prometheus-client": client_us,
            "publishing 4 endpoints": lambda: publish_us(folder, 4),
            "publishing 400 endpoints": lambda: publish_us(folder, 400),
        }
        whole_call_us(*server)  # once for warmth
        found: dict[str, list[float]] = {step: [] for step in steps}
        for _ in range(ROUNDS):
            for step, measure in steps.items():
                found[step].append(measure())
    medians = {step: statistics.median(times) for step, times in found.items()}
    for step, us in medians.items():
        of = medians["the whole call"] if step.startswith("counting") else 1e6
        print(f"{step:<36}{us:10.2f} µs" + ("" if step == "the whole call" else f"   {100 * us / of:6.2f} %"))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""One-row calls of iris v1 at half of what the server can answer, without a shadow and with v2 as its shadow, in turns.

The server is a process of its own (`gatehouse dev`), whose shadow is another; this one calls, at even distances over 16 connections, and
counts a call's time from the moment when it was due. Targets: at least 95 % of the calls are scored by v2 too, and the p99 of the calls
with a shadow stays within the larger of 1.5 times and +3 ms of what it is without.
`python scripts/bench/shadow.py [--rounds 6] [--seconds 8] [--load 0.5]`
"""

import argparse
import json
import re
import selectors
import socket
import statistics
import sys
import tempfile
import time
import urllib.request
from collections import deque
from collections.abc import Callable
from pathlib import Path

from support.server import serving

ROW = {"sepal_length": 5.2, "sepal_width": 3.6, "petal_length": 1.5, "petal_width": 0.3}
CONNECTIONS = 16
RATIO, MORE_MS, LEAST_SCORED = 1.5, 3.0, 0.95
LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


class Connection:
    """One call at a time."""

    def __init__(self, port: int, sent: bytes) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sent = sent
        self.due = 0.0
        self._found = b""

    def begin(self, due: float) -> None:
        self.due = due
        self.socket.sendall(self.sent)

    def ended(self) -> bool:
        """Whether the answer has come whole. It must be 200."""
        self._found += self.socket.recv(65536)
        head, end, body = self._found.partition(b"\r\n\r\n")
        length = LENGTH.search(head) if end else None
        if length is None or len(body) < int(length[1]):
            return False
        if not head.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"a call got {head.splitlines()[0].decode()}")
        self._found = b""
        return True


class Callers:
    """Connections to one server, called from one thread."""

    def __init__(self, port: int, key: str) -> None:
        body = json.dumps({"instances": [ROW]}).encode()
        fields = f"Host: localhost\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
        sent = f"POST /v1/models/iris/predict HTTP/1.1\r\n{fields}\r\n\r\n".encode() + body
        self._free = deque(Connection(port, sent) for _ in range(CONNECTIONS))
        self._selector = selectors.DefaultSelector()
        for connection in self._free:
            self._selector.register(connection.socket, selectors.EVENT_READ, connection)

    def run(self, seconds: float, rate: float | None) -> list[float]:
        """Milliseconds of each call; `rate` a second, or as many as there can be."""
        taken: list[float] = []
        begun = time.perf_counter()
        due, ends_at = begun, begun + seconds
        while due < ends_at or len(self._free) < CONNECTIONS:
            now = time.perf_counter()
            while self._free and due <= now and due < ends_at:
                self._free.popleft().begin(due if rate else now)
                due = due + 1 / rate if rate else now
            if rate is None:
                due = time.perf_counter()
            wait = max(0.0, due - time.perf_counter()) if self._free and due < ends_at else 1.0
            for chosen, _ in self._selector.select(wait):
                connection: Connection = chosen.data
                if connection.ended():
                    taken.append((time.perf_counter() - connection.due) * 1e3)
                    self._free.append(connection)
        return taken


class Shadow:
    """Begun and ended by command; its counts are those of `/metrics`."""

    def __init__(self, port: int, run: Callable[..., str]) -> None:
        self._run = run
        key = json.loads(run("keys", "create", "--tenant", "_operator", "--scopes", "metrics:read", "--json"))["key"]
        self._request = urllib.request.Request(f"http://127.0.0.1:{port}/metrics", headers={"Authorization": f"Bearer {key}"})

    def counts(self) -> dict[str, float]:
        with urllib.request.urlopen(self._request, timeout=10) as answer:
            found = re.findall(r"^gatehouse_shadows_(\w+) (\S+)$", answer.read().decode(), re.MULTILINE)
        return {name.removesuffix("_total"): float(value) for name, value in found}

    def begin(self, callers: Callers) -> None:
        """Until its process has scored the first calls."""
        self._run("endpoints", "shadow", "iris", "v1", "--with", "v2", "--share", "100")
        before = self.counts()["compared"]
        while self.counts()["compared"] == before:
            callers.run(0.1, 100)
        self.settle()

    def end(self) -> None:
        self._run("endpoints", "unshadow", "iris", "v1")
        time.sleep(1.5)

    def settle(self) -> None:
        """Until none waits."""
        while self.counts()["waiting"]:
            time.sleep(0.2)


def p99(taken: list[float]) -> float:
    return statistics.quantiles(taken, n=100)[98]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--load", type=float, default=0.5)
    given = parser.parse_args()
    measured: dict[str, list[float]] = {"without": [], "with": []}
    counted = dict.fromkeys(("compared", "dropped", "failed"), 0.0)
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as (port, run):
        many = ("--requests", "1000000/s", "--requests-burst", "1000000", "--rows", "1000000/s", "--rows-burst", "1000000")
        run("plans", "create", "wide", *many, "--rows-per-month", "1000000000")
        run("tenants", "create", "acme", "--models", "iris", "--plan", "wide")
        callers = Callers(port, json.loads(run("keys", "create", "--tenant", "acme", "--json"))["key"])
        shadow = Shadow(port, run)
        callers.run(2.0, None)
        most = len(callers.run(4.0, None)) / 4.0
        rate = most * given.load
        print(f"the server answers {most:,.0f} calls a second at most; {rate:,.0f} a second are made")
        for _ in range(given.rounds):
            without = callers.run(given.seconds, rate)
            shadow.begin(callers)
            before = shadow.counts()
            with_shadow = callers.run(given.seconds, rate)
            shadow.settle()
            after = shadow.counts()
            shadow.end()
            for name in counted:
                counted[name] += after[name] - before[name]
            measured["without"] += without
            measured["with"] += with_shadow
            print(f"round: p99 {p99(without):.2f} ms without, {p99(with_shadow):.2f} ms with")
    return report(measured, counted)


def report(measured: dict[str, list[float]], counted: dict[str, float]) -> int:
    """Print the quantiles of all rounds, their ratios and how many calls were scored too; 1 when a target is missed."""
    print(f"{'':8}{'calls':>10}{'p50':>10}{'p99':>10}")
    for name, taken in measured.items():
        print(f"{name:8}{len(taken):10,}{statistics.median(taken):7.2f} ms{p99(taken):7.2f} ms")
    without, with_shadow = measured["without"], measured["with"]
    print(f"ratio{'':13}{statistics.median(with_shadow) / statistics.median(without):8.2f}  {p99(with_shadow) / p99(without):8.2f}")
    scored = counted["compared"] / len(with_shadow)
    print(f"scored by v2 too: {scored:.1%}; dropped {counted['dropped']:,.0f}, failed {counted['failed']:,.0f}")
    allowed = max(RATIO * p99(without), p99(without) + MORE_MS)
    kept = p99(with_shadow) <= allowed and scored >= LEAST_SCORED
    print(f"allowed p99: {allowed:.2f} ms; {'kept' if kept else 'missed'}")
    return int(not kept)


if __name__ == "__main__":
    sys.exit(main())

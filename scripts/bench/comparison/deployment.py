"""A Gatehouse deployment with the demo models and limits so wide that none refuses, and what of its calls is in its database."""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from comparison.load import wait_for
from comparison.process_group import ProcessGroup, free_port
from sqlalchemy import Engine, create_engine, make_url, text

GATEHOUSE = str(Path(sys.executable).with_name("gatehouse"))
WIDE_PLAN = (
    *("--requests", "1000000/s", "--requests-burst", "1000000", "--rows", "1000000/s", "--rows-burst", "1000000"),
    *("--rows-per-month", "1000000000000", "--rows-per-call", "100000", "--bytes-per-call", "64MiB", "--quota", "soft"),
)
WIDE_SETTINGS = {
    "GATEHOUSE_MAX_CONNECTIONS_PER_ADDRESS": "8192",
    "GATEHOUSE_MAX_CALLS_AT_ONCE": "4096",
    "GATEHOUSE_MAX_CALLS_AT_ONCE_PER_TENANT": "4096",
    "GATEHOUSE_MAX_CALLS_WAITING": "4096",
    "GATEHOUSE_FAILED_CREDENTIALS_PER_MINUTE": "1000000000",
    "GATEHOUSE_TOKEN_REQUESTS_PER_MINUTE": "1000000",
    "GATEHOUSE_LOG_FORMAT": "json",
}
"""What a caller on one address needs who stands for many."""
WITHOUT_EVENT = {401, 408, 429}
DRAINED_S = 120.0
STILL_S = 1.5
"""Longer than the server leaves an event out of its database."""


class Deployment:
    """`values` are its GATEHOUSE_ variables; it counts the events that it must hold."""

    def __init__(self, folder: Path, values: Mapping[str, str]) -> None:
        self.folder = folder
        foreign = {name: value for name, value in os.environ.items() if not name.startswith("GATEHOUSE_")}
        self.environment = foreign | WIDE_SETTINGS | {"GATEHOUSE_STATE_DIR": str(folder / ".gatehouse")} | dict(values)
        self.expected = 0
        self._database: Engine | None = None

    def run(self, *words: str) -> str:
        """The output of a command. Raises SystemExit."""
        done = subprocess.run([GATEHOUSE, *words], env=self.environment, cwd=self.folder, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"gatehouse {' '.join(words)}: {done.stdout}{done.stderr}")
        return done.stdout

    def prepare(self) -> None:
        """The demo models, as `gatehouse dev` makes them, and the plan `wide`."""
        port = free_port()
        server = ProcessGroup([GATEHOUSE, "dev", "--port", str(port)], self.environment, self.folder, port, os.sched_getaffinity(0))
        try:
            server.wait_until_ready("/health/ready")
        finally:
            server.end()
        self.run("plans", "create", "wide", *WIDE_PLAN)

    def tenant(self, name: str, *models: str, plan: str = "wide") -> str:
        """A new tenant's key."""
        self.run("tenants", "create", name, "--models", ",".join(models), "--plan", plan)
        key: str = json.loads(self.run("keys", "create", "--tenant", name, "--json"))["key"]
        return key

    def serve(self, cores: set[int], workers: int = 1, settings: Mapping[str, str] | None = None) -> ProcessGroup:
        """The server, started."""
        port = free_port()
        words = [GATEHOUSE, "serve", "--port", str(port), "--workers", str(workers)]
        return ProcessGroup(words, self.environment | dict(settings or {}), self.folder, port, cores)

    def settle(self, statuses: Counter[int], cut_off: int = 0) -> None:
        """Until those answers are in the database, with the sums. Raises SystemExit where they are not."""
        self.expected += sum(calls for status, calls in statuses.items() if status not in WITHOUT_EVENT)
        wait_for(lambda: self._summed() >= self.expected, DRAINED_S, f"{self.expected:,} calls in the database")
        if cut_off:
            more = self._still() - self.expected
            if more > cut_off:
                raise SystemExit(f"{more} more calls are in the database than were answered, {cut_off} were cut off")
            self.expected += more

    def _still(self) -> int:
        """The calls in the database, once none comes any more."""
        last = -1
        while last != (now := self._summed()):
            last = now
            time.sleep(STILL_S)
        return last

    def events(self) -> int:
        """Rows of the events' table."""
        return self._count("SELECT count(*) FROM usage_event")

    def check_events(self) -> str:
        """One line about it; raises SystemExit where an answered call is no event, or an event no answered call."""
        events, summed = self.events(), self._summed()
        if not events == summed == self.expected:
            raise SystemExit(f"{self.expected:,} calls were answered, {events:,} are events, {summed:,} are in the sums")
        return f"each of the {events:,} answered calls of principals is one event in the database"

    def _summed(self) -> int:
        return self._count("SELECT coalesce(sum(calls), 0) FROM usage_summary")

    def _count(self, statement: str) -> int:
        if self._database is None:
            url = self.environment.get("GATEHOUSE_DATABASE_URL") or f"sqlite:///{self.environment['GATEHOUSE_STATE_DIR']}/gatehouse.db"
            self._database = create_engine(make_url(url).set(drivername="postgresql+psycopg") if url.startswith("postgresql") else url)
        with self._database.connect() as connection:
            return int(connection.execute(text(statement)).scalar_one())

    def close(self) -> None:
        """Let the database go."""
        if self._database is not None:
            self._database.dispose()

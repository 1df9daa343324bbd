"""Metrics of `gatehouse serve --workers`: sums over all workers, exact, and never less than they were when one is killed."""

import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families
from serving_process import ServingProcess, free_port, serving_process
from stage import IRIS_ROW, Stage, instances, wait_until

from gatehouse.cli.serve_metrics import metrics_served
from gatehouse.errors import Refused
from gatehouse.principal import Scope
from gatehouse.server.store import list_processes
from gatehouse.settings import settings_from

pytestmark = pytest.mark.endpoints("iris v1")
CALLS = 40
SAYING = ("gatehouse_calls_total", "gatehouse_prediction_seconds_count", "gatehouse_prediction_rows_total")


def answered(text: str) -> float:
    """Predictions that were answered; the least of those that say it, since a call may end between two of them."""
    found = {
        sample.name: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.labels.get("model") == "iris" and sample.labels.get("status", "200") == "200"
    }
    return min(found.get(name, 0.0) for name in SAYING)


def pids(stage: Stage) -> dict[str, int]:
    with stage.database.read() as session:
        return {row.id: row.pid for row in list_processes(session)}


def call(server: ServingProcess, key: str) -> None:
    """Each over a connection of its own, so that all workers get some."""
    for _ in range(CALLS):
        answer = httpx2.post(f"{server.base_url}/v1/models/iris/predict", json=instances(IRIS_ROW), headers={"x-api-key": key}, timeout=30)
        assert answer.status_code == 200, answer.text


@contextmanager
def reading(url: str, **headers: str) -> Iterator[Callable[[], float]]:
    """Reads the calls that are told there, which never become fewer."""
    with httpx2.Client(headers=headers, timeout=30) as client:
        seen = 0.0

        def read() -> float:
            nonlocal seen
            now = answered(client.get(url).text)
            assert now >= seen
            seen = now
            return now

        yield read


def test_sums_over_workers_are_exact_and_outlive_one_that_is_killed(stage: Stage) -> None:
    key, scraper = stage.tenant("acme", "iris"), stage.key("_operator", scopes={Scope.METRICS_READ})
    own = free_port()
    with (
        serving_process(stage, workers=2, metrics_port=str(own), drain_s="0") as server,
        reading(f"http://127.0.0.1:{own}/metrics") as without_key,
    ):
        wait_until(lambda: len(pids(stage)) == 2, 60)
        call(server, key)
        for published in (without_key, lambda: scraped(server, scraper)):
            wait_until(lambda published=published: published() == CALLS)
        id, pid = next(iter(pids(stage).items()))
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: without_key() == CALLS and id not in pids(stage) and len(pids(stage)) == 2, 60)
        call(server, key)
        for published in (without_key, lambda: scraped(server, scraper)):
            wait_until(lambda published=published: published() == 2 * CALLS)
        assert server.terminate() == 0
    assert len(list((stage.state_dir / "metrics").iterdir())) == 2, "the worker that came took over the file of the one that was killed"


def scraped(server: ServingProcess, key: str) -> float:
    """What the worker that answers says, over a connection of its own."""
    return answered(httpx2.get(f"{server.base_url}/metrics", headers={"x-api-key": key}, timeout=30).text)


@pytest.mark.parametrize(
    ("host", "said"), [("127.0.0.1", "is taken: set another GATEHOUSE_METRICS_PORT"), ("192.0.2.1", "cannot listen on")]
)
def test_a_metrics_port_that_cannot_be_had_stops_the_start(stage: Stage, host: str, said: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        values = {"GATEHOUSE_METRICS_HOST": host, "GATEHOUSE_METRICS_PORT": str(taken.getsockname()[1])}
        with pytest.raises(Refused, match=said), metrics_served(settings_from(stage.values | values, stage.state_dir)):
            pass

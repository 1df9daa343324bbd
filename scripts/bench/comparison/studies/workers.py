"""Processor time of a call with one worker and with two, on SQLite alone and with PostgreSQL and Valkey."""

from dataclasses import replace
from functools import partial

from comparison.contenders import Contender, gatehouse
from comparison.deployment import Deployment
from comparison.figures import all_figures, ratio
from comparison.finding import Bar, Finding
from comparison.servers_beside import postgresql_and_valkey
from comparison.table import comparison_rows
from comparison.turns import in_turns, places, served
from comparison.workbench import Workbench

CONNECTIONS = 64
ONE, TWO, SHARED = "one worker", "two workers", "PostgreSQL and Valkey"
MOST_TWO, MOST_SHARED = 1.1, 1.4


def study(bench: Workbench) -> list[Finding]:
    """Both cores belong to servers and load alike, so that only processor time tells something.

    Nobody is frozen: a process that stood still would be taken for gone, by its siblings and at Valkey.
    """
    on = places(workers=2)
    with postgresql_and_valkey() as urls:
        deployments = {
            ONE: bench.copied("one-worker"),
            TWO: bench.copied("two-workers"),
            SHARED: bench.new_deployment("shared", urls),
        }
        contenders = [named(name, deployment) for name, deployment in deployments.items()]
        with served(contenders, on) as running:
            samples = in_turns(running, on, bench.turns, CONNECTIONS)
        for deployment in deployments.values():
            deployment.check_events()
            deployment.close()
    cost = {name: ratio(each, samples[ONE], lambda sample: sample.cpu_us) for name, each in samples.items()}
    bars = [
        Bar("CPU of a call with two workers against one", MOST_TWO, cost[TWO], least=False),
        Bar("CPU of a call with PostgreSQL and Valkey against SQLite alone", MOST_SHARED, cost[SHARED], least=False),
    ]
    figures = all_figures(samples)
    title = "Workers and databases, servers and load on the same two cores"
    said = {name: each.as_json() for name, each in figures.items()}
    return [Finding(title, comparison_rows(figures, samples, ONE), {"servers": said}, bars)]


def named(name: str, deployment: Deployment) -> Contender:
    """A server of a deployment of its own, so that none takes a share of another's limits."""
    contender = gatehouse(deployment, deployment.tenant("bench", "iris"), name)
    return replace(contender, start=partial(deployment.serve, workers=2 if name == TWO else 1), freezes=False)

"""Who calls: one tenant or a thousand in turn, with an API key or an access token, known to the process or not."""

import json
import subprocess
import sys
import urllib.parse
import urllib.request
from dataclasses import replace

from comparison.contenders import Contender, gatehouse, labelled
from comparison.deployment import Deployment
from comparison.exchange import Exchange, Orders
from comparison.figures import figures_of, ratio
from comparison.finding import Bar, Finding
from comparison.load import BENCH, Sample, measure
from comparison.process_group import awake
from comparison.turns import Running, in_turns, served
from comparison.workbench import Workbench

CONNECTIONS = 64
TENANTS = 1_000
MOST = 1.1
LONGEST_S = 60.0
ONE, MANY, TOKEN = "one API key", f"the keys of {TENANTS:,} tenants in turn", "one access token"
COLD, COLD_TOKENS = "keys, each for the first time", "access tokens, each for the first time"
Samples = dict[str, list[Sample]]


def study(bench: Workbench) -> list[Finding]:
    deployment = bench.copied("callers")
    key = deployment.tenant("bench", "iris")
    keys = made_tenants(deployment)
    ours = gatehouse(deployment, key)
    with served([ours], bench.on) as (server,):
        with awake(server.server):
            text = token(server.server.port, key)
            kinds = {ONE: ours.exchanges, MANY: in_turn(keys), TOKEN: with_token(text)}
            turns = [Running(replace(ours, name=name, exchanges=each), server.server, 0.0) for name, each in kinds.items()]
            everybody_has_called(bench, turns[1])
        samples = in_turns(turns, bench.on, bench.turns, CONNECTIONS)
    if bench.full:
        samples |= first_calls(bench, ours, keys)
    deployment.check_events()
    deployment.close()
    return [shown(samples)]


def everybody_has_called(bench: Workbench, many: Running) -> None:
    """Twice each, so that all of them are known and hold some of their quota."""
    orders = Orders(many.server.port, many.contender.exchanges, CONNECTIONS, LONGEST_S, 0.0, None, 2 * TENANTS)
    measure(many.server, orders, bench.on.load, many.contender.settle)


def made_tenants(deployment: Deployment) -> list[str]:
    """Their keys. Raises CalledProcessError."""
    words = [sys.executable, "-m", "comparison.many_tenants", str(TENANTS), "iris", "wide"]
    environment = deployment.environment | {"PYTHONPATH": str(BENCH)}
    done = subprocess.run(words, env=environment, cwd=deployment.folder, stdout=subprocess.PIPE, text=True, check=True)
    keys: list[str] = json.loads(done.stdout)
    return keys


def in_turn(keys: list[str]) -> tuple[Exchange, ...]:
    """A row of each caller."""
    return tuple(gatehouse_row(place, x_api_key=key) for place, key in enumerate(keys))


def gatehouse_row(place: int, **credential: str) -> Exchange:
    rows = labelled("/v1/models/iris/predict", b'"predictions"', lambda row: {"instances": [row]}, **credential)
    return rows[place % len(rows)]


def with_token(text: str) -> tuple[Exchange, ...]:
    return tuple(gatehouse_row(place, authorization=f"Bearer {text}") for place in range(3))


def token(port: int, key: str) -> str:
    """A new access token for a key."""
    form = {"grant_type": "client_credentials", "client_id": key.split("_")[1], "client_secret": key}
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/oauth/token", urllib.parse.urlencode(form).encode(), timeout=10) as answer:
        text: str = json.load(answer)["access_token"]
        return text


def first_calls(bench: Workbench, ours: Contender, keys: list[str]) -> Samples:
    """A new process each round, which knows nobody: all keys once, then as many new tokens."""
    samples: Samples = {COLD: [], COLD_TOKENS: []}
    for _ in range(bench.turns.rounds):
        with served([ours], bench.on) as (server,), awake(server.server):
            port = server.server.port
            for name, exchanges in (
                (COLD, in_turn(keys)),
                (COLD_TOKENS, tuple(gatehouse_row(place, authorization=f"Bearer {token(port, keys[0])}") for place in range(TENANTS))),
            ):
                orders = Orders(port, exchanges, CONNECTIONS, LONGEST_S, 0.0, None, TENANTS - CONNECTIONS)
                samples[name].append(measure(server.server, orders, bench.on.load, ours.settle))
    return samples


def shown(samples: Samples) -> Finding:
    one = samples[ONE]
    rows = [["credential", "calls a second", "p99", "CPU a call", "of one key"]]
    for name, each in samples.items():
        figures = figures_of(each)
        share = ratio(each, one, lambda sample: sample.cpu_us)
        rows.append([name, f"{figures.calls_s:,.0f}", f"{figures.p99_ms:.2f} ms", f"{figures.cpu_us:,.0f} µs", f"{share:.2f}"])
    bar = Bar(f"CPU of a call of {TENANTS:,} tenants in turn against one", MOST, ratio(samples[MANY], one, cpu_us), least=False)
    return Finding("Callers", rows, {"cpu_us": {name: figures_of(each).cpu_us for name, each in samples.items()}}, [bar])


def cpu_us(sample: Sample) -> float:
    return sample.cpu_us

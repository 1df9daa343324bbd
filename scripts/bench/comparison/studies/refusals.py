"""What refused calls cost, and what a flood of them does to an honest tenant."""

import os
import time
from collections.abc import Mapping
from dataclasses import replace

from comparison.contenders import ROWS, gatehouse
from comparison.deployment import Deployment
from comparison.exchange import Exchange, Orders, post
from comparison.figures import figures_of, ratio
from comparison.finding import Bar, Finding
from comparison.load import Sample, load_process
from comparison.neighbour import beside
from comparison.process_group import awake
from comparison.turns import Running, in_turns, served
from comparison.workbench import Workbench

CONNECTIONS = 64
FLOOD = 1_000
PATH = "/v1/models/iris/predict"
BODY = b'{"instances": [{"sepal_length": 5.2, "sepal_width": 3.6, "petal_length": 1.5, "petal_width": 0.3}]}'
MOST_BYTES = 2048
ACCEPTED = "200"
NOBODY, REVOKED, OVER, LARGE, WRONG = "401, no credential", "401, a revoked key", "429", "413", "422"
LIMITS = {NOBODY: 0.9, REVOKED: 0.9, OVER: 0.9, LARGE: 1.1}
IDLE_S = 1.0
USUAL_FAILURES = {"GATEHOUSE_FAILED_CREDENTIALS_PER_MINUTE": "60"}
Samples = Mapping[str, list[Sample]]


def study(bench: Workbench) -> list[Finding]:
    """Costs without the limit on failed credentials, which would answer 429; the flood with it, as servers are set up."""
    deployment = bench.copied("refusals")
    key = deployment.tenant("honest", "iris")
    sent = exchanges(deployment, key)
    ours = gatehouse(deployment, key)
    with served([ours], bench.on) as (server,):
        spend(deployment, server, sent[OVER])
        kinds = [Running(replace(ours, name=name, exchanges=each), server.server, 0.0) for name, each in sent.items()]
        idle = idle_share(server)
        found = costs(without_idle(in_turns(kinds, bench.on, bench.turns, CONNECTIONS), idle))
    usual = replace(ours, start=lambda cores: deployment.serve(cores, settings=USUAL_FAILURES))
    flood = [(tuple(replace(each, or_status=429) for each in sent[REVOKED]), FLOOD // 2), (sent[OVER], FLOOD // 2)]
    with served([usual], bench.on) as (server,):
        spend(deployment, server, sent[OVER])
        beside_it = beside(bench, server, ours.exchanges, flood, f"in a flood of 401 and 429 over {FLOOD:,} connections")
    deployment.check_events()
    deployment.close()
    return [found, beside_it]


def exchanges(deployment: Deployment, key: str) -> dict[str, tuple[Exchange, ...]]:
    """One call of each kind, by the answer that it gets."""
    deployment.run("plans", "create", "spent", "--requests", "1/d", "--requests-burst", "1")
    deployment.run("plans", "create", "small", "--requests", "1000000/s", "--requests-burst", "1000000", "--bytes-per-call", "2KiB")
    limited, small = deployment.tenant("limited", "iris", plan="spent"), deployment.tenant("small", "iris", plan="small")
    revoked = deployment.tenant("revoked", "iris")
    deployment.run("keys", "revoke", revoked.split("_")[1])
    unlike = BODY.replace(b"5.2", b"-52")
    label = (b'"label":"%s"' % ROWS[0][1].encode(), 1)
    return {
        ACCEPTED: (Exchange(post(PATH, BODY, x_api_key=key), 200, (label,), b'"predictions"'),),
        NOBODY: (Exchange(post(PATH, BODY), 401, ((b'"code":"credential_missing"', 1),)),),
        REVOKED: (Exchange(post(PATH, BODY, x_api_key=revoked), 401, ((b'"code":"credential_invalid"', 1),)),),
        OVER: (Exchange(post(PATH, BODY, x_api_key=limited), 429, ((b'"status":429', 1),)),),
        LARGE: (Exchange(post(PATH, BODY + b" " * MOST_BYTES, x_api_key=small), 413, ((b'"status":413', 1),)),),
        WRONG: (Exchange(post(PATH, unlike, x_api_key=key), 422, ((b'"code":"out_of_range"', 1),)),),
    }


def spend(deployment: Deployment, running: Running, limited: tuple[Exchange, ...]) -> None:
    """The only call of the day that is let in."""
    let_in = (replace(limited[0], status=200, holds=()),)
    orders = Orders(running.server.port, let_in, 1, 60.0, 0.0, None, 1)
    with awake(running.server), load_process(orders, os.sched_getaffinity(0)) as load:
        load.read()
        load.go()
        deployment.settle(load.read().statuses)


def idle_share(running: Running) -> float:
    """Of a core that the server uses when nobody calls: calls that are held back last long, and did not cause it."""
    with awake(running.server):
        before = running.server.cpu_s()
        time.sleep(IDLE_S)
        return (running.server.cpu_s() - before) / IDLE_S


def without_idle(samples: Samples, idle: float) -> Samples:
    return {name: [replace(each, cpu_us=each.cpu_us - idle / each.calls_s * 1e6) for each in kind] for name, kind in samples.items()}


def costs(samples: Samples) -> Finding:
    """CPU of each, as a share of an accepted call's."""
    accepted = samples[ACCEPTED]
    rows = [["answer", "calls a second", "p99", "CPU a call", "of an accepted one"]]
    shares = {}
    for name, each in samples.items():
        figures = figures_of(each)
        shares[name] = ratio(each, accepted, lambda sample: sample.cpu_us)
        rows.append([name, f"{figures.calls_s:,.0f}", f"{figures.p99_ms:.2f} ms", f"{figures.cpu_us:,.0f} µs", f"{shares[name]:.2f}"])
    bars = [Bar(f"CPU of a {name} against an accepted call", most, shares[name], least=False) for name, most in LIMITS.items()]
    cpu_us = {name: figures_of(each).cpu_us for name, each in samples.items()}
    return Finding(f"Refused calls, {CONNECTIONS} connections", rows, {"cpu_us": cpu_us}, bars)

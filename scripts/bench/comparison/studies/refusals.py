"""What refused calls cost, and what a flood of them does to an honest tenant."""

from collections.abc import Mapping
from dataclasses import replace

from comparison.contenders import ROWS, gatehouse
from comparison.deployment import Deployment
from comparison.exchange import Exchange, post
from comparison.figures import figures_of, ratio
from comparison.finding import Bar, Finding
from comparison.load import Sample
from comparison.neighbour import beside
from comparison.turns import Running, in_turns, served
from comparison.workbench import Workbench

CONNECTIONS = 64
FLOOD = 1_000
PATH = "/v1/models/iris/predict"
BODY = b'{"instances": [{"sepal_length": 5.2, "sepal_width": 3.6, "petal_length": 1.5, "petal_width": 0.3}]}'
MOST_BYTES = 2048
ACCEPTED, FRESH = "200", "200, a connection for each"
LIMITS = {"401": 0.9, "429": 0.9, "413": 1.1}


def study(bench: Workbench) -> list[Finding]:
    deployment = bench.copied("refusals")
    key = deployment.tenant("honest", "iris")
    sent = exchanges(deployment, key)
    ours = gatehouse(deployment, key)
    with served([ours], bench.on) as (server,):
        turns = [Running(replace(ours, name=name, exchanges=each), server.server, 0.0) for name, each in sent.items()]
        samples = in_turns(turns, bench.on, bench.turns, CONNECTIONS)
        flood = [(sent["401"], FLOOD // 2), (sent["429"], FLOOD // 2)]
        findings = [costs(samples), beside(bench, server, ours.exchanges, flood, f"in a flood of 401 and 429 over {FLOOD:,} connections")]
    deployment.check_events()
    deployment.close()
    return findings


def exchanges(deployment: Deployment, key: str) -> dict[str, tuple[Exchange, ...]]:
    """One call of each kind, by the status that it gets."""
    spent = ("--requests", "1/d", "--requests-burst", "1", "--bytes-per-call", f"{MOST_BYTES // 1024}KiB")
    deployment.run("plans", "create", "spent", *spent)
    deployment.run("plans", "edit", "spent", "--rows-per-month", "1000000")
    limited = deployment.tenant("limited", "iris", plan="spent")
    deployment.run("plans", "create", "small", "--requests", "1000000/s", "--requests-burst", "1000000", "--bytes-per-call", "2KiB")
    small = deployment.tenant("small", "iris", plan="small")
    revoked = deployment.tenant("revoked", "iris")
    deployment.run("keys", "revoke", revoked.split("_")[1])
    unlike = BODY.replace(b"5.2", b"-52")
    return {
        ACCEPTED: (Exchange(post(PATH, BODY, x_api_key=key), 200, ((b'"label":"%s"' % ROWS[0][1].encode(), 1),), b'"predictions"'),),
        FRESH: (Exchange(post(PATH, BODY, x_api_key=key, connection="close"), 200, ((b'"label":"setosa"', 1),)),),
        "401": (Exchange(post(PATH, BODY, x_api_key=revoked), 401, ((b'"code":"credential_invalid"', 1),)),),
        "429": (Exchange(post(PATH, BODY, x_api_key=limited), 429, ((b'"status":429', 1),)),),
        "413": (Exchange(post(PATH, BODY + b" " * MOST_BYTES, x_api_key=small), 413, ((b'"status":413', 1),)),),
        "422": (Exchange(post(PATH, unlike, x_api_key=key), 422, ((b'"code":"out_of_range"', 1),)),),
    }


def costs(samples: Mapping[str, list[Sample]]) -> Finding:
    """CPU of each, as a share of an accepted call's."""
    accepted = samples[ACCEPTED]
    rows = [["answer", "calls a second", "p99", "CPU a call", "of an accepted one"]]
    shares = {}
    for name, each in samples.items():
        figures = figures_of(each)
        shares[name] = ratio(each, accepted, lambda sample: sample.cpu_us)
        rows.append([name, f"{figures.calls_s:,.0f}", f"{figures.p99_ms:.2f} ms", f"{figures.cpu_us:,.0f} µs", f"{shares[name]:.2f}"])
    bars = [Bar(f"CPU of a {name} against an accepted call", most, shares[name], least=False) for name, most in LIMITS.items()]
    return Finding(
        f"Refused calls, {CONNECTIONS} connections", rows, {"cpu_us": {n: figures_of(s).cpu_us for n, s in samples.items()}}, bars
    )

"""One-second truth: what is taken away by one process is refused by all others within a second, under load, on both databases."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import httpx2
import pytest
from serving_process import serving_process
from stage import ACTOR, IRIS_ROW, Stage, instances, key_id

from gatehouse.identity.tenants import remove_grant

SERVERS = 3
PROMISED_S = 1.0
PATH = "/v1/models/iris/predict"
BODY = instances(IRIS_ROW)


@pytest.fixture
def servers(stage_on_each_database: Stage) -> Iterator[list[httpx2.Client]]:
    """Clients of the processes of one deployment, started at once."""
    with ExitStack() as stack, ThreadPoolExecutor(SERVERS) as pool:
        # a token is good at each of them, which share one public URL; the models that nobody calls need not be loaded
        common = {"public_url": "http://gatehouse.test", "load_models": "lazy"}
        started = [serving_process(stage_on_each_database, **common) for _ in range(SERVERS)]
        running = pool.map(stack.enter_context, started)
        yield [stack.enter_context(httpx2.Client(base_url=server.base_url, timeout=30)) for server in running]


@contextmanager
def load(servers: list[httpx2.Client], key: str) -> Iterator[list[int]]:
    """One caller without a pause at each server; gives the statuses that they got."""
    over = threading.Event()
    statuses: list[int] = []

    def call(server: httpx2.Client) -> None:
        while not over.is_set():
            statuses.append(predict(server, key))

    with ThreadPoolExecutor(SERVERS) as pool:
        callers = [pool.submit(call, server) for server in servers]
        try:
            yield statuses
        finally:
            over.set()
    for caller in callers:
        caller.result()


def predict(server: httpx2.Client, credential: str) -> int:
    return server.post(PATH, json=BODY, headers={"authorization": f"Bearer {credential}"}).status_code


def token_of(server: httpx2.Client, key: str) -> str:
    form = {"grant_type": "client_credentials", "client_id": key_id(key), "client_secret": key}
    token: str = server.post("/oauth/token", data=form).json()["access_token"]
    return token


def last_let_in(server: httpx2.Client, refused: dict[str, int], taken_away_at: float) -> float:
    """Seconds from the change to the begin of the last call that was still answered; ends when all are refused with their status."""
    latest, waiting = taken_away_at, dict(refused)
    while waiting:
        for credential, status in list(waiting.items()):
            begun = time.monotonic()
            got = predict(server, credential)
            if got == 200:
                latest = begun
                assert begun - taken_away_at < 5, "it is never refused"
            else:
                assert got == status
                del waiting[credential]
    assert {credential: predict(server, credential) for credential in refused} == refused, "once refused, always refused"
    return latest - taken_away_at


def take_away_and_watch(stage: Stage, servers: list[httpx2.Client], round: int) -> float:
    """A key, a tenant and a grant at once, each with a token; returns the seconds after which none was let in any more."""
    revoked = stage.tenant(f"revoked{round}", "iris")
    suspended = stage.tenant(f"suspended{round}", "iris")
    ungranted = stage.tenant(f"ungranted{round}", "iris", "line")
    refused = {revoked: 401, suspended: 401, ungranted: 404}
    refused |= {token_of(servers[0], key): status for key, status in refused.items()}
    assert {predict(server, credential) for server in servers for credential in refused} == {200}
    stage.revoke(revoked)
    stage.suspend(f"suspended{round}")
    remove_grant(stage.database, ACTOR, f"ungranted{round}", "iris")
    taken_away_at = time.monotonic()  # all of it is committed
    with ThreadPoolExecutor(SERVERS) as pool:
        return max(pool.map(lambda server: last_let_in(server, refused, taken_away_at), servers))


def hold_the_promise(stage: Stage, servers: list[httpx2.Client], rounds: int) -> None:
    steady = stage.tenant("steady", "iris")
    with load(servers, steady) as statuses:
        took = [take_away_and_watch(stage, servers, round) for round in range(rounds)]
    assert max(took) < PROMISED_S, sorted(took)[-5:]
    assert len(statuses) > 20 * rounds
    assert set(statuses) == {200}, "what has not changed goes on"


def test_row_12_36_37_and_48_what_one_process_takes_away_three_others_refuse_within_a_second(
    stage_on_each_database: Stage, servers: list[httpx2.Client]
) -> None:
    hold_the_promise(stage_on_each_database, servers, 10)


@pytest.mark.soak
def test_row_12_36_37_and_48_the_same_a_hundred_times(stage_on_each_database: Stage, servers: list[httpx2.Client]) -> None:
    hold_the_promise(stage_on_each_database, servers, 100)

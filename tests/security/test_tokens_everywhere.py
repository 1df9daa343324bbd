"""Tokens and their keys across processes, under load, on both databases: what is revoked stops, what is good never does."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import httpx2
import jwt
import pytest
from serving_process import serving_process
from stage import ACTOR, Stage, key_id, wait_until

from gatehouse.db.clock import database_now
from gatehouse.identity.sealing import Seal
from gatehouse.identity.token_keys import reseal_token_keys, rotate_token_key

PROMISED_S = 1.0
NEW_SECRET = "Hm4vTz9cRk2bXw7nQe5yLs8dJg3pUa6F"
COMMON = {"public_url": "http://gatehouse.test", "load_models": "lazy"}
"""A token is good at each process, since they share one public URL."""


@dataclass
class Caller:
    """Gets a token at one process and uses it at all, without a pause; remembers what it got and which keys signed."""

    servers: list[httpx2.Client]
    key: str
    statuses: Counter[int] = field(default_factory=Counter)
    kids: set[str] = field(default_factory=set)
    over: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        while not self.over.is_set():
            for issuing in self.servers:
                token = token_of(issuing, self.key)
                self.statuses.update(use(server, token) for server in self.servers)
                self.kids.add(kid_of(token))


def token_of(server: httpx2.Client, key: str) -> str:
    answer = server.post("/oauth/token", data={"grant_type": "client_credentials", "client_id": key_id(key), "client_secret": key})
    assert answer.status_code == 200, answer.text
    token: str = answer.json()["access_token"]
    return token


def kid_of(token: str) -> str:
    kid: str = jwt.get_unverified_header(token)["kid"]
    return kid


def use(server: httpx2.Client, token: str) -> int:
    return server.get("/account", headers={"authorization": f"Bearer {token}"}).status_code


@contextmanager
def serving(stage: Stage, *more: dict[str, str]) -> Iterator[list[httpx2.Client]]:
    """Clients of processes of one deployment, one for each of these settings, started at once."""
    with ExitStack() as stack, ThreadPoolExecutor(len(more)) as pool:
        running = list(pool.map(lambda settings: stack.enter_context(serving_process(stage, **COMMON, **settings)), more))
        yield [stack.enter_context(httpx2.Client(base_url=server.base_url, timeout=30)) for server in running]


@contextmanager
def load(servers: list[httpx2.Client], key: str) -> Iterator[Caller]:
    """A caller at work; ends with what it got."""
    caller = Caller(servers, key)
    with ThreadPoolExecutor(1) as pool:
        work: Future[None] = pool.submit(caller.run)
        try:
            wait_until(lambda: bool(caller.kids) or work.done())
            yield caller
        finally:
            caller.over.set()
        work.result()


@pytest.fixture
def stage(stage_on_each_database: Stage) -> Stage:
    return stage_on_each_database


def test_row_36_and_38_a_revoked_token_stops_at_every_process_and_a_rotation_stops_none(stage: Stage) -> None:
    key = stage.tenant("acme", "iris")
    with serving(stage, {}, {}) as servers, load(servers, key) as caller:
        kept = token_of(servers[0], key)
        for n in range(5):
            token = token_of(servers[0], key)
            assert [use(server, token) for server in servers] == [200, 200]
            form = {"client_id": key_id(key), "client_secret": key, "token": token}
            assert servers[n % 2].post("/oauth/revoke", data=form).status_code == 200
            begun = time.monotonic()
            wait_until(lambda token=token: [use(server, token) for server in servers] == [401, 401])  # type: ignore[misc]
            assert time.monotonic() - begun < PROMISED_S

        with stage.database.read() as session:
            now = database_now(session)
        seal = Seal(stage.values["GATEHOUSE_SECRET_KEY"].encode())
        new = rotate_token_key(stage.database, ACTOR, seal, now, timedelta(seconds=3))
        wait_until(lambda: all(kid_of(token_of(server, key)) == new.kid for server in servers))
        seen = caller.statuses.total()
        wait_until(lambda: caller.statuses.total() > seen + 20)
        assert caller.kids == {kid_of(kept), new.kid}
        assert [use(server, kept) for server in servers] == [200, 200], "the one before verifies until its last token has ended"
    assert set(caller.statuses) == {200}, caller.statuses


def test_row_106_the_secret_key_is_changed_under_load_without_a_refusal(stage: Stage) -> None:
    """Old and new processes side by side, as in a rolling restart; then the keys are sealed anew."""
    old = stage.values["GATEHOUSE_SECRET_KEY"]
    both, new = {"secret_key": NEW_SECRET, "secret_key_before": old}, {"secret_key": NEW_SECRET}
    key = stage.tenant("acme", "iris")
    with serving(stage, {}) as [before], serving(stage, both) as [after]:
        with load([before, after], key) as caller:
            seen = caller.statuses.total()
            wait_until(lambda: caller.statuses.total() > seen + 20)
        token = token_of(before, key)
        with load([after], key) as later:
            assert reseal_token_keys(stage.database, ACTOR, Seal(NEW_SECRET.encode(), old.encode())) == [kid_of(token)]
            with serving(stage, new) as [last]:
                assert use(last, token) == 200
                assert use(after, token_of(last, key)) == 200
            seen = later.statuses.total()
            wait_until(lambda: later.statuses.total() > seen + 20)
    assert set(caller.statuses + later.statuses) == {200}

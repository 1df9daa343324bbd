"""Callers of every kind, who go on while a deployment is changed under them."""

import itertools
import threading
from collections import Counter
from dataclasses import dataclass
from typing import Any

import httpx2
from secrecy import keep_what_is_sent
from stage import IRIS_ROW, instances, key_id, wait_until

PREDICT = "/v1/models/iris/predict"
PASSWORD = "a long walk along the canal 41"
TOKEN_LASTS = 25
"""Rounds of calls by one token."""
CHANGES = 10
"""In each so many rounds something is changed, so that the audit trail grows."""
PAUSE_S = 0.03
"""Between rounds: callers leave the processor to servers that start."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Of one tenant: a key that predicts, a key that manages keys, and the name of its admin, whose password is PASSWORD."""

    key: str
    lead: str
    person: str


class Caller:
    """Calls by key, by token, as a person and of the account, on connections that it keeps; `seen` counts what each kind got."""

    def __init__(self, base_url: str, held: Credentials, seen: Counter[tuple[str, object]]) -> None:
        hooks = {"request": [keep_what_is_sent]}
        self._client = httpx2.Client(base_url=base_url, timeout=30, verify=False, event_hooks=hooks)
        self._held, self._seen = held, seen
        self._token = self._person = ""

    def run(self, ended: threading.Event) -> None:
        """Until it is `ended`."""
        with self._client:
            for number in itertools.count():
                if ended.wait(PAUSE_S):
                    return
                self._round(number)

    def _round(self, number: int) -> None:
        if number % TOKEN_LASTS == 0:
            self._log_in()
        if number % CHANGES == 0:
            self._call("change", self._held.lead, "PATCH", f"/account/keys/{key_id(self._held.key)}", {"name": f"n{number}"})
        self._call("predict by key", self._held.key, "POST", PREDICT, instances(IRIS_ROW))
        self._call("predict by token", self._token, "POST", PREDICT, instances(IRIS_ROW))
        self._call("account by key", self._held.key, "GET", "/account")
        self._call("account as a person", self._person, "GET", "/account")

    def _log_in(self) -> None:
        form = {"grant_type": "client_credentials", "client_id": key_id(self._held.key), "client_secret": self._held.key}
        self._token = self._token_of("token", "/oauth/token", data=form) or self._token
        self._person = self._token_of("login", "/login", json={"name": self._held.person, "password": PASSWORD}) or self._person

    def _token_of(self, kind: str, path: str, **sent: Any) -> str | None:
        answer = self._counted(kind, "POST", path, **sent)
        return None if answer is None else answer.json().get("access_token")

    def _call(self, kind: str, credential: str, method: str, path: str, body: object = None) -> None:
        self._counted(kind, method, path, json=body, headers={"authorization": f"Bearer {credential}"})

    def _counted(self, kind: str, method: str, path: str, **sent: Any) -> httpx2.Response | None:
        try:
            answer = self._client.request(method, path, **sent)
        except httpx2.HTTPError as error:
            self._seen[kind, type(error).__name__] += 1
            return None
        self._seen[kind, answer.status_code] += 1
        return answer


class Callers:
    """Several at once."""

    def __init__(self, base_url: str, held: Credentials, number: int = 2) -> None:
        self.seen: Counter[tuple[str, object]] = Counter()
        self._ended = threading.Event()
        everybody = [Caller(base_url, held, self.seen) for _ in range(number)]
        self._threads = [threading.Thread(target=caller.run, args=(self._ended,)) for caller in everybody]
        for thread in self._threads:
            thread.start()

    def go_on(self, calls: int = 30) -> None:
        """Wait for so many more."""
        enough = self.seen.total() + calls
        wait_until(lambda: self.seen.total() > enough, 60)

    def end(self) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(60)

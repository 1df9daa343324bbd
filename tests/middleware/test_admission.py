"""Admission: a look-up that hangs does not hold its caller."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from gatehouse.call import SCOPE_KEY, Call, Fields
from gatehouse.errors import IdentityUnavailable
from gatehouse.middleware import recognition
from gatehouse.middleware.admission import Access, Admission
from gatehouse.middleware.recognition import Recognition


class NobodyKnown:
    generation = 0

    def recall(self, _text: str, _address: str) -> None:
        return None

    def remember(self, *_: Any) -> None:
        raise AssertionError("nothing was proven")


class NoFailures:
    def check(self, _address: str) -> None:
        return None


SENT = [(b"x-api-key", b"gate_x")]


def test_row_100_a_database_that_hangs_is_503_and_never_401(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recognition, "LOOK_UP_DEADLINE_S", 0.05)
    answered = threading.Event()

    def hang(_text: str, _address: str) -> Any:
        answered.wait(20)
        raise AssertionError("too late")

    async def app(*_: Any) -> None:
        raise AssertionError("nobody was let in")

    with ThreadPoolExecutor(1) as threads:
        door: Any = None
        road = Admission(
            app,
            match=lambda _path: None,
            access=Access(frozenset(), frozenset()),
            recognition=Recognition(NobodyKnown(), hang, NoFailures(), threads),
            door=door,
        )
        scope = {"type": "http", "path": "/account", "headers": SENT, SCOPE_KEY: Call("req_1", 0, fields=Fields(SENT))}
        with pytest.raises(IdentityUnavailable) as refused:
            asyncio.run(road(scope, door, door))
        assert dict(refused.value.headers)["Retry-After"] == "5"
        answered.set()

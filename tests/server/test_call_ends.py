"""What a call was made of is gone when it has ended: nothing of it waits for a collection, which would hold every other call."""

import gc
from collections.abc import Iterator
from dataclasses import replace

import pytest
from stage import IRIS_ROW, WIDE, Live, Stage, instances

from gatehouse.call import Call
from gatehouse.identity.api_keys import mint_key
from gatehouse.server.exchange import Exchange

GOOD = instances(IRIS_ROW)


@pytest.fixture
def live(stage: Stage) -> Iterator[Live]:
    with stage.serving() as live:
        yield live


@pytest.fixture
def kept_garbage() -> Iterator[None]:
    """What a collection finds stays in `gc.garbage`."""
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    yield
    gc.set_debug(0)
    gc.garbage.clear()
    gc.enable()


@pytest.mark.usefixtures("kept_garbage")
def test_no_call_answered_or_refused_waits_for_a_collection(live: Live) -> None:
    live.stage.plan(replace(WIDE, name="short", bytes_per_call=1000))
    key = live.stage.tenant("acme", "iris", plan="short")
    bodies = {422: instances({**IRIS_ROW, "petal_width": "wide"}), 400: b"{", 413: b" " * 1001}
    assert {status: live.predict(key, body).status_code for status, body in bodies.items()} == {status: status for status in bodies}
    assert [live.predict(credential, GOOD).status_code for credential in (mint_key(b"other").text, "gate_x")] == [401] * 2
    assert [live.predict(key, GOOD, "/v1/models/line/predict").status_code, live.get("/nowhere", key).status_code] == [404] * 2
    assert [live.predict(key, GOOD).status_code for _ in range(3)] == [200] * 3
    assert [live.get(path, key).status_code for path in ("/health", "/v1/models", "/account")] == [200] * 3
    gc.collect()
    assert [type(each).__name__ for each in gc.garbage if isinstance(each, (Call, Exchange))] == []

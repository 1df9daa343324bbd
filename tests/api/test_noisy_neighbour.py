"""A tenant far above its limit with the largest bodies, and one beside it whose calls all come back; how fast, `scripts/bench` measures."""

import json
import threading
from collections import Counter

from stage import IRIS_ROW, Live, instances

from gatehouse.principal import Plan, Rate

LARGE_ROWS = 20_000
QUIET_CALLS = 100
NOISY = Plan("noisy", Rate(20, 1, 40), Rate(LARGE_ROWS, 1, LARGE_ROWS), 10_000_000, "hard", LARGE_ROWS, 16 * 1024 * 1024)


def large_body(padded_to: int = 0) -> bytes:
    body = json.dumps({"columns": list(IRIS_ROW), "data": [list(IRIS_ROW.values())] * LARGE_ROWS}).encode()
    return body[:-1] + b" " * (padded_to - len(body)) + b"}"


def test_a_noisy_tenant_is_refused_and_the_quiet_one_is_answered_every_time(live: Live) -> None:
    live.stage.plan(NOISY)
    noisy, quiet = live.stage.tenant("noisy", "iris", plan="noisy"), live.stage.tenant("quiet", "iris")
    got: Counter[int] = Counter()
    over = threading.Event()

    def make_noise(body: bytes) -> None:
        while not over.is_set():
            got[live.predict(noisy, body).status_code] += 1

    bodies = [large_body(), large_body(), large_body(NOISY.bytes_per_call), *[json.dumps(instances(IRIS_ROW)).encode()] * 3]
    callers = [threading.Thread(target=make_noise, args=(body,)) for body in bodies]
    for caller in callers:
        caller.start()
    expected = live.predict(quiet, instances(IRIS_ROW)).json()["predictions"]
    between = 0
    for _ in range(QUIET_CALLS):
        before = live.app.limits.concurrency.all_inside
        answer = live.predict(quiet, instances(IRIS_ROW))
        between += before > 0
        assert answer.status_code == 200, answer.text
        assert answer.json()["predictions"] == expected
    over.set()
    for caller in callers:
        caller.join()
    assert got[429] > 0
    assert set(got) <= {200, 429}
    assert between > 0, "the noisy tenant was never under way"

"""Two replicas restarted one at a time, under load, behind whatever is put in front of them."""

import json
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack

from serving_process import serving_process
from stage import IRIS_ROW, Stage, instances, wait_until
from wire import Wire, post

GOOD = json.dumps(instances(IRIS_ROW)).encode()


class Load:
    """Callers with connections that they keep and callers with a new one for each call; `statuses` counts what came back."""

    def __init__(self, port: int, key: str, callers: int) -> None:
        self.statuses: Counter[object] = Counter()
        self.ended = threading.Event()
        self._request = post(key, GOOD)
        self._threads = [threading.Thread(target=self._call, args=(port, n % 2 == 0)) for n in range(callers)]
        for thread in self._threads:
            thread.start()

    def _call(self, port: int, keep: bool) -> None:
        connection = Wire(port)
        while not self.ended.is_set():
            if not keep:
                connection.close()
                connection = Wire(port)
            try:
                answer = connection.send(self._request).answer()
                self.statuses[answer.status] += 1
                if answer.header("connection") == "close":
                    connection.close()
                    connection = Wire(port)
            except (OSError, AssertionError) as error:
                self.statuses[type(error).__name__] += 1
                connection.close()
                connection = Wire(port)
        connection.close()

    def goes_on(self) -> None:
        """Wait until another hundred calls have been answered."""
        enough = self.statuses.total() + 100
        wait_until(lambda: self.statuses.total() > enough, 60)

    def end(self) -> None:
        self.ended.set()
        for thread in self._threads:
            thread.join(30)


def rolling_restart(
    stage: Stage, front: Callable[..., AbstractContextManager[int]], rounds: int, callers: int, drain_s: str
) -> Counter[object]:
    """What callers of `front` get, which is given both ports and says its own, while each replica is ended by SIGTERM and started again."""
    key = stage.tenant("acme", "iris")
    with ExitStack() as stack:
        replicas = [stack.enter_context(serving_process(stage, drain_s=drain_s)) for _ in range(2)]
        load = Load(stack.enter_context(front(*(replica.port for replica in replicas))), key, callers)
        stack.callback(load.end)
        for _ in range(rounds):
            for replica in list(replicas):
                load.goes_on()
                assert replica.terminate() in (0, -15)
                replicas.remove(replica)
                replicas.append(stack.enter_context(serving_process(stage, replica.port, drain_s=drain_s)))
        load.goes_on()
        load.end()
        return load.statuses

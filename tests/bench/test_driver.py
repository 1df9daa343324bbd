"""The load driver: whose connection was ended while it was idle calls anew; every other end of one ends the measurement."""

import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "scripts" / "bench"))

from comparison import driver
from comparison.driver import Driver
from comparison.exchange import Exchange, Orders, WrongAnswer, post

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
CALLS = 5


class Closing:
    """A server that answers one call of a connection, or `answers` of its first one, and then ends it without a word."""

    def __init__(self, answers: bytes) -> None:
        self.answers = answers
        self.connections = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self.listener.getsockname()[1])
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self) -> None:
        while True:
            try:
                line, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            with line:
                if line.recv(4096):
                    line.sendall(self.answers)

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()


@pytest.fixture
def whole() -> Iterator[Closing]:
    server = Closing(ANSWER)
    yield server
    server.close()


@pytest.fixture
def torn() -> Iterator[Closing]:
    server = Closing(ANSWER[:-1])
    yield server
    server.close()


def orders(server: Closing, rate: float | None) -> Orders:
    return Orders(server.port, (Exchange(post("/", b"{}"), 200, ()),), 1, 60.0, 0.0, rate)


def test_a_connection_that_was_idle_and_has_been_ended_is_made_anew(whole: Closing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "IDLE_S", 0.0)
    with closing(Driver(orders(whole, None))) as load:
        answered = load.run(60.0, CALLS)
    assert (answered.statuses, len(answered.times)) == ({200: CALLS}, CALLS)
    assert whole.connections >= CALLS


def test_so_it_is_between_two_stretches_and_at_a_given_rate(whole: Closing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "IDLE_S", 0.0)
    with closing(Driver(orders(whole, 50.0))) as load:
        assert load.run(0.1).statuses[200] >= 1
        assert load.run(0.1).statuses[200] >= 1


def test_one_that_was_in_use_may_not_end(whole: Closing) -> None:
    with closing(Driver(orders(whole, None))) as load, pytest.raises(WrongAnswer, match="the connection was closed after b''"):
        load.run(60.0, CALLS)


def test_nor_one_in_the_middle_of_an_answer_however_long_it_was_idle(torn: Closing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "IDLE_S", 0.0)
    with closing(Driver(orders(torn, None))) as load, pytest.raises(WrongAnswer, match="the connection was closed after b'HTTP"):
        load.run(60.0, CALLS)

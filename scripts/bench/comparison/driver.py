"""A load process that needs nothing: connections over epoll, requests ready as bytes, every answer checked. Started by load.py."""

import pickle
import select
import socket
import sys
import time
from collections import Counter, deque

from comparison.exchange import Answered, Exchange, Orders, WrongAnswer, whole_answer

PATIENCE_S = 60.0
SPIN_S = 0.002
"""epoll counts whole milliseconds: what is due sooner is waited for awake."""
IDLE_S = 1.0
"""A connection on which nobody has called for longer may have been ended by its server: then it is made anew (RFC 9112, 9.3.1)."""
READ, READ_ON = 16 * 1024, 1024 * 1024
"""Bytes at a time, of a new answer and of one that has begun: a large buffer would cost a small answer its making."""
USUAL, NEVER = b"HTTP/1.1 200 ", b"\0"


class Line:
    """One connection with at most one call under way."""

    __slots__ = ("begun", "exchange", "head", "idle_since", "port", "received", "socket", "tail", "turn", "under_way")

    def __init__(self, port: int, turn: int) -> None:
        self.port = port
        self.turn = turn
        self.received = b""
        self.begun = 0.0
        self.under_way = False
        self.head = b""
        self.tail: bytes | None = None
        self.exchange: Exchange
        self.connect()

    def connect(self) -> None:
        self.socket = socket.create_connection(("127.0.0.1", self.port), PATIENCE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.idle_since = time.perf_counter()

    def next_bytes(self) -> bytes:
        """What has come; none where the connection is over."""
        try:
            return self.socket.recv(READ_ON if self.received else READ)
        except ConnectionError:
            return b""


class Driver:
    """Many lines in one thread."""

    def __init__(self, orders: Orders) -> None:
        self._orders = orders
        self._epoll = select.epoll()
        self._lines: dict[int, Line] = {}
        self._tails: dict[int, bytes] = {}
        """By place in the exchanges: what an answer ends with, once one was checked in full."""
        self._free = deque(self._register(Line(orders.port, turn)) for turn in range(orders.connections))

    def run(self, seconds: float, most_calls: int | None = None) -> Answered:
        """Call for so long, then wait for what is under way. Raises WrongAnswer."""
        self._times: list[float] = []
        self._statuses: Counter[int] = Counter()
        self._usual = 0
        cpu, begun = time.process_time(), time.perf_counter()
        self._until = begun + seconds
        self._most = most_calls or sys.maxsize
        if self._orders.rate is None:
            self._as_many_as_there_can_be()
        else:
            self._at_even_distances(self._orders.rate, begun)
        statuses = self._statuses + Counter({200: self._usual})
        return Answered(time.perf_counter() - begun, self._times, statuses, time.process_time() - cpu)

    def close(self) -> None:
        """End all lines."""
        for line in self._lines.values():
            line.socket.close()
        self._epoll.close()

    def _as_many_as_there_can_be(self) -> None:
        lines, free, times, clock, poll = self._lines, self._free, self._times, time.perf_counter, self._epoll.poll
        until, most = self._until, self._most
        while free:
            self._send(free.popleft(), clock())
        while len(free) < len(lines):
            events = poll(PATIENCE_S)
            if not events:
                raise WrongAnswer(f"no answer for {PATIENCE_S:.0f} s")
            for number, _ in events:
                line = lines[number]
                data = line.next_bytes()
                tail = line.tail
                if tail is not None and not line.received and data.startswith(line.head) and data.endswith(tail):
                    self._usual += 1
                elif not self._read(line, data):
                    continue
                line.idle_since = now = clock()
                times.append(now - line.begun)
                if now < until and len(times) < most:
                    self._send(line, now)
                else:
                    line.under_way = False
                    free.append(line)

    def _at_even_distances(self, rate: float, due: float) -> None:
        clock, free = time.perf_counter, self._free
        while due < self._until or len(free) < len(self._lines):
            now = clock()
            while free and due <= now and due < self._until:
                self._send(free.popleft(), due)
                due += 1 / rate
            wait = max(0.0, due - now - SPIN_S) if free and due < self._until else SPIN_S
            for number, _ in self._epoll.poll(wait):
                line = self._lines[number]
                if self._read(line, line.next_bytes()):
                    line.idle_since = clock()
                    self._times.append(line.idle_since - line.begun)
                    line.under_way = False
                    free.append(line)

    def _send(self, line: Line, now: float) -> None:
        exchanges = self._orders.exchanges
        place = line.turn % len(exchanges)
        line.exchange = exchange = exchanges[place]
        line.turn += 1
        line.tail = self._tails.get(place)
        line.head = USUAL if exchange.status == 200 else NEVER
        line.begun = now
        line.under_way = True
        try:
            line.socket.sendall(exchange.sent)
        except ConnectionError:
            self._call_again(line)

    def _read(self, line: Line, data: bytes) -> bool:
        """Whether the answer is whole now."""
        if not data:
            self._call_again(line)
            return False
        line.received += data
        answer = whole_answer(line.received)
        if answer is None:
            return False
        line.received = b""
        tail = line.tail
        if tail is None or answer.status != line.exchange.status or not answer.body.endswith(tail):
            line.exchange.check(answer)
            self._keep_tail(line, line.exchange.tail(answer))
        self._statuses[answer.status] += 1
        if answer.closes:
            self._connect_again(line)
        return True

    def _call_again(self, line: Line) -> None:
        """Its connection has been closed. Raises WrongAnswer where it was not for having been idle."""
        until = line.begun if line.under_way else time.perf_counter()
        if line.received or until - line.idle_since < IDLE_S:
            raise WrongAnswer(f"the connection was closed after {line.received[:300]!r}")
        self._connect_again(line)
        if line.under_way:
            line.socket.sendall(line.exchange.sent)

    def _keep_tail(self, line: Line, tail: bytes | None) -> None:
        if tail is not None:
            self._tails[(line.turn - 1) % len(self._orders.exchanges)] = tail

    def _connect_again(self, line: Line) -> None:
        number = line.socket.fileno()
        self._epoll.unregister(number)
        del self._lines[number]
        line.socket.close()
        line.connect()
        self._register(line)

    def _register(self, line: Line) -> Line:
        number = line.socket.fileno()
        self._lines[number] = line
        self._epoll.register(number, select.EPOLLIN)
        return line


def main() -> int:
    """Orders as a pickle on standard input; `ready` once warm; works on a line of input; what was found as a pickle."""
    source, target = sys.stdin.buffer, sys.stdout.buffer
    orders: Orders = pickle.load(source)
    try:
        driver = Driver(orders)
        if orders.warm_up_s:
            warm = driver.run(orders.warm_up_s)
            pickle.dump(warm.statuses, target)
        else:
            pickle.dump(Counter(), target)
        target.flush()
        source.readline()
        pickle.dump(driver.run(orders.seconds, orders.most_calls), target)
    except (WrongAnswer, OSError) as error:
        print(f"the load on port {orders.port}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

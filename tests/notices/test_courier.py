"""One delivery to a real server: what is sent, what counts as taken, and where it never goes."""

import asyncio
import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ipaddress import ip_network

import pytest
from target_server import TargetServer, certificate, target_server

from gatehouse.notices.courier import Courier, NotDelivered
from gatehouse.notices.target_url import TargetUrl

LOOPBACK = (ip_network("127.0.0.1/32"),)
NAME = "hooks.test"
HEADERS = {"webhook-id": "ntc_1"}


class Names:
    """A name's addresses, one answer after the other; the last one stays."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked += 1
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    return certificate(tmp_path_factory.mktemp("tls"), NAME)


@pytest.fixture(scope="module")
def trusting(tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> ssl.SSLContext:
    return tls[1]


@pytest.fixture
def secure(tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> Iterator[TargetServer]:
    with target_server(tls[0]) as server:
        yield server


@pytest.fixture
def plain() -> Iterator[TargetServer]:
    with target_server() as server:
        yield server


def post(courier: Courier, url: TargetUrl) -> int:
    return asyncio.run(courier.post(url, HEADERS, b"{}"))


def at(server: TargetServer, scheme: str = "http", host: str = NAME) -> TargetUrl:
    return TargetUrl(scheme, host, server.port, "/hook?a=1")


@contextmanager
def raw(answer: bytes, *, close: bool = True) -> Iterator[TargetUrl]:
    """A server that answers one call with these bytes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        done = threading.Event()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(answer)
                if not close:
                    done.wait(10)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield TargetUrl("http", NAME, listener.getsockname()[1], "/")
        finally:
            done.set()
            thread.join()


def test_a_notice_goes_to_the_checked_address_under_the_targets_own_name(
    secure: TargetServer, trusting: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")  # of no account
    assert post(Courier(LOOPBACK, Names(["127.0.0.1"]), trusting), at(secure, "https")) == 204
    (taken,) = secure.taken
    assert (taken.path, taken.body, taken.sni) == ("/hook?a=1", b"{}", NAME)
    assert taken.headers["host"] == f"{NAME}:{secure.port}"
    assert (taken.headers["webhook-id"], taken.headers["content-type"]) == ("ntc_1", "application/json")
    assert taken.headers["user-agent"].startswith("Gatehouse/")


@pytest.mark.parametrize("host", ["other.test", "127.0.0.1"])
def test_a_certificate_of_another_name_is_refused(secure: TargetServer, trusting: ssl.SSLContext, host: str) -> None:
    with pytest.raises(NotDelivered, match="its certificate is not good"):
        post(Courier(LOOPBACK, Names(["127.0.0.1"]), trusting), at(secure, "https", host))
    assert secure.taken == []


def test_a_certificate_that_nobody_trusts_is_refused(secure: TargetServer) -> None:
    with pytest.raises(NotDelivered, match="its certificate is not good"):
        post(Courier(LOOPBACK, Names(["127.0.0.1"]), ssl.create_default_context()), at(secure, "https"))


def test_row_97_a_name_that_means_an_inner_address_is_not_called(plain: TargetServer, trusting: ssl.SSLContext) -> None:
    for addresses in (["127.0.0.1"], ["::ffff:127.0.0.1"], ["93.184.216.34", "127.0.0.1"], ["fe80::1%lo"], ["64:ff9b::7f00:1"]):
        with pytest.raises(NotDelivered, match="is no public address, and GATEHOUSE_NOTICES_NETWORKS"):
            post(Courier((), Names(addresses), trusting), at(plain, "https"))
    assert plain.taken == []


def test_row_97_a_name_that_changes_its_meaning_is_checked_at_each_delivery(secure: TargetServer, trusting: ssl.SSLContext) -> None:
    names = Names(["127.0.0.1"], ["127.0.0.2"])
    courier = Courier(LOOPBACK, names, trusting)
    assert post(courier, at(secure, "https")) == 204
    assert names.asked == 1  # what was checked is what was called: nobody asks twice
    with pytest.raises(NotDelivered, match=r"127\.0\.0\.2 is no public address"):
        post(courier, at(secure, "https"))
    assert len(secure.taken) == 1


def test_row_97_a_redirect_is_not_followed(plain: TargetServer, trusting: ssl.SSLContext) -> None:
    with target_server() as inner:
        plain.location = f"http://127.0.0.1:{inner.port}/"
        plain.statuses = [301, 302, 307, 308]
        courier = Courier(LOOPBACK, Names(["127.0.0.1"]), trusting)
        assert [post(courier, at(plain)) for _ in range(4)] == [301, 302, 307, 308]
        assert (len(plain.taken), inner.taken) == (4, [])


def test_row_97_http_goes_into_named_networks_only(trusting: ssl.SSLContext) -> None:
    with pytest.raises(NotDelivered, match="refused, since http:// goes nowhere else"):
        post(Courier(LOOPBACK, Names(["93.184.216.34"]), trusting), TargetUrl("http", NAME, 80, "/"))


def test_the_next_address_is_tried_where_nobody_is(plain: TargetServer, trusting: ssl.SSLContext) -> None:
    allowed = (ip_network("127.0.0.0/8"),)
    assert post(Courier(allowed, Names(["127.0.0.2", "127.0.0.1"]), trusting), at(plain)) == 204
    with pytest.raises(NotDelivered, match="the connection failed"):
        post(Courier(allowed, Names(["127.0.0.2", "127.0.0.3"]), trusting), at(plain))


def test_a_name_without_an_address_is_said(trusting: ssl.SSLContext) -> None:
    with pytest.raises(NotDelivered, match=r"hooks\.test has no address"):
        post(Courier(LOOPBACK, Names([]), trusting), TargetUrl("https", NAME, 443, "/"))


def test_the_whole_call_has_one_deadline(trusting: ssl.SSLContext) -> None:
    with raw(b"HTTP/1.1 2", close=False) as url, pytest.raises(NotDelivered, match=r"no answer within 0\.2 s"):
        post(Courier(LOOPBACK, Names(["127.0.0.1"]), trusting, deadline_s=0.2), url)


@pytest.mark.parametrize(
    "answer",
    [b"", b"HTTP/1.1 200", b"SSH-2.0-OpenSSH\r\n", b"HTTP/2 200\r\n\r\n", b"x" * 100_000, b"HTTP/1.1 103 \r\n\r\n" * 200],
    ids=["nothing", "cut", "other", "two", "endless", "interim"],
)
def test_what_is_no_answer_is_no_delivery(answer: bytes, trusting: ssl.SSLContext) -> None:
    with raw(answer) as url, pytest.raises(NotDelivered, match=r"its answer|the connection failed"):
        post(Courier(LOOPBACK, Names(["127.0.0.1"]), trusting), url)


def test_interim_answers_are_passed_over_and_a_long_one_is_thrown_away(trusting: ssl.SSLContext) -> None:
    answer = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 202 Accepted\r\n\r\n" + b"x" * 65_536
    with raw(answer) as url:
        assert post(Courier(LOOPBACK, Names(["127.0.0.1"]), trusting), url) == 202

"""The translation of problems: what it answers when nothing, or half an answer, has gone out."""

import asyncio
import json
import logging
from typing import Any

import pytest

from gatehouse.call import SCOPE_KEY, Call
from gatehouse.errors import CATALOGUE, ClientGone, NotFound, Problem
from gatehouse.middleware.problems import Problems
from gatehouse.middleware.sending import SENDING_KEY, Sending


def run(app: Any, method: str = "GET") -> tuple[list[dict[str, Any]], list[Call]]:
    """The messages that go out, and the calls that were told as refused."""
    sent: list[dict[str, Any]] = []
    refused: list[Call] = []

    async def send(message: Any) -> None:
        sent.append(dict(message))

    call = Call(request_id="req_1", started_ns=0)
    sending = Sending(call, send)
    scope = {"type": "http", "method": method, SCOPE_KEY: call, SENDING_KEY: sending}
    road = Problems(app, "https://api.example.org", refused.append)
    asyncio.run(road(scope, None, sending))  # type: ignore[arg-type]
    return sent, refused


def raising(error: Exception, *before: dict[str, Any]) -> Any:
    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        for message in before:
            await send(message)
        raise error

    return app


START = {"type": "http.response.start", "status": 200, "headers": []}


@pytest.mark.parametrize("problem", CATALOGUE.values())
def test_row_72_every_entry_of_the_catalogue_is_a_problem_document(problem: type[Problem]) -> None:
    (start, body), (call,) = run(raising(problem("words", reason="inner-reason", headers=[("Retry-After", "3")], members={"limit": {}})))
    document = json.loads(body["body"])
    assert start["status"] == document["status"] == call.status == problem.status
    assert document == {
        "type": f"https://api.example.org/errors/{problem.code}",
        "title": problem.title,
        "status": problem.status,
        "detail": "words",
        "code": problem.code,
        "request_id": "req_1",
        "limit": {},
    }
    headers = dict(start["headers"])
    assert headers[b"content-type"] == b"application/problem+json"
    assert headers[b"content-length"] == str(len(body["body"])).encode()
    assert headers[b"retry-after"] == b"3"
    assert (call.code, call.reason) == (problem.code, "inner-reason")


def test_row_71_an_error_that_nobody_foresaw_is_500_and_tells_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        (start, body), (call,) = run(raising(ZeroDivisionError("canary-44")))
    assert (start["status"], json.loads(body["body"])["code"]) == (500, "internal_error")
    assert b"canary-44" not in body["body"]
    assert b"ZeroDivision" not in body["body"]
    assert call.reason == "ZeroDivisionError"
    assert "req_1" in caplog.text


def test_an_answer_to_head_has_the_length_and_no_body() -> None:
    (start, body), _ = run(raising(NotFound()), "HEAD")
    assert body["body"] == b""
    assert int(dict(start["headers"])[b"content-length"]) > 100


def test_half_an_answer_is_cut_off_and_never_followed_by_another() -> None:
    with pytest.raises(ZeroDivisionError):
        run(raising(ZeroDivisionError(), START))


def test_an_error_after_the_whole_answer_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        sent, refused = run(raising(ZeroDivisionError(), START, {"type": "http.response.body", "body": b"ok"}))
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert refused == []
    assert "req_1" in caplog.text


def test_a_caller_that_has_gone_is_not_answered_and_is_told_as_refused() -> None:
    sent, (call,) = run(raising(ClientGone()))
    assert sent == []
    assert (call.status, call.reason) == (0, "client_gone")

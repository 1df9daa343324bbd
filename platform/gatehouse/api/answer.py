"""The answer to a prediction: made at once or some rows at a time, and sent in parts that never hold the event loop for long."""

import asyncio
from collections.abc import Sequence
from typing import Any, TypeAlias

import msgspec
from starlette.types import Send

from gatehouse.call import Call
from gatehouse.serving.engine import Scores
from gatehouse.serving.predictor import Predictor
from gatehouse.serving.registry import Served
from gatehouse.serving.turns import Pause

SCORES_A_STEP = 1_000
"""Numbers of which a step of writing a large answer takes care; about half a millisecond, and some 30 kB."""
Answer: TypeAlias = list[bytes]
"""A JSON document, in the parts in which it is sent."""
_ENCODER = msgspec.json.Encoder()
_JSON = (b"content-type", b"application/json")


def written(predictor: Predictor, outputs: tuple[str, ...], call: Call, scores: Scores) -> Answer:
    """The answer to rows whose scores are these. Raises PredictionFailed."""
    return answer_of(call, predictor.texts(scores, outputs))


def answer_of(call: Call, predictions: Sequence[bytes]) -> Answer:
    """The answer whose predictions these are, each a text of JSON."""
    return [b'%b,"predictions":[%b]}' % (_ENCODER.encode(head_of(call))[:-1], b",".join(predictions))]


def written_in_steps(predictor: Predictor, outputs: tuple[str, ...], call: Call, scores: Scores, pause: Pause) -> Answer:
    """The same bytes, made some rows at a time. `pause` is called between them. Raises PredictionFailed."""
    (frame,) = answer_of(call, ())
    rows = max(1, SCORES_A_STEP * len(scores) // scores.size)
    parts = [frame[:-2]]
    for at in range(0, len(scores), rows):
        texts = b",".join(predictor.texts(scores[at : at + rows], outputs))
        parts.append(b"," + texts if at else texts)
        pause()
    parts.append(frame[-2:])
    return parts


async def send_answer(send: Send, call: Call, answer: Answer) -> None:
    """The whole answer, each part as soon as the caller has taken most of those before, with a turn for everybody else in between."""
    headers = [_JSON, (b"content-length", b"%d" % call.bytes_out)]
    if call.replayed:
        headers.append((b"idempotency-replayed", b"true"))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for part in answer[:-1]:
        await send({"type": "http.response.body", "body": part, "more_body": True})
        await asyncio.sleep(0)  # a caller that takes all at once would never make it wait
    await send({"type": "http.response.body", "body": answer[-1]})


def note_version(call: Call, served: Served[Any]) -> None:
    """What answers the call, for its answer, its log line and its usage event."""
    call.model_version, call.engine = served.manifest.version, served.predictor.engine_name
    call.bridged = served.manifest.api_version != call.api_version


def head_of(call: Call) -> dict[str, Any]:
    """What an answer says before its predictions."""
    head: dict[str, Any] = {
        "model": call.model,
        "model_version": call.model_version,
        "api_version": call.api_version,
        "request_id": call.request_id,
    }
    if call.bridged:
        head["bridged"] = True
    return head if call.notice is None else head | {"notices": call.notice.member}

"""The stages of a prediction: which functions do what, by the names under which the road looks them up.

What has moved is refused loudly, so that no table shows a stage that nobody runs any more: then say here where it went.
"""

import importlib
from dataclasses import dataclass
from typing import Any

WHOLE = "gatehouse.app:Application.__call__"
IDENTITY, LIMITS, VALIDATION, METERING = "identity", "limits", "validation", "metering"
SECURITY = (IDENTITY, LIMITS, VALIDATION, METERING)


class StageGone(Exception):
    """A function of a stage is not there, or is not called any more."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Its functions, as `module:name` or `module:Class.name`; `security` names what it is a part of."""

    name: str
    functions: tuple[str, ...]
    security: str | None = None


STAGES = (
    Stage("request id and clock", ("gatehouse.middleware.request_log:begin_call",)),
    Stage("framing", ("gatehouse.middleware.framing:check_framing",)),
    Stage(
        "identity: credential to principal",
        ("gatehouse.middleware.admission:credential_of", "gatehouse.identity.service:Authenticator.recall"),
        IDENTITY,
    ),
    Stage(
        "limits: request, place, rows, quota",
        ("gatehouse.limits.gate:Gate.enter", "gatehouse.limits.gate:Gate.leave", "gatehouse.limits.gate:Gate.take_rows"),
        LIMITS,
    ),
    Stage(
        "endpoint and release",
        (
            "gatehouse.migration.lifecycle:Endpoints.find",
            "gatehouse.server.releases:Releases.find",
            "gatehouse.api.predict:check_content",
        ),
    ),
    Stage("body", ("gatehouse.api.predict:body_here",)),
    Stage("strict decode", ("gatehouse.api.predict:read_rows",), VALIDATION),
    Stage(
        "engine",
        (
            "gatehouse.serving.predictor:Predictor.score",
            "gatehouse.serving.rounds:Rounds.answer",
            "gatehouse.serving.rounds:Rounds._score",
        ),
    ),
    Stage("answer written", ("gatehouse.api.predict:answer_of", "gatehouse.api.predict:Predict._told")),
    Stage(
        "event and spool",
        (
            "gatehouse.usage.spool:Spool.ensure_room",
            "gatehouse.usage.meter:Meter.record_for",
            "gatehouse.usage.rounds:WritingRounds._write",
        ),
        METERING,
    ),
    Stage("answer sent: headers of all middleware", ("gatehouse.api.predict:send_answer",)),
    Stage("answer written to the connection", ("gatehouse.server.exchange:Exchange.send",)),
    Stage("metrics", ("gatehouse.metrics.calls:CallCounts.count",)),
    Stage("line in the log", ("gatehouse.middleware.log_pace:LogPace.take", "gatehouse.middleware.request_log:RequestLog.write_line")),
)
REST = "the road between them"


def owner_of(function: str) -> tuple[Any, str]:
    """Where a function is looked up, and its name there. Raises StageGone."""
    module, _, path = function.partition(":")
    *outer, name = path.split(".")
    try:
        owner = importlib.import_module(module)
        for each in outer:
            owner = getattr(owner, each)
        getattr(owner, name)
    except (ImportError, AttributeError):
        raise StageGone(f"{function} is gone: say in scripts/bench/comparison/road.py what does its work now") from None
    return owner, name


def check() -> None:
    """Raises StageGone."""
    for function in (WHOLE, *(each for stage in STAGES for each in stage.functions)):
        owner_of(function)

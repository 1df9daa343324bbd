"""Outermost: gives each call its id and clock, and writes one line about it when it has ended."""

import json
import logging
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from time import perf_counter_ns, time
from typing import Any, TextIO

import msgspec
from starlette.types import ASGIApp, Receive, Scope, Send

from gatehouse.call import CLIENT_GONE, EXCHANGE_KEY, SCOPE_KEY, Call, Fields, fields_of_head
from gatehouse.middleware.forwarded import Networks, caller_address
from gatehouse.middleware.log_pace import LogPace
from gatehouse.middleware.sending import SENDING_KEY, Sending
from gatehouse.random_pool import RandomPool

_RANDOM = RandomPool()  # of the event loop; a process has one
LOGGER = logging.getLogger("gatehouse.calls")
_REQUEST_ID = re.compile(rb"(?!gate|eyJ)[A-Za-z0-9][A-Za-z0-9._-]{7,63}")
_CREDENTIAL = re.compile(r"gate(?:test)?_[0-9A-Za-z_]*|eyJ[0-9A-Za-z_.=-]*|once_[0-9A-Za-z]*")
MAX_LOGGED_PATH = 512
DELETE = "\x7f"
_TRACEPARENT = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
"""W3C Trace Context, level 1."""


class RequestLog:
    """`trusted` are the proxies whose X-Forwarded-For is believed; `on_ended` is told of every call, `pace` says which are written down."""

    def __init__(self, app: ASGIApp, pace: LogPace, trusted: Networks = (), on_ended: Callable[[Call], None] = lambda _call: None) -> None:
        self.app = app
        self.pace = pace
        self.trusted = trusted
        self.on_ended = on_ended
        self._same = vars(LOGGER.makeRecord(LOGGER.name, logging.INFO, __file__, 0, "call", (), None))
        """What the records of all calls have in common."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        call = scope[SCOPE_KEY] = begin_call(scope, self.trusted)
        sending = scope[SENDING_KEY] = Sending(call, send)
        try:
            await self.app(scope, receive, sending)
        finally:
            # these lead back to the scope: left there, all of a call would stay until a collection, which holds every other call
            del scope[SENDING_KEY]
            scope.pop(EXCHANGE_KEY, None)
            self.on_ended(call)
            left_out = self.pace.take(call)
            if left_out is not None:
                self.write_line(call, left_out)

    def close(self) -> None:
        """One last line where answers got none since the last one. For when no call is under way."""
        left_out = self.pace.rest()
        if left_out:
            LOGGER.info("answered predictions without a line since the last one: %d", left_out, extra={"left_out": left_out})

    def write_line(self, call: Call, left_out: int) -> None:
        """What `LOGGER.info` would write, without finding out for each call what is the same for all."""
        if not LOGGER.isEnabledFor(logging.INFO):
            return
        record, created, same = logging.LogRecord.__new__(logging.LogRecord), time(), self._same
        own = {
            "created": created,
            "msecs": created % 1 * 1000,
            "relativeCreated": same["relativeCreated"] + (created - same["created"]) * 1000,
            "call": call,
            "left_out": left_out,
        }
        record.__dict__ = same | own
        LOGGER.handle(record)


def begin_call(scope: Scope, trusted: Networks = ()) -> Call:
    """The call of a scope. A request id or traceparent is taken over only if there is one and it is well-formed."""
    headers = scope["headers"]
    fields, client, exchange = fields_of_head(headers), scope.get("client"), scope.get(EXCHANGE_KEY)
    call = Call(
        request_id="req_" + _RANDOM.take(12).hex(),
        started_ns=perf_counter_ns(),
        address=client[0] if client else "",
        method=scope["method"],
        path=scope["path"],
        fields=fields,
        alone=exchange is not None and exchange.alone,
    )
    if trusted:
        call.address = caller_address(call.address, [value for name, value in headers if name == b"x-forwarded-for"], trusted)
    if b"x-request-id" in fields or b"traceparent" in fields:
        _take_over(call, fields)
    return call


def _take_over(call: Call, fields: Fields) -> None:
    request_id, traceparent = fields.single(b"x-request-id"), fields.single(b"traceparent")
    if request_id and _REQUEST_ID.fullmatch(request_id):
        call.request_id = request_id.decode("ascii")
    if traceparent and _TRACEPARENT.fullmatch(traceparent):
        call.traceparent = traceparent.decode("ascii")


class CallLine(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What the log says of a call, in this order: never a credential, a query string or a feature value."""

    at: str | None = None
    level: str | None = None
    logger: str | None = None
    request_id: str
    method: str
    path: str
    status: int
    code: str | None = None
    reason: str | None = None
    tenant: str | None = None
    key: str | None = None
    person: str | None = None
    address: str
    model: str | None = None
    model_version: str | None = None
    rows: int = 0
    replayed: bool = False
    ms: float
    bytes_in: int
    bytes_out: int
    traceparent: str | None = None
    left_out: int = 0
    exception: str | None = None


def line_of(call: Call) -> CallLine:
    """What is known of a call that has just ended."""
    line = CallLine(
        request_id=call.request_id,
        method=call.method,
        path=loggable_path(call.path),
        status=call.status or CLIENT_GONE,
        code=call.code,
        reason=call.reason,
        address=call.address,
        model=call.model,
        model_version=call.model_version,
        rows=call.rows,
        replayed=call.replayed,
        ms=round((perf_counter_ns() - call.started_ns) / 1e6, 2),
        bytes_in=call.bytes_in,
        bytes_out=call.bytes_out,
        traceparent=call.traceparent,
    )
    principal = call.principal
    if principal is not None:
        line.tenant, line.key, line.person = principal.tenant, principal.key_id or None, principal.person_id or None
    return line


def facts(call: Call) -> dict[str, str | int | float]:
    """The same by name, without what is not known."""
    known: dict[str, str | int | float] = msgspec.to_builtins(line_of(call))
    return known


def loggable_path(path: str) -> str:
    """The path, cut, and without what looks like a key or a token: some send theirs in the address."""
    path = path[:MAX_LOGGED_PATH]
    return _CREDENTIAL.sub("[credential]", path) if "_" in path or "eyJ" in path else path


class JsonLines(logging.Formatter):
    """One JSON object a line, in ASCII, so that nothing a caller sends can begin a line of its own."""

    def format(self, record: logging.LogRecord) -> str:
        at = f"{_second(int(record.created))}.{int(record.msecs):03d}+00:00"
        level, call, left_out = record.levelname.lower(), getattr(record, "call", None), getattr(record, "left_out", 0)
        exception = _trace(self, record) if record.exc_info else None
        if isinstance(call, Call):
            line = line_of(call)
            line.at, line.level, line.logger, line.left_out, line.exception = at, level, record.name, left_out, exception
            return _json_line(line)
        entry = {"at": at, "level": level, "logger": record.name, "message": record.getMessage()}
        more = {"left_out": left_out, "exception": exception}
        return _json_line(entry | {name: value for name, value in more.items() if value})


@lru_cache(maxsize=1)
def _second(since_1970: int) -> str:
    return datetime.fromtimestamp(since_1970, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _json_line(entry: CallLine | dict[str, Any]) -> str:
    try:
        line = msgspec.json.encode(entry).decode("ascii")
    except UnicodeError:
        line = ""
    if line and DELETE not in line:
        return line
    # several times as slow; writes what is not printable by numbers
    return json.dumps(msgspec.to_builtins(entry), ensure_ascii=True, separators=(",", ":"))


class ReadableLines(logging.Formatter):
    """One line for a person at a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        call = getattr(record, "call", None)
        if not isinstance(call, Call):
            text = f"{at} {record.levelname.lower()} {_on_one_line(record.getMessage())}"
            return f"{text}\n{_trace(self, record)}" if record.exc_info else text
        known = facts(call)
        path = _on_one_line(loggable_path(call.path))
        who = f" {known['tenant']}/{known.get('key') or known.get('person')}" if "tenant" in known else ""
        what = f" {call.model}@{call.model_version} rows={call.rows}" if call.model_version else ""
        why = f" {call.reason}" if call.reason else ""
        return f"{at} {known['status']} {call.method} {path} {known['ms']}ms{who}{what}{why} {call.request_id}"


def _on_one_line(text: str) -> str:
    """With everything escaped that could begin a line or steer a terminal."""
    return text if text.isprintable() else "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def _trace(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    return formatter.formatException(record.exc_info) if record.exc_info else ""


class Lines(logging.StreamHandler[TextIO]):
    """Writes each line in one piece and holds its lock for nothing else: what the usual handler does, in a third of the steps."""

    def handle(self, record: logging.LogRecord) -> bool:
        if self.filters:  # of which it has none, unless somebody gives it one
            return super().handle(record)
        try:
            line = self.format(record) + self.terminator
            with self.lock:  # type: ignore[union-attr]
                self.stream.write(line)
                self.stream.flush()
        except RecursionError:
            raise
        except Exception:  # as the usual handler: a line that cannot be written ends no call
            self.handleError(record)
        return True


def configure_logging(style: str) -> None:
    """Log to standard error: `text`, `json`, or `auto` (text on a terminal)."""
    readable = style == "text" or (style == "auto" and sys.stderr.isatty())
    handler = Lines(sys.stderr)
    handler.setFormatter(ReadableLines() if readable else JsonLines())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("gatehouse").setLevel(logging.INFO)
    for name in ("uvicorn", "uvicorn.error"):
        logging.getLogger(name).handlers = []
        logging.getLogger(name).setLevel(logging.WARNING)
        logging.getLogger(name).propagate = True

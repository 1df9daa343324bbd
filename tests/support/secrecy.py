"""What the whole suite is searched for: no secret that was issued, and nothing of a credential's shape, in logs, errors and audit rows."""

import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
from sqlmodel import Session, select

from gatehouse.db.tables import AuditTable
from gatehouse.identity.api_keys import CHECKSUM_CHARACTERS, SECRET_CHARACTERS
from gatehouse.middleware.request_log import JsonLines

CLIENTS = ("httpx2", "httpcore2")
SURE_CHARACTERS, SURE_ALPHABET = 12, 6
_SHAPES = re.compile(
    r"gate(?:test)?_[0-9A-Za-z]{16}_[0-9A-Za-z]{20,}|eyJ[0-9A-Za-z_-]{8,}\.eyJ[0-9A-Za-z_-]{8,}|whsec_[0-9A-Za-z+/]{20,}|once_[0-9A-Za-z]{16,}"
)
_RUN = re.compile(rf"[0-9A-Za-z]{{{SECRET_CHARACTERS},}}")
_issued: set[str] = set()
_kept: set[str] = set()
_found: list[str] = []


def remember(key: str) -> str:
    """A key whose secret must be nowhere from now on."""
    _issued.add(key[-CHECKSUM_CHARACTERS - SECRET_CHARACTERS : -CHECKSUM_CHARACTERS])
    return key


def keep(text: str) -> str:
    """A password or another text of no certain shape that must be nowhere from now on; short and dull ones are found by chance."""
    if len(text) >= SURE_CHARACTERS and len(set(text)) >= SURE_ALPHABET:
        _kept.add(text)
    return text


def keep_what_is_sent(request: httpx2.Request) -> None:
    """A hook of a client: what logs a person in is a secret, also where it is refused."""
    if request.url.path.startswith("/login"):
        try:
            sent = json.loads(request.read())
        except ValueError:
            return
        for value in sent.values() if isinstance(sent, dict) else ():
            if isinstance(value, str) and value != sent.get("name"):
                keep(value)


def secrets_in(text: str) -> list[str]:
    """What of `text` is secret: whole credentials of any origin, secrets that were issued, also bare ones, and passwords."""
    windows = (run[n : n + SECRET_CHARACTERS] for run in _RUN.findall(text) for n in range(len(run) - SECRET_CHARACTERS + 1))
    return _SHAPES.findall(text) + [window for window in windows if window in _issued] + [kept for kept in _kept if kept in text]


def watch(where: str, text: str) -> None:
    """Remember what is found there for the end of the test."""
    _found.extend(f"{where}: {secret} in {text[:500]}" for secret in secrets_in(text))


def watch_answer(answer: httpx2.Response) -> None:
    """A hook of a client: errors repeat nothing that was sent."""
    if answer.status_code >= 400:
        watch(f"answer {answer.status_code}", answer.read().decode("utf-8", "replace") + str(answer.headers))


def watch_audit(session: Session) -> None:
    """All rows of the audit trail."""
    for row in session.exec(select(AuditTable)):
        watch("audit", f"{row.actor} {row.source} {row.action} {row.subject} {row.detail}")


def found() -> list[str]:
    """What was found since this was asked last."""
    taken = list(_found)
    _found.clear()
    return taken


class WatchedLog(logging.Handler):
    """Every line of the service as it would be written; not those of a test's own client, which knows its secrets."""

    def __init__(self) -> None:
        super().__init__()
        self._lines = JsonLines()

    def emit(self, record: logging.LogRecord) -> None:
        if not record.name.startswith(CLIENTS):
            watch("log", self._lines.format(record))


@contextmanager
def watched_log() -> Iterator[None]:
    """Every line of every logger meanwhile, also those of calls."""
    keep_watching()
    try:
        yield
    finally:
        logging.getLogger().removeHandler(_WATCHED)


_WATCHED = WatchedLog()


def keep_watching() -> None:
    """Watch the log also after a test whose command has set up the logging of a server in this process."""
    logging.getLogger("gatehouse.calls").setLevel(logging.INFO)
    if _WATCHED not in logging.getLogger().handlers:
        logging.getLogger().addHandler(_WATCHED)

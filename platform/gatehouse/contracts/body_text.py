"""The text of a body, made in short steps: a large one would hold up everybody else."""

import re
from codecs import getincrementaldecoder

from gatehouse.contracts.pause import Pause, no_pause
from gatehouse.errors import InvalidJson

STEP = 1024 * 1024
"""Bytes or characters of one step; takes about a millisecond."""
_Utf8 = getincrementaldecoder("utf-8")
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_SURROGATE_BYTES = 4
_ESCAPE = re.compile(r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<lone>u[dD][89a-fA-F])|.)", re.DOTALL)


def to_text(body: bytes, pause: Pause = no_pause) -> str:
    """The body as text. Raises InvalidJson unless it is UTF-8 without a byte-order mark and without lone surrogates."""
    if not body:
        raise InvalidJson("The body is empty. Send one JSON document.")
    if body.startswith((b"\xff\xfe", b"\xfe\xff", b"\x00")) or body[1:2] == b"\x00":
        raise InvalidJson("The body is not UTF-8; it looks like UTF-16 or UTF-32. Send UTF-8.")
    if body.startswith(b"\xef\xbb\xbf"):
        raise InvalidJson("The body starts with a byte-order mark. Send UTF-8 without it (in Python: encoding='utf-8', not 'utf-8-sig').")
    text = _decoded(body, pause)
    for at in range(0, len(body), STEP):
        if _SURROGATE.search(body, at, at + STEP + _SURROGATE_BYTES):
            _refuse_lone_surrogates(text, pause)
            break
        pause()
    return text


def place(text: str, at: int) -> str:
    """Where a character is, as people count."""
    return f"line {text.count(chr(10), 0, at) + 1}, column {at - text.rfind(chr(10), 0, at)}"


def _decoded(body: bytes, pause: Pause) -> str:
    decoder, parts = _Utf8(), []
    for at in range(0, len(body), STEP):
        part = body[at : at + STEP]
        held = len(decoder.getstate()[0])  # the beginning of a character that the step before ended with
        try:
            parts.append(decoder.decode(part, final=at + STEP >= len(body)))
        except UnicodeDecodeError as error:
            offset = at - held + error.start
            raise InvalidJson(f"The body is not UTF-8: the byte at offset {offset} cannot stand there.") from None
        pause()
    return "".join(parts)


def _refuse_lone_surrogates(text: str, pause: Pause) -> None:
    at = 0
    while at < len(text):
        found = text.find("\\", at, at + STEP)
        if found < 0:
            at += STEP
        else:
            escape = _ESCAPE.match(text, found)
            if escape is not None and escape["lone"]:
                raise InvalidJson(f"A \\u escape at {place(text, found)} is half of a surrogate pair, which is no character.")
            at = escape.end() if escape is not None else found + 1
        pause()

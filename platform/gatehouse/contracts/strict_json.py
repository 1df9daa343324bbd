"""RFC 8259 without its freedoms: one document in UTF-8, no duplicate keys, NaN, Infinity, lone surrogates or endless nesting.

`json`'s C scanner reads the values, one element at a time, so that a reader can stop early and a hostile body stays cheap.
"""

import json
import re
from collections.abc import Collection, Iterator
from json.decoder import scanstring  # type: ignore[attr-defined]  # public by its documented use, missing in typeshed
from typing import Any, NoReturn

from gatehouse.contracts.body_text import place
from gatehouse.contracts.pause import Pause, no_pause
from gatehouse.errors import InvalidJson

MAX_DEPTH = 64
"""Of lists and objects in each other. No contract needs more than three."""
WINDOW = 1024 * 1024
"""Characters in which a key, a text on its own or an element with something nested in it must end. No contract allows longer ones."""
COMMA_CHARACTERS = 16
"""For each comma that an element without nesting may hold, so many characters more than WINDOW."""
BLANKS = 256 * 1024
"""Skipped in one step; takes about a millisecond."""
TOO_DEEP = f"The body is nested more than {MAX_DEPTH} deep."
TOO_LARGE = "A number is too large for a double (about ±1.8e308)."

_BLANK = re.compile(r"[ \t\n\r]*+")
_FLAT = re.compile(r'[\[{][^\[\]{}"]*+(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"[^\[\]{}"]*+)*+[\]}]', re.DOTALL)


class ElementTooLong(Exception):
    """An element is longer than anything that a contract allows; it was not read."""


class _DuplicateKey(Exception):
    def __init__(self, key: str) -> None:
        self.key = key


class JsonReader:
    """Walks one document from its beginning. Every method raises InvalidJson; details never hold what was sent."""

    def __init__(self, text: str, known_names: Collection[str], most_commas: int, pause: Pause = no_pause) -> None:
        """Only `known_names` are ever named in a detail. An element without nesting may hold `most_commas`."""
        self._text = text
        self._known = known_names
        self._most_commas = most_commas
        self._pause = pause
        self._at = 0
        self._window_at, self._window = 0, ""
        self._blank()

    def peek(self) -> str:
        """The character at which the next value starts; empty at the end."""
        return self._text[self._at : self._at + 1]

    def members(self) -> Iterator[str]:
        """The keys of the object that starts here. The caller reads each value before it asks for the next key."""
        seen: set[str] = set()
        more = self._open("}")
        while more:
            if self.peek() != '"':
                self._fail("a key in double quotes is expected", self._at)
            self._check_length()
            try:
                key, self._at = scanstring(self._text, self._at + 1, True)
            except json.JSONDecodeError as error:
                self._not_json(error, 0)
            if key in seen:
                self._duplicate(key, "the outermost object")
            seen.add(key)
            self._blank()
            if self.peek() != ":":
                self._fail("a colon is expected", self._at)
            self._at += 1
            self._blank()
            yield key
            more = self._next("}")

    def elements(self) -> Iterator[int]:
        """The indices of the list that starts here. The caller reads each value before it asks for the next index."""
        index = 0
        more = self._open("]")
        while more:
            yield index
            index += 1
            more = self._next("]")

    def value(self, pointer: str) -> Any:
        """The value that starts here. `pointer` goes into details; empty where it would hold the sender's own text.

        Raises ElementTooLong beside InvalidJson.
        """
        start = self._at
        if self.peek() not in ("[", "{"):
            self._check_length()
            return self._scan(self._text, start, 0, pointer)
        flat = _FLAT.match(self._text, start, start + WINDOW + COMMA_CHARACTERS * self._most_commas)
        if flat is not None and self._text.count(",", start, flat.end()) <= self._most_commas:
            return self._scan(self._text, start, 0, pointer)
        value = self._nested(start, pointer)
        if _deeper_than(value, MAX_DEPTH):
            raise InvalidJson(TOO_DEEP)
        return value

    def _check_length(self) -> None:
        """Raises ElementTooLong for a text on its own, or a key, without an end."""
        after = self._at + 1
        if len(self._text) - after > WINDOW and self.peek() == '"' and self._text.find('"', after, after + WINDOW) < 0:
            raise ElementTooLong

    def _nested(self, start: int, pointer: str) -> Any:
        """An element of any shape, read within a window; neighbours share one, so that many cost one copy of the body."""
        if self._window_at <= start < self._window_at + len(self._window):
            try:
                return self._scan(self._window, start - self._window_at, self._window_at, pointer)
            except ElementTooLong:
                pass  # only for this window: it began before the element
        self._window_at, self._window = start, self._text[start : start + WINDOW]
        return self._scan(self._window, 0, start, pointer)

    def end(self) -> None:
        """Raises InvalidJson unless the document ends here."""
        if self._at != len(self._text):
            self._fail("nothing may follow the document", self._at)

    def _scan(self, text: str, at: int, offset: int, pointer: str) -> Any:
        try:
            value, end = _DECODER.raw_decode(text, at)
        except json.JSONDecodeError as error:
            if self._cut(text, offset) and (error.pos > len(text) - 16 or error.msg.startswith("Unterminated")):
                raise ElementTooLong from None
            self._not_json(error, offset)
        except _DuplicateKey as error:
            self._duplicate(error.key, f"the object at {pointer}" if pointer else "an object")
        except RecursionError:
            raise InvalidJson(TOO_DEEP) from None
        self._at = end + offset
        self._blank()
        return value

    def _cut(self, text: str, offset: int) -> bool:
        return offset + len(text) < len(self._text)

    def _open(self, closing: str) -> bool:
        self._at += 1
        self._blank()
        return not self._closed(closing)

    def _next(self, closing: str) -> bool:
        if self._closed(closing):
            return False
        if self.peek() != ",":
            self._fail(f"a comma or {closing} is expected", self._at)
        self._at += 1
        self._blank()
        if self.peek() == closing:
            self._fail(f"no comma may stand before {closing}", self._at)
        return True

    def _closed(self, closing: str) -> bool:
        if self.peek() != closing:
            return False
        self._at += 1
        self._blank()
        return True

    def _blank(self) -> None:
        until = self._at
        while self._at == until:
            until = self._at + BLANKS
            match = _BLANK.match(self._text, self._at, until)
            self._at = match.end() if match else self._at
            if self._at == until:
                self._pause()

    def _duplicate(self, key: str, place: str) -> NoReturn:
        named = f"The key '{key}'" if key in self._known else "A key"
        raise InvalidJson(f"{named} stands twice in {place}. Send every key once.")

    def _not_json(self, error: json.JSONDecodeError, offset: int) -> NoReturn:
        # a string without an end reaches to the end of the body, wherever it started
        cut = error.msg.startswith("Unterminated")
        self._fail(_words(error), len(self._text) if cut else error.pos + offset)

    def _fail(self, words: str, at: int) -> NoReturn:
        if at >= len(self._text):
            raise InvalidJson("The body ends before the JSON document does. It may have been cut on its way.")
        raise InvalidJson(f"Not JSON at {place(self._text, at)}: {words}.")


def _words(error: json.JSONDecodeError) -> str:
    words = error.msg.partition(": ")[0].removesuffix(" at").removesuffix(" starting")
    return words[:1].lower() + words[1:]


def _deeper_than(value: object, depth: int) -> bool:
    layer = [value]
    for _ in range(depth + 1):
        layer = [
            inner
            for outer in layer
            if isinstance(outer, list | dict)
            for inner in (outer if isinstance(outer, list) else outer.values())
            if isinstance(inner, list | dict)
        ]
        if not layer:
            return False
    return True


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise _DuplicateKey(key)
            seen.add(key)
    return members


def _float(digits: str) -> float:
    number = float(digits)
    if number - number != 0.0:
        raise InvalidJson(TOO_LARGE)
    return number


def _int(digits: str) -> int:
    if len(digits) < 300:
        return int(digits)
    _float(digits)  # also keeps int() from the thousands of digits that it refuses
    return int(digits)


def _constant(name: str) -> NoReturn:
    instead = "null where the field allows it" if name == "NaN" else "a finite number, or null where the field allows it"
    raise InvalidJson(f"{name} is not JSON; send {instead}")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_float=_float, parse_int=_int, parse_constant=_constant)

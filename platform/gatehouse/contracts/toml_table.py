"""Reads a TOML table key by key and collects what is wrong with it, each complaint with its place and what to write."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from gatehouse.contracts.names import suggestion

Kind = TypeVar("Kind")

PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]+(\[[0-9]+\])?")
"""What needs no quotes; `labels[1]` is the second entry of a list."""

TYPE_NAMES: dict[type, str] = {str: "a text in quotes", int: "a whole number", bool: "true or false", list: "a list", dict: "a table"}


class TomlTable:
    """One table of a file. Every problem goes to the shared list `complaints`; reading goes on."""

    def __init__(self, values: Mapping[str, Any], place: str, complaints: list[str]) -> None:
        self._values = values
        self._place = place
        self._complaints = complaints

    def complain(self, key: str, what: str) -> None:
        """Add `place.key what`."""
        self._complaints.append(f"{self.place_of(key)} {what}")

    def place_of(self, key: str) -> str:
        """The dotted TOML place of a key of this table."""
        if not key:
            return self._place
        written = key if PLAIN_KEY.fullmatch(key) else f'"{key}"'
        return f"{self._place}.{written}" if self._place else written

    def refuse_unknown(self, known: Iterable[str]) -> None:
        """Complain about every key that is not in `known`."""
        names = tuple(known)
        for key in self._values:
            if key not in names:
                self.complain(key, f"is not known here; {suggestion(key, names)}")

    def has(self, key: str) -> bool:
        """Whether the key is written at all."""
        return key in self._values

    def raw(self, key: str) -> Any:
        """The value as TOML gave it, None when it is missing."""
        return self._values.get(key)

    def take(self, key: str, kind: type[Kind], *, example: str, required: bool = False) -> Kind | None:
        """The value if it has exactly this type, else None and a complaint; `example` is a line that would be right."""
        value = self._values.get(key)
        if value is None:
            if required:
                self.complain(key, f"is missing; write for example: {example}")
            return None
        if type(value) is not kind:
            self.complain(key, f"must be {TYPE_NAMES[kind]}; write for example: {example}")
            return None
        return value

    def number(self, key: str, *, whole: bool) -> int | float | None:
        """A finite number, a whole one if asked; None and a complaint when it is something else."""
        value = self._values.get(key)
        if value is None:
            return None
        if type(value) is int:
            return value
        if whole or type(value) is not float:
            self.complain(key, f"must be a {'whole ' if whole else ''}number; write for example: {key} = 1")
            return None
        if value - value != 0.0:
            self.complain(key, "must be a finite number; leave the line out where there is no bound")
            return None
        return value

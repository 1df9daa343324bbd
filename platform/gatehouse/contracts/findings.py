"""What is wrong with a body, gathered until it is enough: entries for `InvalidInput`, never with a sent value."""

from collections.abc import Mapping
from typing import Any

from gatehouse.contracts.cells import Fault
from gatehouse.errors import InvalidInput

MOST_LISTED = 20
MOST_SUGGESTED = 3
"""For how many unknown names the nearest known one is looked up, which is dear."""
MOST_COUNTED = 1_000
"""Where the scan stops, so that a body wrong in every cell stays cheap."""
LONGEST_NAME_IN_POINTER = 64


class Findings:
    """Lists the first 20 errors, counts up to 1,000, then ends the call."""

    def __init__(self) -> None:
        self._listed: list[dict[str, Any]] = []
        self.count = 0
        self.refusal: InvalidInput | None = None
        """The one error of a body whose shape is wrong as a whole; raised when the rest has been seen to be JSON."""

    @property
    def listing(self) -> bool:
        """Whether the next finding will be shown, so that its words are worth making."""
        return self.count < MOST_LISTED

    @property
    def suggesting(self) -> bool:
        """Whether the next finding is worth a look for the nearest known name."""
        return self.count < MOST_SUGGESTED

    def add(self, pointer: str, fault: Fault) -> None:
        """Note one error. Raises InvalidInput when it is one too many to go on."""
        if self.listing:
            self._listed.append({"pointer": pointer, "code": fault.code, "detail": fault.detail, **fault.facts})
        self.count += 1
        if self.count >= MOST_COUNTED:
            self.end()

    def refuse_later(self, pointer: str, code: str, detail: str) -> None:
        """Note that the body's shape is wrong; the first such note is the answer."""
        self.refusal = self.refusal or refusal(pointer, code, detail)

    def end(self) -> None:
        """Raise InvalidInput if anything was found."""
        if self.refusal is not None:
            raise self.refusal
        if not self.count:
            return
        members: dict[str, Any] = {"errors": self._listed}
        more = self.count - len(self._listed)
        detail = None
        if more:
            at_least = "at least " if self.count >= MOST_COUNTED else ""
            detail = f"{InvalidInput.meaning} The first {len(self._listed)} of {at_least}{self.count} errors are listed."
            members |= {"errors_total": self.count, "errors_not_listed": more, "errors_counted_all": not at_least}
        raise InvalidInput(detail, members=members)


def refusal(pointer: str, code: str, detail: str, facts: Mapping[str, Any] | None = None) -> InvalidInput:
    """The end of a call with one error whose detail is also the problem's own."""
    entry = {"pointer": pointer, "code": code, "detail": detail, **(facts or {})}
    return InvalidInput(f"{detail[:1].upper()}{detail[1:]}", members={"errors": [entry]})


def pointer_to(parent: str, name: str) -> str:
    """The JSON pointer (RFC 6901) of a member whose name the caller chose; the parent's where the name is too long or unprintable."""
    if len(name) > LONGEST_NAME_IN_POINTER or not name.isprintable():
        return parent
    return f"{parent}/{escaped(name)}"


def escaped(name: str) -> str:
    """A member's name as a part of a JSON pointer."""
    return name.replace("~", "~0").replace("/", "~1")

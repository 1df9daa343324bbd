"""The numbered steps of a section of docs/operations.md, to be done as they are written."""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from documents import ROOT

PAGE = ROOT / "docs" / "operations.md"
_STEP = re.compile(r"^\d+\. (.*(?:\n {3}.*)*)", re.MULTILINE)
RESTART = "restart the servers one by one"


@dataclass(frozen=True, slots=True)
class Step:
    """One step; `given` stands for the words in capitals that a reader fills in."""

    text: str
    given: Mapping[str, str]

    @property
    def commands(self) -> list[list[str]]:
        """The arguments of each `gatehouse` command."""
        return [shlex.split(self._filled(found)) for found in re.findall(r"`gatehouse ([^`]+)`", self.text)]

    @property
    def statements(self) -> list[str]:
        """What the database's administrator says."""
        return [self._filled(found) for found in re.findall(r"`((?:CREATE|ALTER|DROP) [^`]+)`", self.text)]

    @property
    def settings(self) -> dict[str, str]:
        found: list[tuple[str, str]] = re.findall(r"`(GATEHOUSE_\w+)=([^`]+)`", self.text)
        return {name: self._filled(value) for name, value in found}

    @property
    def restarts(self) -> bool:
        return RESTART in self.text

    def _filled(self, text: str) -> str:
        return re.sub(r"\b[A-Z]{2,}\b", lambda word: self.given.get(word[0], word[0]), text)


def written_steps(title: str, **given: str) -> list[Step]:
    """Those of the section `title`, in order; a section without any is a KeyError."""
    section = PAGE.read_text(encoding="utf-8").partition(f"### {title}\n")[2].partition("\n#")[0]
    found = [Step(text, given) for text in _STEP.findall(section)]
    if not found:
        raise KeyError(title)
    return found

"""Lines of a CSV file that tenants or keys are made of: read strictly, and every line that is wrong is named by line and column."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from gatehouse.errors import Refused

MOST_LINES = 10_000
"""Of one file: all are written in one transaction, and others wait meanwhile."""
MOST_BYTES = 4 * 1024 * 1024
MOST_FAULTS = 100
"""That are listed; all are counted."""
MOST_SAID = 10
"""Of these in the one message for a terminal."""
_BOM = b"\xef\xbb\xbf"
_OTHER_FILES = (b"PK\x03\x04", b"\x1f\x8b", b"\xd0\xcf\x11\xe0", b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong, never with the cell that was sent. `column` is "" where it is about the line, `line` 1 is the header."""

    line: int
    column: str
    detail: str

    def __str__(self) -> str:
        return f"line {self.line}{self.column and f', {self.column}'}: {self.detail}"


class ImportRefused(Refused):
    """A file of which nothing was taken. `faults` are the first of `count`."""

    def __init__(self, faults: Sequence[Fault], count: int) -> None:
        said = "; ".join(map(str, faults[:MOST_SAID]))
        more = f"; and {count - MOST_SAID} more" if count > MOST_SAID else ""
        super().__init__(f"nothing was changed: {said}{more}")
        self.faults = tuple(faults)
        self.count = count


@dataclass(slots=True)
class Faults:
    """What is wrong in a file, as it is found."""

    listed: list[Fault] = field(default_factory=list)
    count: int = 0

    def add(self, line: int, column: str, detail: str) -> None:
        self.count += 1
        if len(self.listed) < MOST_FAULTS:
            self.listed.append(Fault(line, column, detail))

    @contextmanager
    def of(self, line: int, column: str) -> Iterator[None]:
        """Refusals within are about this cell."""
        try:
            yield
        except Refused as refusal:
            self.add(line, column, refusal.fact)

    def check(self) -> None:
        """Raises ImportRefused where there is one."""
        if self.count:
            raise ImportRefused(sorted(self.listed, key=lambda fault: fault.line), self.count)


@dataclass(frozen=True, slots=True)
class Line:
    """One record: where it begins in the file, and its cells by column; those of columns that the file has not are empty."""

    number: int
    cells: Mapping[str, str]


def read_lines(source: bytes, needed: Sequence[str], optional: Sequence[str]) -> list[Line]:
    """RFC 4180 with commas, in UTF-8, with a header of these columns in any order. Raises ImportRefused."""
    text = _text(source)
    faults = Faults()
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    lines: list[Line] = []
    columns: list[str] = []
    number = 1
    try:
        for row in reader:
            if not columns:
                columns = _header(row, needed, optional)
            elif len(row) != len(columns):
                faults.add(number, "", f"has {len(row)} cells, the header has {len(columns)}" if row else "is blank: remove the line")
            elif len(lines) >= MOST_LINES:
                raise _refused(number, f"a file has at most {MOST_LINES:,} lines: divide it")
            else:
                lines.append(Line(number, dict.fromkeys(optional, "") | dict(zip(columns, row, strict=True))))
            number = reader.line_num + 1
    except csv.Error as error:
        faults.add(reader.line_num, "", f"is not CSV: {error}")
    faults.check()
    if not lines:
        raise _refused(1, "there is a header but no line below it")
    return lines


def _text(source: bytes) -> str:
    if not source.removeprefix(_BOM).strip():
        raise _refused(1, "the file is empty: write a header with the names of the columns, then a line for each")
    if len(source) > MOST_BYTES:
        raise _refused(1, f"the file is larger than {MOST_BYTES // 1024**2} MiB: divide it")
    if source.startswith(_OTHER_FILES):
        raise _refused(1, "this is a workbook, a packed file or UTF-16: save it as CSV in UTF-8")
    if b"\0" in source:
        raise _refused(source[: source.index(0)].count(10) + 1, "holds a NUL byte: save the file as UTF-8 text")
    try:
        return source.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise _refused(source[: error.start].count(10) + 1, "is not UTF-8: save the file as UTF-8") from None


def _header(names: Sequence[str], needed: Sequence[str], optional: Sequence[str]) -> list[str]:
    known = [*needed, *optional]
    takes = f"the columns are {', '.join(known)}, separated by commas; needed: {', '.join(needed)}"
    if sorted(set(names)) != sorted(names):
        raise _refused(1, f"a column stands twice; {takes}")
    if not set(needed) <= set(names) <= set(known):
        raise _refused(1, takes)
    return list(names)


def _refused(line: int, detail: str) -> ImportRefused:
    return ImportRefused([Fault(line, "", detail)], 1)

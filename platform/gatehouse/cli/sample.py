"""A sample of rows as CSV: read as strictly as JSON is, since a row that is guessed at is a wrong row."""

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from gatehouse.contracts.cells import Cell, Fault, cell_check
from gatehouse.contracts.contract import Contract
from gatehouse.contracts.feature import Feature
from gatehouse.contracts.inference import BOOLEANS, NUMBER
from gatehouse.errors import Refused

MAX_BYTES = 256 * 1024 * 1024
MOST_NAMED = 8
"""Names of columns in one line of refusal."""
LONGEST_NUMBER = 300
LONGEST_SHOWN = 40


@dataclass(frozen=True, slots=True)
class Sample:
    """Cells as they were written; every row is as long as `columns`, whose names are different. `lines`: where each row ends, from 1."""

    origin: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    lines: tuple[int, ...]

    def column(self, name: str) -> tuple[str, ...]:
        """The cells of one column."""
        place = self.columns.index(name)
        return tuple(row[place] for row in self.rows)


def read_sample(source: bytes, origin: str) -> Sample:
    """RFC 4180 with commas, UTF-8 and a header. Raises Refused in one line, which never holds a cell."""
    text = _text(source, origin)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: list[tuple[str, ...]] = []
    lines: list[int] = []
    columns: tuple[str, ...] = ()
    try:
        for row in reader:
            if not columns:
                columns = _header(row, origin)
            elif len(row) != len(columns):
                what = f"has {len(row)} cells, the header has {len(columns)}" if row else "is blank; remove the line"
                raise Refused(f"{origin}, line {reader.line_num}: {what}")
            else:
                rows.append(tuple(row))
                lines.append(reader.line_num)
    except csv.Error as error:
        raise Refused(f"{origin}, line {reader.line_num}: is not CSV: {error}") from None
    if not rows:
        raise Refused(f"{origin} has a header but no rows")
    return Sample(origin, columns, tuple(rows), tuple(lines))


def in_order(sample: Sample, names: Sequence[str]) -> Sample:
    """The sample with exactly these columns, in this order. Raises Refused where the header has others."""
    _check_header(sample, known=names, needed=names)
    places = [sample.columns.index(name) for name in names]
    return replace(sample, columns=tuple(names), rows=tuple(tuple(row[place] for place in places) for row in sample.rows))


def typed_rows(sample: Sample, contract: Contract, origin: str = "the contract") -> tuple[tuple[Cell, ...], ...]:
    """The rows as the contract reads them, in its order. An empty cell is null where that is allowed, else as if left out.

    Raises Refused at the first cell that a caller could not send; `origin` is what the contract is called there.
    """
    _check_header(sample, contract.names, [feature.name for feature in contract.features if feature.required])
    columns = [
        _typed(sample, feature, origin) if feature.name in sample.columns else [feature.default] * len(sample.rows)
        for feature in contract.features
    ]
    return tuple(zip(*columns, strict=True))


def number_ranges(sample: Sample, contract: Contract, origin: str = "the contract") -> dict[str, tuple[float, float]]:
    """Lowest and highest number of each column of numbers that has one. Raises Refused as `typed_rows` does."""
    rows = typed_rows(sample, contract, origin)
    ranges: dict[str, tuple[float, float]] = {}
    for feature, column in zip(contract.features, zip(*rows, strict=True), strict=True):
        numbers = [float(cell) for cell in column if isinstance(cell, int | float)]
        if feature.type in ("number", "integer") and numbers:
            ranges[feature.name] = (min(numbers), max(numbers))
    return ranges


def _text(source: bytes, origin: str) -> str:
    if not source.strip():
        raise Refused(f"{origin} is empty; write a header with the names of the columns, then rows")
    if len(source) > MAX_BYTES:
        raise Refused(f"{origin} is larger than {MAX_BYTES // 1024**2} MiB; some thousand rows are enough")
    if source.startswith((b"PK\x03\x04", b"\x1f\x8b", b"\xd0\xcf\x11\xe0")):
        raise Refused(f"{origin} is a workbook or a packed file; save its rows as CSV in UTF-8")
    if source.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise Refused(f"{origin} starts with a byte-order mark; save it as UTF-8 without one (in Python: encoding='utf-8')")
    if b"\0" in source:
        raise Refused(f"{origin}, line {source[: source.index(0)].count(10) + 1}: holds a NUL byte; save it as UTF-8 text")
    try:
        return source.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refused(f"{origin}, line {source[: error.start].count(10) + 1}: is not UTF-8; save it as UTF-8") from None


def _header(names: Sequence[str], origin: str) -> tuple[str, ...]:
    if len(names) == 1 and re.search(r"[;\t|]", names[0]):
        raise Refused(f"{origin}: the header has one column only; separate columns by commas")
    for place, name in enumerate(names, 1):
        if not name.strip():
            raise Refused(f"{origin}: column {place} has no name; pandas writes none for its index unless to_csv(index=False)")
        if name != name.strip() or not name.isprintable():
            raise Refused(f"{origin}: the name of column {place} has blanks around it or characters that cannot be seen; remove them")
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise Refused(f"{origin}: the header names {_named(twice)} more than once")
    if not names:
        raise Refused(f"{origin}: the first line is blank; it must hold the names of the columns")
    if all(NUMBER.fullmatch(name) for name in names):
        raise Refused(f"{origin}: the first line holds numbers; it must hold the names of the columns")
    return tuple(names)


def _check_header(sample: Sample, known: Sequence[str], needed: Sequence[str]) -> None:
    there, wanted = set(sample.columns), set(known)
    missing = [name for name in needed if name not in there]
    if missing:
        raise Refused(f"{sample.origin}: the header lacks {_named(missing)}")
    surplus = [name for name in sample.columns if name not in wanted]
    if surplus:
        raise Refused(f"{sample.origin}: the model takes no {_named(surplus)}; remove what is no input of it")


def _typed(sample: Sample, feature: Feature, origin: str) -> list[Cell]:
    check = cell_check(feature)
    cells: list[Cell] = []
    for number, cell in enumerate(sample.column(feature.name), 1):
        if not cell and (feature.nullable or not feature.required):
            cells.append(None if feature.nullable else feature.default)
            continue
        checked = check(_value(cell, feature.type))
        if isinstance(checked, Fault):
            place = f"{sample.origin}, line {sample.lines[number - 1]} (row {number}), {feature.name}"
            raise Refused(f"{place}: {_said(checked, cell, origin)}")
        cells.append(checked)
    return cells


def _said(fault: Fault, cell: str, origin: str) -> str:
    """The cell is the publisher's own, on the publisher's own screen."""
    if fault.code != "out_of_range":
        return fault.detail
    allowed = fault.detail.removeprefix("must be ")
    return f"{cell[:LONGEST_SHOWN]} is outside what {origin} allows, {allowed}: widen it there, or leave the row out"


def _value(cell: str, type_: str) -> object:
    """The JSON value that a cell stands for; the text itself where it stands for none, which the check then refuses."""
    if type_ == "boolean":
        return cell in ("true", "True") if cell in BOOLEANS else cell
    if type_ in ("number", "integer") and len(cell) <= LONGEST_NUMBER and NUMBER.fullmatch(cell):
        return float(cell) if re.search("[.eE]", cell) else int(cell)
    return cell


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(f"'{name}'" for name in names[:MOST_NAMED]) + more

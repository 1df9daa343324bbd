"""The reference for what a body may be: slow, finds every error and its pointer. The fast road accepts nothing that this refuses."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from gatehouse.contracts.bodies import columns_line, records_line, shape_detail
from gatehouse.contracts.body_text import to_text
from gatehouse.contracts.cells import Cell, CellCheck, Fault, cell_check, missing_fault
from gatehouse.contracts.columns import ColumnCheck
from gatehouse.contracts.contract import Contract
from gatehouse.contracts.findings import Findings, escaped, pointer_to, refusal
from gatehouse.contracts.names import close_name
from gatehouse.contracts.pause import Pause
from gatehouse.contracts.strict_json import ElementTooLong, JsonReader

MEMBERS = ("instances", "columns", "data", "outputs")
Found: TypeAlias = tuple[list[list[Cell]], tuple[str, ...], tuple[str, ...] | None, bool]
"""Checked rows, the outputs asked for, the columns as sent (None: records), and whether the body itself names outputs."""
MOST_UNKNOWN_MEMBERS = 100
SPARE_COMMAS = 100_000


@dataclass(slots=True)
class _Parts:
    """The members of one body as they come in."""

    rows: list[list[Cell]] | None = None
    data: list[list[Any] | None] | None = None
    """A row that is known to be too long is None."""
    columns: Any = None
    outputs: Any = None


class StrictDecoder:
    """Bytes to checked rows by one contract. Cells stand in contract order; None is null, or absent without a default."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._plan = tuple(
            _Field(feature.name, escaped(feature.name), cell_check(feature), feature.required, feature.default, missing_fault(feature))
            for feature in contract.features
        )
        self._right_records = f"send {records_line(contract)}"
        self._right_columns = f"send {columns_line(contract)}"
        self._columns = ColumnCheck(contract, tuple(field.check for field in self._plan))
        self._known_names = frozenset((*MEMBERS, *contract.names))
        # what a row of this contract can hold at most, commas inside texts included
        self._most_commas = (
            SPARE_COMMAS
            + len(self._plan)
            + sum(feature.max_length or 256 for feature in contract.features if feature.type in ("text", "category"))
        )

    def decode(self, body: bytes, max_rows: int, pause: Pause) -> Found:
        """What the body holds. Raises InvalidJson or InvalidInput."""
        reader = JsonReader(to_text(body, pause), self._known_names, self._most_commas, pause)
        findings = Findings()
        try:
            parts, keys = self._read(reader, findings, max_rows, pause)
        except ElementTooLong:
            detail = f"a part of the body is larger than any that the contract allows: {self._right_records}"
            raise findings.refusal or refusal("", "wrong_shape", detail) from None
        self._check_shape(parts, keys, findings)
        outputs = self._outputs(parts.outputs, "outputs" in keys, findings)
        rows, columns = parts.rows, None
        if rows is None:
            rows = self._columns.rows(parts.columns, parts.data or [], findings, pause)
            columns = tuple(parts.columns)
        findings.end()
        return rows, outputs, columns, "outputs" in keys

    def _read(self, reader: JsonReader, findings: Findings, max_rows: int, pause: Pause) -> tuple[_Parts, list[str]]:
        parts, keys = _Parts(), list[str]()
        if reader.peek() != "{":
            is_list = reader.peek() == "["
            reader.value("")
            reader.end()
            what = "the rows must stand under 'instances'" if is_list else "the body must be an object"
            raise refusal("", "wrong_shape", f"{what}: {self._right_records}")
        for key in reader.members():
            keys.append(key)
            if key == "instances":
                parts.rows = self._instances(reader, findings, max_rows, pause)
            elif key == "data":
                parts.data = self._data(reader, findings, max_rows, pause)
            elif key == "columns":
                parts.columns = reader.value("/columns")
            elif key == "outputs":
                parts.outputs = reader.value("/outputs")
            else:
                reader.value("")
                if len(keys) > MOST_UNKNOWN_MEMBERS:
                    raise refusal("", "wrong_shape", shape_detail(self._contract, keys))
        reader.end()
        if findings.refusal is not None:
            raise findings.refusal
        return parts, keys

    def _instances(self, reader: JsonReader, findings: Findings, max_rows: int, pause: Pause) -> list[list[Cell]]:
        rows: list[list[Cell]] = []
        if reader.peek() != "[":
            reader.value("/instances")
            findings.refuse_later("/instances", "wrong_shape", f"'instances' must be a list of records: {self._right_records}")
            return rows
        index = -1
        for index in reader.elements():
            _check_rows(index, max_rows, "/instances", findings)
            pause()
            pointer = f"/instances/{index}"
            record = reader.value(pointer)
            if type(record) is not dict:
                findings.refuse_later(
                    pointer, "wrong_shape", f"a row under 'instances' must be an object with the fields' names: {self._right_records}"
                )
            elif findings.refusal is None:
                rows.append(self._record(record, pointer, findings))
        if index < 0:
            findings.refuse_later("/instances", "empty", "'instances' must hold at least one row")
        return rows

    def _record(self, record: dict[str, Any], pointer: str, findings: Findings) -> list[Cell]:
        row: list[Cell] = []
        present = 0
        for field in self._plan:
            if field.name not in record:
                if field.required:
                    findings.add(f"{pointer}/{field.escaped}", field.missing)
                row.append(field.default)
                continue
            present += 1
            cell = field.check(record[field.name])
            if type(cell) is Fault:
                findings.add(f"{pointer}/{field.escaped}", cell)
            else:
                row.append(cell)  # type: ignore[arg-type]  # not a Fault, seen above
        if present != len(record):
            self._unknown_fields(record, pointer, findings)
        return row

    def _unknown_fields(self, record: dict[str, Any], pointer: str, findings: Findings) -> None:
        names = self._contract.names
        for name in record:
            if name not in self._known_names or name in MEMBERS:
                detail = f"is no field of {self._contract.model} {self._contract.api_version}" if findings.listing else ""
                if findings.suggesting:
                    detail += close_name(name, names)
                findings.add(pointer_to(pointer, name), Fault("unknown_field", detail))

    def _data(self, reader: JsonReader, findings: Findings, max_rows: int, pause: Pause) -> list[list[Any] | None]:
        rows: list[list[Any] | None] = []
        if reader.peek() != "[":
            reader.value("/data")
            findings.refuse_later("/data", "wrong_shape", f"'data' must be a list of lists: {self._right_columns}")
            return rows
        index = -1
        for index in reader.elements():
            _check_rows(index, max_rows, "/data", findings)
            pause()
            pointer = f"/data/{index}"
            row = reader.value(pointer)
            if type(row) is not list:
                findings.refuse_later(pointer, "wrong_shape", f"a row under 'data' must be a list of values: {self._right_columns}")
            elif len(row) > len(self._plan):
                findings.add(pointer, Fault("wrong_length", "must have one value for each column", {"maximum": len(self._plan)}))
                rows.append(None)
            elif findings.refusal is None:
                rows.append(row)
        if index < 0:
            findings.refuse_later("/data", "empty", "'data' must hold at least one row")
        return rows

    def _check_shape(self, parts: _Parts, keys: Sequence[str], findings: Findings) -> None:
        records, columns, data = "instances" in keys, "columns" in keys, "data" in keys
        if records and (columns or data):
            raise refusal("", "wrong_shape", "send either 'instances' or 'columns' with 'data', not both")
        if not records and not columns and not data:
            raise refusal("", "wrong_shape", shape_detail(self._contract, keys))
        for name, given in (("columns", columns), ("data", data)):
            if not records and not given:
                raise refusal(f"/{name}", "missing_field", f"'{name}' is missing: {self._right_columns}")
        for key in keys:
            if key not in MEMBERS:
                advice = (
                    "; in pandas write to_json(orient='split', index=False)"
                    if key == "index" and columns
                    else close_name(key, MEMBERS)
                    if findings.suggesting
                    else ""
                )
                findings.add(pointer_to("", key), Fault("unknown_field", f"is no member of a prediction body{advice}"))

    def _outputs(self, written: Any, given: bool, findings: Findings) -> tuple[str, ...]:
        returns = self._contract.output.returns
        if not given:
            return returns
        facts = {"allowed": list(returns)}
        if type(written) is not list:
            findings.add("/outputs", Fault("wrong_type", "must be a list of names", facts))
            return returns
        if not written:
            findings.add("/outputs", Fault("empty", "must hold at least one name; leave it out to get all", facts))
        for index, name in enumerate(written):
            if type(name) is not str or name not in returns:
                findings.add(f"/outputs/{index}", Fault("unknown_output", f"must be one of {', '.join(returns)}", facts))
        return tuple(name for name in returns if name in written)


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    escaped: str
    check: CellCheck
    required: bool
    default: Cell
    missing: Fault


def _check_rows(index: int, max_rows: int, pointer: str, findings: Findings) -> None:
    if index >= max_rows:
        detail = f"must hold at most {max_rows} rows; split them over several calls"
        raise findings.refusal or refusal(pointer, "too_many_rows", detail, {"maximum": max_rows})

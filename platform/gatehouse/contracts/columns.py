"""Checks the columns shape: names in any order against the contract, then every cell of the data."""

from typing import Any

from gatehouse.contracts.bodies import columns_line
from gatehouse.contracts.cells import Cell, CellCheck, Fault
from gatehouse.contracts.contract import Contract
from gatehouse.contracts.findings import Findings, refusal
from gatehouse.contracts.names import close_name
from gatehouse.contracts.pause import Pause


class ColumnCheck:
    """Names and cells to rows in contract order."""

    def __init__(self, contract: Contract, checks: tuple[CellCheck, ...]) -> None:
        self._contract = contract
        self._checks = checks
        self._index = {name: index for index, name in enumerate(contract.names)}

    def rows(self, columns: Any, data: list[list[Any] | None], findings: Findings, pause: Pause) -> list[list[Cell]]:
        """Checked rows, of no use when something was found. A row of None was found wrong before. Uses `data` up.

        Raises InvalidInput when the columns are wrong, because nothing can be said of cells then.
        """
        if type(columns) is not list:
            raise refusal("/columns", "wrong_type", f"'columns' must be a list of names: send {columns_line(self._contract)}")
        before = findings.count
        order = self._order(columns, findings)
        if findings.count != before:
            findings.end()
        template: list[Cell] = [feature.default for feature in self._contract.features]
        checks = [self._checks[index] for index in order]
        rows: list[list[Cell]] = []
        for number, cells in enumerate(data):
            data[number] = None  # let go of on the way: a hundred thousand lists at once take long to free
            pause()
            if cells is None:
                continue
            if len(cells) != len(order):
                findings.add(
                    f"/data/{number}",
                    Fault("wrong_length", f"must have {len(order)} values, one for each column", {"expected": len(order)}),
                )
                continue
            row = template.copy()
            for position, cell in enumerate(cells):
                checked = checks[position](cell)
                if type(checked) is Fault:
                    findings.add(f"/data/{number}/{position}", checked)
                else:
                    row[order[position]] = checked  # type: ignore[assignment]  # not a Fault, seen above
            rows.append(row)
        return rows

    def _order(self, columns: list[Any], findings: Findings) -> list[int]:
        order: list[int] = []
        seen: set[str] = set()
        if not columns:
            findings.add("/columns", Fault("empty", "must name at least one field"))
        for position, name in enumerate(columns):
            pointer = f"/columns/{position}"
            if type(name) is not str:
                findings.add(pointer, Fault("wrong_type", "must be the name of a field, in double quotes"))
            elif name not in self._index:
                detail = f"is no field of {self._contract.model} {self._contract.api_version}" if findings.listing else ""
                findings.add(pointer, Fault("unknown_field", detail + (close_name(name, self._index) if findings.suggesting else "")))
            elif name in seen:
                findings.add(pointer, Fault("duplicate_column", "stands twice in 'columns'", {"field": name}))
            else:
                seen.add(name)
                order.append(self._index[name])
        for feature in self._contract.features:
            if feature.required and feature.name not in seen:
                findings.add("/columns", Fault("missing_field", f"lacks the column '{feature.name}'", {"field": feature.name}))
        return order

"""Right bodies made from a contract's own examples, and the words for wrong ones that people will send."""

import json
from collections.abc import Collection
from typing import Any

from gatehouse.contracts.contract import Contract

MOST_FIELDS_SHOWN = 8


def example_request(contract: Contract) -> dict[str, Any]:
    """A body in the records shape that is valid as it stands."""
    return {"instances": [{feature.name: feature.example for feature in contract.features}]}


def example_columns_request(contract: Contract) -> dict[str, Any]:
    """A body in the columns shape that is valid as it stands."""
    return {"columns": list(contract.names), "data": [[feature.example for feature in contract.features]]}


def records_line(contract: Contract) -> str:
    """The records shape in one line; of a wide contract only the first fields."""
    shown = contract.features[:MOST_FIELDS_SHOWN]
    members = [f"{_json(feature.name)}: {_json(feature.example)}" for feature in shown]
    return '{"instances": [{' + ", ".join(members + _rest(contract)) + "}]}"


def columns_line(contract: Contract) -> str:
    """The columns shape in one line; of a wide contract only the first fields."""
    shown = contract.features[:MOST_FIELDS_SHOWN]
    names = ", ".join([_json(feature.name) for feature in shown] + _rest(contract))
    values = ", ".join([_json(feature.example) for feature in shown] + _rest(contract))
    return f'{{"columns": [{names}], "data": [[{values}]]}}'


def shape_detail(contract: Contract, keys: Collection[str]) -> str:
    """What to say of an object that has neither `instances` nor `columns` and `data`."""
    right = f"send {records_line(contract)}"
    if any(name in keys for name in contract.names):
        return f"a record must stand in a list under 'instances': {right}"
    for foreign in ("features", "inputs", "dataframe_split", "dataframe_records", "rows", "input", "X"):
        if foreign in keys:
            return f"this service does not take '{foreign}': {right}"
    return f"the rows must stand under 'instances': {right}"


def _rest(contract: Contract) -> list[str]:
    return ["…"] if len(contract.features) > MOST_FIELDS_SHOWN else []


def _json(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else '"…"'

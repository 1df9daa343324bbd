"""The rows of a prediction: read by the contract of the endpoint, and made what the version that answers takes."""

from dataclasses import dataclass

from msgspec.structs import replace

from gatehouse.api.body import whole_body
from gatehouse.contracts.contract import Contract
from gatehouse.contracts.decode import Decoded, Decoder
from gatehouse.contracts.pause import Pause, no_pause
from gatehouse.contracts.upgrade import Upgrade
from gatehouse.contracts.upgrade_steps import upgraded_values


@dataclass(frozen=True, slots=True)
class CompiledContract:
    """A contract and what was made of it once. `upgrade`: its rows are answered by a model of a later API version."""

    contract: Contract
    decoder: Decoder
    upgrade: Upgrade | None = None


def read_rows(contract: CompiledContract, own: CompiledContract, body: bytes, max_rows: int) -> Decoded:
    """What the stable contract accepts, as columns of the version's own. Raises InvalidJson, InvalidInput."""
    rows = contract.decoder.decode(body, max_rows)
    if own.upgrade is not None:
        return upgraded(own.upgrade, rows)
    if own is contract or own.contract.digest == contract.contract.digest:
        return rows
    # a canary whose contract has grown: it takes all that the stable one takes, and fills in its own new fields
    return replace(rows, values=own.decoder.decode(body, max_rows).values)


def read_rows_in_steps(contract: CompiledContract, own: CompiledContract, parts: list[bytes], max_rows: int, pause: Pause) -> Decoded:
    """The same of a large body."""
    body = whole_body(parts, contract.decoder.longest_blank, pause)
    rows = contract.decoder.decode_in_steps(body, max_rows, pause)
    if own.upgrade is not None:
        return upgraded(own.upgrade, rows, pause)
    if own.contract.digest == contract.contract.digest:
        return rows
    return replace(rows, values=own.decoder.decode_in_steps(body, max_rows, pause).values)


def upgraded(upgrade: Upgrade, rows: Decoded, pause: Pause = no_pause) -> Decoded:
    """Rows of a bridged endpoint as those of its successor, whose model answers them. Raises InvalidInput."""
    return replace(rows, values=upgraded_values(upgrade, rows.values, rows.columns, pause))

"""A whole body of an older contract made into one of the newer, ready to be sent: in the shape that it came in, number by number."""

from collections.abc import Iterator, Sequence
from math import copysign
from typing import Any

import msgspec

from gatehouse.contracts.cells import Cell
from gatehouse.contracts.decode import Decoded
from gatehouse.contracts.fast_decode import Matrix
from gatehouse.contracts.feature import EXACT_INTEGER_MAX
from gatehouse.contracts.findings import refusal
from gatehouse.contracts.pause import Pause, no_pause
from gatehouse.contracts.upgrade import Upgrade
from gatehouse.contracts.upgrade_columns import cells_of, columns_of
from gatehouse.contracts.upgrade_steps import STEP_CELLS, upgraded_values
from gatehouse.errors import BodyTooLarge


def upgraded_body(upgrade: Upgrade, sent: Decoded, most_bytes: int, pause: Pause = no_pause) -> list[bytes]:
    """JSON in parts, of which decoding by the newer contract makes just what `upgrade.columns` makes. `pause` is called between steps.

    Raises InvalidInput with pointers into the body that was sent, and BodyTooLarge where the new one could not be sent: a few bytes of
    optional fields and constants may become very many.
    """
    asked = upgraded_outputs(upgrade, sent.outputs) if sent.narrowed else None
    values = upgraded_values(upgrade, sent.values, sent.columns, pause)
    names = upgrade.sent
    if sent.columns is None:
        head = '{"instances":['
    else:
        names = names or upgrade.new.names  # no body in columns is without any
        head = f'{{"columns":{_json(names)},"data":['
    rest = "]}" if asked is None else f'],"outputs":{_json(asked)}}}'
    parts, size = [head.encode()], len(head) + len(rest)
    for part in _rows(upgrade, values, names, records=sent.columns is None):
        parts.append(part)
        size += len(part)
        if size > most_bytes:
            raise BodyTooLarge(
                f"The body for {upgrade.new.api_version} would have more than the {most_bytes} bytes that one call may have."
            )
        pause()
    return [*parts, rest.encode()]


def upgraded_outputs(upgrade: Upgrade, outputs: Sequence[str]) -> list[str]:
    """What to ask the newer contract for instead. Raises InvalidInput where it answers no such thing."""
    sources = {part["old"]: part["new"] for part in upgrade.answers.describe()} if upgrade.answers else {}
    returns, api_version = upgrade.new.output.returns, upgrade.new.api_version
    asked: dict[str, None] = {}
    for name in outputs:
        source = sources.get(name) or sources.get(None) or name
        if source not in returns:
            detail = f"'{name}' has no counterpart in {api_version}, which answers {', '.join(returns)}; leave outputs out to get all"
            raise refusal("/outputs", "unknown_output", detail, {"allowed": list(returns)})
        asked[source] = None
    return list(asked)


def _rows(upgrade: Upgrade, values: Matrix, names: Sequence[str], *, records: bool) -> Iterator[bytes]:
    features = upgrade.new.features
    places = [upgrade.new.names.index(name) for name in names]
    step = max(1, STEP_CELLS // len(features))
    for at in range(0, len(values), step):
        part = values[at : at + step]
        columns = columns_of(features, part)
        cells = [[_written(cell) for cell in cells_of(features[place], columns[place])] for place in places]
        rows: list[Any] = list(zip(*cells, strict=True)) if places else [()] * len(part)
        encoded = msgspec.json.encode([dict(zip(names, row, strict=True)) for row in rows] if records else rows)
        yield b"," + encoded[1:-1] if at else encoded[1:-1]


def _written(cell: Cell) -> Cell:
    """52 rather than 52.0; it is the same number to every reader. Not so -0.0 and what integers cannot say exactly."""
    if type(cell) is float and cell.is_integer() and abs(cell) < EXACT_INTEGER_MAX and (cell or copysign(1, cell) > 0):
        return int(cell)
    return cell


def _json(names: Sequence[str]) -> str:
    return msgspec.json.encode(names).decode()

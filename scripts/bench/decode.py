"""Decoding of bodies against json.loads with a pydantic model beside it, in turns in one run: python scripts/bench/decode.py"""

import json
import statistics
import time
from collections.abc import Callable
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, create_model

from gatehouse.contracts.contract import Contract, parse_contract
from gatehouse.contracts.decode import Decoder

ROUNDS = 7
SEED = 20260101


def main() -> None:
    print(f"{'case':<26}{'Gatehouse':>14}{'strict road':>14}{'json+pydantic':>16}{'json alone':>13}{'ratio':>9}")
    for title, width, rows, repeats in (("1 row x 4", 4, 1, 5_000), ("10,000 rows x 30", 30, 10_000, 1)):
        contract = number_contract(width)
        for shape, body in bodies(width, rows).items():
            compare(f"{title}, {shape}", contract, body, repeats)


def number_contract(width: int) -> Contract:
    """A regression contract of `width` bounded numbers."""
    head = 'format = 1\nmodel = "bench"\napi_version = "v1"\n[output]\ntask = "regression"\n'
    fields = (f'[features.measure_{index:02}]\ntype = "number"\nminimum = 0\nmaximum = 1000\nexample = 1.5\n' for index in range(width))
    return parse_contract((head + "".join(fields)).encode(), "bench")


def bodies(width: int, rows: int) -> dict[str, bytes]:
    """The same rows in both shapes."""
    names = [f"measure_{index:02}" for index in range(width)]
    data = np.random.default_rng(SEED).uniform(0, 1000, (rows, width)).round(3).tolist()
    records = {"instances": [dict(zip(names, row, strict=True)) for row in data]}
    return {"records": json.dumps(records).encode(), "columns": json.dumps({"columns": names, "data": data}).encode()}


def compare(title: str, contract: Contract, body: bytes, repeats: int) -> None:
    decoder = Decoder(contract)
    baseline = pydantic_baseline(contract)
    runs: dict[str, Callable[[], object]] = {
        "ours": lambda: decoder.decode(body, 100_000),
        "strict": lambda: decoder.decode_strictly(body, 100_000),
        "pydantic": lambda: baseline(body),
        "json": lambda: json.loads(body),
    }
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(ROUNDS):
        for name, run in runs.items():
            started = time.perf_counter()
            for _ in range(repeats):
                run()
            seconds[name].append((time.perf_counter() - started) / repeats)
    ours, strict, pydantic, plain = (statistics.median(taken) for taken in seconds.values())
    print(f"{title:<26}{shown(ours):>14}{shown(strict):>14}{shown(pydantic):>16}{shown(plain):>13}{pydantic / ours:>8.1f}x")


def pydantic_baseline(contract: Contract) -> Callable[[bytes], Any]:
    """json.loads, a strict pydantic model, then a matrix: what a service without a decoder of its own would do."""
    cell = Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)]
    strict = ConfigDict(extra="forbid", strict=True)
    fields: dict[str, Any] = dict.fromkeys(contract.names, (cell, ...))
    record: type[BaseModel] = create_model("Record", __config__=strict, **fields)
    body_fields: dict[str, Any] = {
        "instances": (list[record] | None, None),  # type: ignore[valid-type]
        "columns": (list[str] | None, None),
        "data": (list[list[cell]] | None, None),
    }
    model: Any = create_model("Body", __config__=strict, **body_fields)
    names = contract.names

    def decode(body: bytes) -> Any:
        parsed = model.model_validate(json.loads(body))
        if parsed.instances is None:
            return np.array(parsed.data, np.float64)
        return np.array([[getattr(row, name) for name in names] for row in parsed.instances], np.float64)

    return decode


def shown(seconds: float) -> str:
    return f"{seconds * 1e6:.1f} us" if seconds < 0.001 else f"{seconds * 1e3:.1f} ms"


if __name__ == "__main__":
    main()

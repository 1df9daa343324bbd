"""A CSV that nobody prepared goes from file to endpoint by the commands of docs/publish-your-model.md alone."""

import csv
import os
import random
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import joblib
import numpy as np
from documents import ROOT, blocks, run_block
from quick_start import Programs
from stage import wait_until

from gatehouse.server.run import bind

PAGE = ROOT / "docs" / "publish-your-model.md"
COLUMNS = ("Nights booked", "price per night", "room_type", "with breakfast", "member code", "outcome")


def rows() -> list[tuple[str, ...]]:
    """Bookings: numbers, texts that look like numbers or booleans, and empty cells."""
    dice = random.Random(11)
    made = []
    for _ in range(240):
        nights, price = dice.randint(1, 30), dice.choice(["", f"{dice.uniform(40, 900):.2f}"])
        room, breakfast = dice.choice(["double", "single", "Süite", ""]), dice.choice(["yes", "no"])
        code = dice.choice(["A1", "B2", "C3"])
        made.append((str(nights), price, room, breakfast, code, "cancelled" if nights > 20 and room != "single" else "kept"))
    return made


def test_a_strangers_csv_becomes_an_endpoint_by_documented_commands_only(tmp_path: Path, programs: Programs) -> None:
    with (tmp_path / "customers.csv").open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows()])
    programs.make_environment(tmp_path / ".venv")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GATEHOUSE_")}
    said = [run_block(text, tmp_path, environment) for text in blocks(PAGE, "sh")[1:]]
    [key] = {*re.findall(r"gate_\w+", "".join(said))}
    table = [[cell or None for cell in row[:-1]] for row in rows()]
    for row in table:
        row[:2] = [None if cell is None else float(cell) for cell in row[:2]]
    with served(tmp_path, environment) as url, httpx2.Client(base_url=url, headers={"authorization": f"Bearer {key}"}) as client:
        answer = client.post("/v1/models/customers/predict", json={"columns": COLUMNS[:-1], "data": table})
        assert answer.status_code == 200, answer.text
        again = client.post("/v1/models/customers/predict", json={"instances": [dict(zip(COLUMNS, row, strict=False)) for row in table]})
    predictions = answer.json()["predictions"]
    assert again.json()["predictions"] == predictions
    compare(tmp_path / "customers.joblib", table, predictions)


def compare(file: Path, table: list[list[Any]], predictions: list[dict[str, Any]]) -> None:
    """With scikit-learn called directly, NaN where a number is null."""
    model = joblib.load(file)
    values = np.array([[float("nan") if cell is None and place < 2 else cell for place, cell in enumerate(row)] for row in table], object)
    expected = model.predict_proba(values)
    assert [each["label"] for each in predictions] == model.predict(values).tolist()
    names = model.classes_.tolist()
    served_numbers = np.array([[each["probabilities"][name] for name in names] for each in predictions])
    assert np.abs(served_numbers - expected).max() <= 1.5e-4


@contextmanager
def served(folder: Path, environment: dict[str, str]) -> Iterator[str]:
    """`gatehouse serve` on the deployment that the commands made."""
    chosen = bind("127.0.0.1", 0)
    port = chosen.getsockname()[1]
    chosen.close()
    command = [str(Path(sys.executable).with_name("gatehouse")), "serve", "--port", str(port)]
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            wait_until(lambda: process.poll() is not None or ready(port), 60)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            assert process.wait(40) in (0, -signal.SIGTERM)


def ready(port: int) -> bool:
    try:
        return httpx2.get(f"http://127.0.0.1:{port}/health/ready", timeout=5).status_code == 200
    except httpx2.TransportError:
        return False

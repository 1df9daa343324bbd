"""A new user's first hour with `gatehouse dev`, against the process that really runs."""

import importlib.util
import json
import re
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from dev_server import GATEHOUSE, DevServer, dev_server
from stage import ROOT, wait_until

from gatehouse.contracts.contract import Contract, parse_contract

RECIPES = (("iris", "v1"), ("iris", "v2"), ("breast_cancer", "v1"), ("diabetes", "v1"))


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevServer]:
    with dev_server(tmp_path_factory.mktemp("dev")) as running:
        yield running


@pytest.fixture(scope="module")
def wide_key(dev: DevServer) -> str:
    """A key whose limits are no part of these tests."""
    rates = ("--requests", "100000/s", "--requests-burst", "100000", "--rows", "1000000/s", "--rows-burst", "1000000")
    dev.command("plans", "create", "wide", *rates, "--rows-per-month", "1000000000", "--rows-per-call", "10000")
    dev.command("tenants", "create", "tester", "--plan", "wide", "--models", "iris,breast_cancer,diabetes")
    made: dict[str, str] = json.loads(dev.command("keys", "create", "--tenant", "tester", "--json"))
    assert set(made) >= {"id", "key"}
    return made["key"]


def test_the_printed_line_works_as_pasted_and_is_metered(dev: DevServer) -> None:
    line = re.search(r"^curl .*$", dev.printed, re.MULTILINE)
    assert line, dev.printed
    answer = json.loads(subprocess.run(["bash", "-c", line[0]], capture_output=True, check=True).stdout)
    assert answer["predictions"][0]["label"] == "setosa"
    assert answer["model_version"] == "1.0.0"
    assert answer["request_id"]
    wait_until(lambda: "iris" in dev.command("usage", "show"), 30)


def test_each_step_is_a_line_with_its_seconds(dev: DevServer) -> None:
    lines = [line for line in dev.printed.splitlines() if re.search(r" \d+\.\d s$", line)]
    assert [line.split("  ")[0] for line in lines] == [
        "settings",
        "database",
        "publishing key",
        *(f"model {model} {api_version}" for model, api_version in RECIPES),
        "tenant demo",
        "key",
        "server",
    ]


def test_secrets_are_of_its_own_making_and_for_its_user_alone(dev: DevServer) -> None:
    file = Path(dev.environment["GATEHOUSE_STATE_DIR"]) / "settings.env"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "change-me" not in [line.split("=")[-1] for line in file.read_text().splitlines() if "SECRET" in line or "PEPPER" in line]
    for line in file.read_text().splitlines():
        assert "change-me" not in line or line.startswith("#")


def test_a_port_that_is_taken_is_said_in_one_line(dev: DevServer) -> None:
    done = subprocess.run(
        [GATEHOUSE, "dev", "--port", str(dev.port)], cwd=ROOT, env=dev.environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 1
    assert done.stderr.strip() == f"gatehouse: port {dev.port} is taken; stop what uses it or choose another one (--port, make run PORT=)"
    done = subprocess.run([GATEHOUSE, "serve"], cwd=ROOT, env=dev.environment, capture_output=True, text=True, timeout=120)
    assert (done.returncode, len(done.stderr.strip().splitlines())) == (1, 1)


def test_run_again_it_takes_what_is_there_and_says_how_to_make_a_key(tmp_path: Path, dev: DevServer) -> None:
    (tmp_path / ".gatehouse").symlink_to(dev.environment["GATEHOUSE_STATE_DIR"])
    with dev_server(tmp_path) as again:
        assert "keys create --tenant demo" in again.printed
        assert "gate_" not in again.printed
        assert "trained" not in again.printed
        answer = httpx2.get(f"{again.url}/account", headers={"authorization": f"Bearer {dev.key}"})
        assert answer.json()["tenant"] == "demo"


@pytest.mark.parametrize(("model", "api_version"), RECIPES)
@pytest.mark.parametrize("shape", ["records", "columns"])
def test_all_rows_of_the_data_set_are_answered_as_scikit_learn_answers_them(
    dev: DevServer, wide_key: str, model: str, api_version: str, shape: str
) -> None:
    recipe = _recipe(model)
    contract = parse_contract((ROOT / "models" / model / f"{api_version}.toml").read_bytes(), model)
    rows = np.asarray(recipe.data(api_version)[0], dtype=float)
    estimator = _trained(dev, recipe, api_version)
    with httpx2.Client(base_url=dev.url, headers={"authorization": f"Bearer {wide_key}"}, timeout=60) as client:
        path = f"/{api_version}/models/{model}/predict"
        batch = _predictions(client, path, _body(contract, rows, shape))
        singly = [_predictions(client, path, _body(contract, row[None, :], shape))[0] for row in rows]
    assert singly == batch
    _assert_equal(contract, estimator, rows, batch)


def _assert_equal(contract: Contract, estimator: Any, rows: Any, answers: list[dict[str, Any]]) -> None:
    unit = 10.0**-contract.output.decimals
    if contract.output.task == "regression":
        expected = estimator.predict(rows)
        assert (
            np.abs(np.array([answer["value"] for answer in answers]) - np.round(expected, contract.output.decimals)).max() <= 1.001 * unit
        )
        return
    names = {label.cls: label.name for label in contract.output.labels}
    assert [answer["label"] for answer in answers] == [names[cls] for cls in estimator.predict(rows).tolist()]
    expected = np.round(estimator.predict_proba(rows), contract.output.decimals)
    got = np.array([[answer["probabilities"][names[cls]] for cls in estimator.classes_.tolist()] for answer in answers])
    assert np.abs(got - expected).max() <= 1.001 * unit


def _body(contract: Contract, rows: Any, shape: str) -> dict[str, Any]:
    names = [feature.name for feature in contract.features]
    cells = [[int(value) if value == int(value) else value for value in row] for row in rows.tolist()]
    if shape == "columns":
        return {"columns": names, "data": cells}
    return {"instances": [dict(zip(names, row, strict=True)) for row in cells]}


def _predictions(client: httpx2.Client, path: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    answer = client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["predictions"]
    return found


_ESTIMATORS: dict[tuple[str, str], Any] = {}


def _trained(dev: DevServer, recipe: Any, api_version: str) -> Any:
    """Trained here once more: recipes are seeded, so it is the same estimator."""
    place = (recipe.__name__, api_version)
    if place not in _ESTIMATORS:
        _ESTIMATORS[place] = recipe.train(api_version)
    return _ESTIMATORS[place]


def _recipe(model: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"recipe_{model}", ROOT / "models" / model / "train.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

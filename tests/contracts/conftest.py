"""Two small contracts: four numbers, and one with every type, nullable and optional fields."""

from pathlib import Path

import pytest

from gatehouse.contracts.contract import Contract, parse_contract
from gatehouse.contracts.decode import Decoder

HERE = Path(__file__).parent


def _contract(name: str) -> Contract:
    file = HERE / f"{name}.toml"
    return parse_contract(file.read_bytes(), file.name)


@pytest.fixture(scope="session")
def flowers() -> Contract:
    return _contract("flowers")


@pytest.fixture(scope="session")
def visits() -> Contract:
    return _contract("visits")


@pytest.fixture(scope="session")
def sensors() -> Contract:
    """All numeric, with integer, boolean, nullable and optional fields."""
    return _contract("sensors")


@pytest.fixture(scope="session")
def flower_decoder(flowers: Contract) -> Decoder:
    return Decoder(flowers)


@pytest.fixture(scope="session")
def visit_decoder(visits: Contract) -> Decoder:
    return Decoder(visits)


@pytest.fixture(scope="session")
def sensor_decoder(sensors: Contract) -> Decoder:
    return Decoder(sensors)

"""A principal to limit."""

from dataclasses import replace
from typing import Any

import pytest

from gatehouse.principal import Plan, Principal, Rate, Scope

TRIAL = Plan("trial", Rate(5, 1, 20), Rate(1000, 1, 1000), 10_000, "hard", 1000, 1024 * 1024)


@pytest.fixture
def trial() -> Plan:
    return TRIAL


@pytest.fixture
def make_principal() -> Any:
    def make(plan: Plan = TRIAL, key_id: str = "key1", **more: Any) -> Principal:
        principal = Principal("tenant1", "acme", key_id, frozenset({Scope.PREDICTIONS_CREATE}), plan)
        return replace(principal, **more)

    return make

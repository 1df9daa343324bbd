"""Generated calls of every route of the OpenAPI document: none gets a 5xx, and none an answer that the document does not know."""

from collections import Counter
from typing import Any

import pytest
import schemathesis
from access_table import Access, access_table
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from world import ON_SQLITE, World

CHECKS = [
    schemathesis.checks.not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
]
CALLERS = {"key": 5, "admin": 3, "operator": 1, "operator's key": 2}
"""In this order, since operators may end what the others call; with how many calls of each operation an ordinary run makes."""
MANY = 100
TABLE = {str(access): access for access in access_table()}
SLOW = frozenset({"/login", "/login/accept"})
"""Each call costs what a password's hash does."""
OPERATORS = "/admin"


class Probe:
    """Generated calls of one deployment by one caller."""

    def __init__(self, world: World, caller: str, examples: int, *, anew: bool = False) -> None:
        self.world = world
        self.caller = caller
        self.examples = examples
        self.anew = anew
        self.answered: Counter[tuple[str, int]] = Counter()
        self.schema = schemathesis.openapi.from_dict(world.document)

    def run(self) -> None:
        """Call each operation; raises what schemathesis finds."""
        for found in self.schema.get_all_operations():
            self._probe(found.ok())

    def _probe(self, operation: Any) -> None:
        route = f"{operation.method.upper()} {operation.path}"
        bounds = settings(
            max_examples=self._examples(operation.path),
            deadline=None,
            database=None,
            derandomize=not self.anew,
            suppress_health_check=list(HealthCheck),
        )

        @bounds
        @given(case=operation.as_strategy() | operation.as_strategy(generation_mode=GenerationMode.NEGATIVE), there=st.booleans())
        def call(case: Any, there: bool) -> None:
            access = TABLE.get(route)
            if there and access is not None:
                self._aim(case, access)
            answer = case.call(base_url=self.world.live.base_url, headers=self._credential(access))
            case.validate_response(answer, checks=CHECKS)
            self.answered[operation.path, answer.status_code] += 1

        call()

    def _examples(self, path: str) -> int:
        if path in SLOW or (path.startswith(OPERATORS) and not self.caller.startswith("operator")):
            return 1
        return self.examples

    def _aim(self, case: Any, access: Access) -> None:
        """At something that is there, whatever its state."""
        case.path_parameters = self.world.calls.parameters(access, fresh=True)
        if access.method != "GET":
            case.headers["If-Match"] = "*"

    def _credential(self, access: Access | None) -> dict[str, str]:
        token = self.world.token(self.caller, access) if access else self.world.key_of(self.caller)
        return {"Authorization": f"Bearer {token}"}


def check(world: World, caller: str, examples: int, *, anew: bool = False) -> None:
    """Also that the calls went somewhere."""
    probe = Probe(world, caller, examples, anew=anew)
    probe.run()
    good = {path for path, status in probe.answered if status < 300}
    assert "/account" in good
    assert any(path.endswith("/predict") for path in good) == (caller == "key")
    assert ("/admin/tenants" in good) == caller.startswith("operator")


@ON_SQLITE
@pytest.mark.parametrize("caller", CALLERS)
def test_row_70_no_generated_call_gets_a_5xx_or_an_answer_that_the_document_does_not_know(world: World, caller: str) -> None:
    check(world, caller, CALLERS[caller])


@pytest.mark.soak
@pytest.mark.parametrize("caller", CALLERS)
def test_row_70_nor_does_any_of_many(world: World, caller: str) -> None:
    check(world, caller, MANY, anew=True)

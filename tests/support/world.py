"""Two tenants beside each other with everything that the table of docs/security.md calls, and a credential of each kind of caller."""

import secrets
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from access_table import ANSWERED, Access
from kept_state import kept_state
from sample_calls import SampleCall, SampleCalls, Things
from stage import IRIS_ROW, WIDE, Live, Stage, instances, key_id

from gatehouse.api.docs import ASSET_NAMES
from gatehouse.api.paths import GUIDE_PATH, PREDICTION_PATHS, TRANSLATION_PATH
from gatehouse.principal import OPERATOR_TENANT, TENANT_SCOPES, Scope

MINE, BESIDE = "matrix-mine", "matrix-beside"
"""Names that no sentence holds, so that they can be looked for in answers."""
LINE_ROWS = {"instances": [{"size": 1}]}
TENANT_OF = {
    "another's key": BESIDE,
    "key without": MINE,
    "key": MINE,
    "admin": MINE,
    "another's admin": BESIDE,
    "auditor": OPERATOR_TENANT,
    "operator": OPERATOR_TENANT,
    "later": OPERATOR_TENANT,
    "operator's key": OPERATOR_TENANT,
}
"""Of each caller of the table but nobody."""
LET_IN = ("key", "operator's key", "admin", "operator", "nobody")
"""In this order callers are asked for one who may call a route."""


class World:
    """A deployment with `MINE`, which may call iris, and `BESIDE`, which may call line."""

    def __init__(self, live: Live) -> None:
        self.live = live
        self.stage = live.stage
        self._keys = {MINE: self.stage.tenant(MINE, "iris"), BESIDE: self.stage.tenant(BESIDE, "line")}
        self._tokens = {
            "another's key": self.stage.key(BESIDE, scopes=TENANT_SCOPES),
            "key": self.stage.key(MINE, scopes=TENANT_SCOPES),
            "operator's key": self.stage.key(OPERATOR_TENANT, scopes=frozenset(Scope)),
        }
        self._without: dict[Scope, str] = {}
        self.calls = SampleCalls(self._document(), self._things())

    def _document(self) -> dict[str, Any]:
        document: dict[str, Any] = self.live.get("/openapi.json", self._tokens["operator's key"]).json()
        return document

    def token(self, caller: str, access: Access) -> str | None:
        """What this caller sends; None for nobody."""
        if caller == "key without":
            return self._lacking(access.scope)
        return None if caller == "nobody" else self._tokens[caller]

    def _lacking(self, scope: Scope | None) -> str:
        if scope not in TENANT_SCOPES:
            return self._tokens["key"]
        if scope not in self._without:
            self._without[scope] = self.stage.key(MINE, scopes=TENANT_SCOPES - {scope})
        return self._without[scope]

    def has(self, caller: str) -> bool:
        """Whether this kind of caller is there yet."""
        return caller in self._tokens or caller in ("nobody", "key without")

    def let_in(self, access: Access) -> str:
        """A caller who may call a route, with as much to say as there is."""
        return next(caller for caller in LET_IN if access.cells[caller] in ANSWERED and self.has(caller))

    def sample(self, access: Access, caller: str, **chosen: Any) -> SampleCall:
        """A valid call of a route by this caller: who calls its default model by its own rows."""
        call = self.calls.call(access, **chosen)
        if access.path == PREDICTION_PATHS[0] and TENANT_OF.get(caller) == BESIDE:
            return replace(call, body=LINE_ROWS)
        return call

    def send(self, call: SampleCall, token: str | None) -> httpx2.Response:
        """A call by whoever this token is of."""
        return self.live.client.request(**call.sent(token))

    def state(self) -> dict[str, list[Any]]:
        """What the deployment keeps now."""
        with self.stage.database.read() as session:
            return kept_state(session)

    def marks_beside(self, tenant: str) -> list[str]:
        """What an answer to this tenant may not hold: names and ids of the others."""
        return [mark for name, marks in self._marks().items() if name != tenant for mark in marks]

    def _marks(self) -> Mapping[str, list[str]]:
        marks = {name: [name, key_id(key)] for name, key in self._keys.items()}
        for caller, token in self._tokens.items():
            marks.setdefault(TENANT_OF[caller], []).append(key_id(token))
        return marks

    def _things(self) -> Things:
        return Things(
            parameters={
                "api_version": lambda: "v1",
                "older": lambda: "v1",
                "model": lambda: "iris",
                "code": lambda: "not_found",
                "assets/name": lambda: min(ASSET_NAMES),
                "key_id": lambda: key_id(self._keys[MINE]),
                "plan": lambda: "wide",
            },
            fresh={
                "key_id": lambda: key_id(self.stage.key(MINE)),
                "plan": lambda: self.stage.plan(replace(WIDE, name=_name())),
            },
            members={
                "name": _name,
                "scopes": lambda: [Scope.MODELS_READ],
                "model": lambda: "iris",
                "api_version": lambda: "v1",
                "rows_per_call": lambda: 7,
            },
            bodies={
                "POST /{api_version}/predict": lambda _: instances(IRIS_ROW),
                "POST /{api_version}/models/{model}/predict": lambda _: instances(IRIS_ROW),
                "POST /{api_version}/models/{model}/translate": lambda _: instances(IRIS_ROW),
                "POST /account/rehearse-brownout": lambda least: {**least, "minutes": 0},
            },
            elsewhere={path: {"api_version": lambda: "v2"} for path in (TRANSLATION_PATH, GUIDE_PATH)},
            queries={"POST /{api_version}/models/{model}/translate": {"from": "v1"}},
            forms={"POST /oauth/token": self._client, "POST /oauth/revoke": lambda: {**self._client(), "token": "a.b.c"}},
        )

    def _client(self) -> dict[str, str]:
        key = self._keys[MINE]
        return {"grant_type": "client_credentials", "client_id": key_id(key), "client_secret": key}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, published: Path, module_database_url: str) -> Iterator[World]:
    """One for a whole module, once on SQLite and once on PostgreSQL."""
    stage = Stage(tmp_path_factory.mktemp("world"), published, module_database_url, ("iris v1", "iris v2", "line v1"))
    with stage.serving(docs="open") as live:
        yield World(live)
    stage.close()


def _name() -> str:
    return f"made-{secrets.token_hex(6)}"

"""Two tenants beside each other with everything that the table of docs/security.md calls, and a credential of each kind of caller."""

import secrets
from collections.abc import Mapping
from typing import Any

from access_table import Access
from sample_calls import SampleCalls, Things
from stage import IRIS_ROW, Live, instances, key_id

from gatehouse.api.docs import ASSET_NAMES
from gatehouse.api.paths import GUIDE_PATH, TRANSLATION_PATH
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
            },
            fresh={"key_id": lambda: key_id(self.stage.key(MINE))},
            members={"name": _name, "scopes": lambda: [Scope.MODELS_READ], "model": lambda: "iris", "api_version": lambda: "v1"},
            bodies={
                "POST /{api_version}/predict": lambda _: instances(IRIS_ROW),
                "POST /{api_version}/models/{model}/predict": lambda _: instances(IRIS_ROW),
                "POST /{api_version}/models/{model}/translate": lambda _: instances(IRIS_ROW),
                "POST /account/rehearse-brownout": lambda least: {**least, "minutes": 0},
            },
            versions={path: {"api_version": "v2"} for path in (TRANSLATION_PATH, GUIDE_PATH)},
            queries={"POST /{api_version}/models/{model}/translate": {"from": "v1"}},
            forms={"POST /oauth/token": self._client, "POST /oauth/revoke": lambda: {**self._client(), "token": "a.b.c"}},
        )

    def _client(self) -> dict[str, str]:
        key = self._keys[MINE]
        return {"grant_type": "client_credentials", "client_id": key_id(key), "client_secret": key}


def _name() -> str:
    return f"made-{secrets.token_hex(6)}"

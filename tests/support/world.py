"""Two tenants beside each other with everything that the table of docs/security.md calls, and a credential of each kind of caller."""

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import httpx2
import pytest
from access_table import ANSWERED, Access
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from kept_state import kept_state
from logged_in import invited, logged_in
from sample_calls import SampleCall, SampleCalls, Things
from sqlmodel import update
from stage import ACTOR, IRIS_ROW, WIDE, Live, Stage, instances, key_id

from gatehouse.api.docs import ASSET_NAMES
from gatehouse.api.paths import GUIDE_PATH, PREDICTION_PATHS, TRANSLATION_PATH
from gatehouse.db.outbox import announce
from gatehouse.db.tables import NoticeTable
from gatehouse.errors import Refused
from gatehouse.identity.store import find_tenant
from gatehouse.identity.token_keys import lives_of, read_token_keys, retire_key_now
from gatehouse.middleware.people import LOGOUT
from gatehouse.notices.store import list_notices
from gatehouse.principal import OPERATOR_TENANT, TENANT_SCOPES, Role, Scope

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
IRIS = "/admin/endpoints/iris/v1"
ENDPOINT = "/admin/endpoints/{model}/{api_version}"
TOKEN_KEYS = "/admin/token-keys"
_STEPS = ("activate", "release", "promote", "rollback", "undeprecate", "retire", "bridge", "unbridge", "shadow", "unshadow")
STEPS = frozenset(f"{ENDPOINT}/{step}" for step in _STEPS)
"""What would end or change the endpoint that all others call: it is asked of one that is in no state for it, or is so already."""
ON_SQLITE = pytest.mark.parametrize("module_database_url", ["sqlite"], indirect=True)
"""Of what no database can make a difference to."""
ON_POSTGRESQL = pytest.mark.parametrize("module_database_url", ["postgresql"], indirect=True)
AT_LENGTH = pytest.mark.parametrize("module_database_url", ["sqlite", pytest.param("postgresql", marks=pytest.mark.soak)], indirect=True)
"""Of what takes long: on PostgreSQL in `make soak` alone."""
LATER_S = 400
PASSWORD = "correct horse battery 17"
HOOK = "https://127.0.0.1:9/hook"
"""On this machine, where nobody listens."""
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
        self._people = {
            "admin": logged_in(self.stage, "matrix-lead", Role.TENANT_ADMIN, MINE),
            "another's admin": logged_in(self.stage, "matrix-lead", Role.TENANT_ADMIN, BESIDE),
            "auditor": logged_in(self.stage, "matrix-auditor", Role.AUDITOR),
            "operator": logged_in(self.stage, "matrix-operator", Role.OPERATOR),
        }
        self._people["later"] = self._people["operator"]
        self._tokens |= {caller: self._person_token(caller) for caller in self._people}
        lacking = {scope: TENANT_SCOPES - {scope} for scope in TENANT_SCOPES}
        self._without: dict[Scope | None, str] = {scope: self.stage.key(MINE, scopes=others) for scope, others in lacking.items()}
        self._hours = count()
        self._operate(f"{IRIS}/deprecate", {"sunset": _day(60), "successor": "v2"})
        self._operate(f"{IRIS}/extensions", {"tenant": MINE, "until": _day(90)})
        self._window = self._brownout()
        self._told = self._target()
        self.document: dict[str, Any] = live.get("/openapi.json", self._tokens["operator's key"]).json()
        self.calls = SampleCalls(self.document, self._things())
        accepted = live.client.post("/login/accept", json={"code": self._code("matrix-member"), "password": PASSWORD})
        assert accepted.status_code == 204, accepted.text

    def key_of(self, caller: str) -> str:
        """Of a caller that sends a key."""
        return self._tokens[caller]

    def token(self, caller: str, access: Access) -> str | None:
        """What this caller sends; None for nobody."""
        if access.path == LOGOUT and caller in self._people:
            return self._person_token(caller)
        if caller == "key without":
            return self._without.get(access.scope, self._tokens["key"])
        return None if caller == "nobody" else self._tokens[caller]

    def _person_token(self, caller: str) -> str:
        return self._people[caller].token(self.live, LATER_S if caller == "later" else 0)

    def access_token(self, key: str, scope: Scope) -> str:
        """Got for a key, of one of its scopes."""
        token: str = self.live.client.post("/oauth/token", data={**self._client(key), "scope": scope.value}).json()["access_token"]
        return token

    def let_in(self, access: Access) -> str:
        """A caller who may call a route, with as much to say as there is."""
        return next(caller for caller in LET_IN if access.cells[caller] in ANSWERED)

    def sample(self, access: Access, caller: str, **chosen: Any) -> SampleCall:
        """A valid call of a route by this caller: who calls its default model by its own rows."""
        call = self.calls.call(access, **chosen)
        if access.path == PREDICTION_PATHS[0] and TENANT_OF.get(caller) == BESIDE:
            return replace(call, body=LINE_ROWS)
        return call

    def send(self, call: SampleCall, token: str | None) -> httpx2.Response:
        """A call by whoever this token is of."""
        return self.live.client.request(**call.sent(token))

    def routes(self) -> set[str]:
        """`METHOD /path` of every route of the app; HEAD is GET's."""
        dispatcher: Any = self.live.app._road
        while hasattr(dispatcher, "app"):
            dispatcher = dispatcher.app
        api = dispatcher._rest
        assert isinstance(api, FastAPI)
        routed = {f"{method} {context.path}" for context in iter_route_contexts(api.routes) for method in context.methods or ()}
        return {route for route in routed if not route.startswith("HEAD ")} | {f"POST {path}" for path in PREDICTION_PATHS}

    def state(self) -> dict[str, list[Any]]:
        """What the deployment keeps now."""
        with self.stage.database.read() as session:
            return kept_state(session)

    def marks_beside(self, tenant: str) -> list[str]:
        """What an answer to this tenant may not hold: names and ids of the others."""
        return [mark for name, marks in self._marks().items() if name != tenant for mark in marks]

    def _marks(self) -> Mapping[str, list[str]]:
        marks = {name: [name, key_id(key)] for name, key in self._keys.items()}
        for caller, person in self._people.items():
            marks.setdefault(TENANT_OF[caller], []).extend([person.id, person.name, person.tenant_id])
        for caller in ("another's key", "key", "operator's key"):
            marks[TENANT_OF[caller]].append(key_id(self._tokens[caller]))
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
                "tenant": lambda: MINE,
                "plan": lambda: "wide",
                "person": lambda: self._people["admin"].id,
                "row_id": lambda: "1",
                "old": lambda: "v1",
                "new": lambda: "v2",
                "brownout_id": lambda: self._window,
                "notice-targets/tenant": lambda: self._told,
                "notice_id": self._notice,
                "kid": lambda: read_token_keys(self.stage.database)[0].kid,
            },
            fresh={
                "key_id": lambda: key_id(self.stage.key(MINE)),
                "tenant": self._new_tenant,
                "extensions/tenant": self._extended,
                "person": lambda: logged_in(self.stage, _name(), Role.TENANT_ADMIN, MINE).id,
                "brownout_id": self._brownout,
                "notice-targets/tenant": self._target,
                "plan": lambda: self.stage.plan(replace(WIDE, name=_name())),
                "kid": self._token_key,
            },
            readied={f"POST {TOKEN_KEYS}/rotate": self._call_off_token_keys},
            elsewhere={
                **{path: {"api_version": lambda: "v2"} for path in (TRANSLATION_PATH, GUIDE_PATH)},
                "/admin/grants/{tenant}/{model}/{api_version}": {"api_version": lambda: "all"},
                **{step: {"model": lambda: "line"} for step in STEPS},
            },
            members={
                "name": _name,
                "tenant": lambda: MINE,
                "plan": lambda: "wide",
                "model": lambda: "iris",
                "api_version": lambda: "v1",
                "scopes": lambda: [Scope.MODELS_READ],
                "rows_per_call": lambda: 7,
                "key": lambda: self._keys[MINE],
                "password": lambda: PASSWORD,
                "code": self._code,
                "role": lambda: Role.AUDITOR,
                "to": lambda: "v2",
                "version": lambda: "1.0.0",
                "successor": lambda: "v2",
                "sunset": lambda: _day(60),
                "until": lambda: _day(90),
                "before": lambda: "2000-01-01",
                "starts_at": self._moment,
                "url": lambda: HOOK,
            },
            bodies=self._bodies(),
            queries={"POST /{api_version}/models/{model}/translate": {"from": "v1"}},
            forms={"POST /oauth/token": self._client, "POST /oauth/revoke": lambda: {**self._client(), "token": "a.b.c"}},
            files={
                "POST /admin/tenants/import": lambda: f"name\n{_name()}\n",
                "POST /admin/keys/import": lambda: f"tenant,name\n{MINE},{_name()}\n",
            },
        )

    def _bodies(self) -> dict[str, Callable[[dict[str, Any]], Any]]:
        predictions = {f"POST {path}": lambda _: instances(IRIS_ROW) for path in (*PREDICTION_PATHS, TRANSLATION_PATH)}
        return predictions | {
            "POST /account/rehearse-brownout": lambda least: {**least, "key_id": key_id(self._keys[MINE]), "minutes": 0},
            "PATCH /admin/people/{person}": lambda _: {"role": Role.TENANT_ADMIN},
            "POST /admin/notice-targets": lambda _: {"tenant": self._new_tenant(()), "url": HOOK},
            "POST /admin/keys/revoke-leaked": lambda _: {"key": self.stage.key(MINE)},
            "POST /login": lambda _: {"name": f"matrix-member@{MINE}", "password": PASSWORD},
        }

    def _new_tenant(self, models: Sequence[str] = ("iris",)) -> str:
        name = _name()
        self.stage.tenant(name, *models)
        return name

    def _extended(self) -> str:
        name = self._new_tenant()
        self._operate(f"{IRIS}/extensions", {"tenant": name, "until": _day(90)})
        return name

    def _brownout(self) -> str:
        planned: str = self._operate(f"{IRIS}/brownouts", {"starts_at": self._moment()})["id"]
        return planned

    def _moment(self) -> str:
        """Of a brownout that meets no other."""
        return f"{datetime.now(UTC) + timedelta(days=2, hours=next(self._hours)):%Y-%m-%dT%H:%M:%SZ}"

    def _target(self) -> str:
        """A tenant that is told by webhook, and may call nothing of which it could be told: no test looks up its host."""
        name = self._new_tenant(())
        self._operate("/admin/notice-targets", {"tenant": name, "url": HOOK})
        return name

    def _token_key(self) -> str:
        """One that is still to sign."""
        self._call_off_token_keys()
        made: str = self._operate(f"{TOKEN_KEYS}/rotate", None)["id"]
        return made

    def _call_off_token_keys(self) -> None:
        """Those that are still to sign never do, so that the next can be made at once."""
        now = datetime.now(UTC)
        for life in lives_of(read_token_keys(self.stage.database)):
            if life.state(now) == "next":
                with suppress(Refused):  # it has begun to sign since
                    retire_key_now(self.stage.database, ACTOR, life.key.kid, datetime.now(UTC))

    def _notice(self) -> str:
        """One that is delivered already: the server of a test sends nothing."""
        with self.stage.database.write() as session:
            tenant = find_tenant(session, self._told)
            assert tenant is not None
            announce(session, tenant.id, "endpoint.retired", _name(), "", {})
            session.execute(update(NoticeTable).values(due_at=None))
            return list_notices(session, tenant.id, 1)[0].id

    def _operate(self, path: str, body: Any) -> Any:
        answer = self.send(SampleCall("POST", path, body=body), self._tokens["operator's key"])
        assert answer.is_success, answer.text
        return answer.json()

    def _code(self, name: str = "") -> str:
        return invited(self.stage, name or _name(), Role.TENANT_ADMIN, MINE).code

    def _client(self, key: str = "") -> dict[str, str]:
        key = key or self._keys[MINE]
        return {"grant_type": "client_credentials", "client_id": key_id(key), "client_secret": key}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, published: Path, module_database_url: str) -> Iterator[World]:
    """One for a whole module, once on SQLite and once on PostgreSQL."""
    stage = Stage(tmp_path_factory.mktemp("world"), published, module_database_url, ("iris v1", "iris v2", "line v1"))
    with stage.serving(docs="open", notices_networks="127.0.0.0/8") as live:
        yield World(live)
    stage.close()


def _day(days: int) -> str:
    return f"{datetime.now(UTC).date() + timedelta(days=days)}"


def _name() -> str:
    return f"made-{secrets.token_hex(6)}"

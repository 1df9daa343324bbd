"""Everything but predictions: one FastAPI app of all routers, over what the composition root hands in."""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from fastapi import FastAPI

from gatehouse import __version__
from gatehouse.api.account import AccountSources, account_router
from gatehouse.api.account_limits import LimitSources, account_limits_router
from gatehouse.api.account_migration import Pairs, account_migration_router
from gatehouse.api.account_people import account_people_router
from gatehouse.api.account_people_changes import account_people_changes_router
from gatehouse.api.account_usage import account_usage_router
from gatehouse.api.admin.parts import AdminParts
from gatehouse.api.admin.routers import admin_routers
from gatehouse.api.documents import docs_router, pages_router
from gatehouse.api.health import health_router
from gatehouse.api.keys import keys_router
from gatehouse.api.login import LoginParts, login_router
from gatehouse.api.metrics import metrics_router
from gatehouse.api.migration_guide import guide_router
from gatehouse.api.models import models_router, summary_of
from gatehouse.api.openapi_document import DocumentedEndpoint, openapi_document
from gatehouse.api.openapi_scopes import needed_scopes
from gatehouse.api.openapi_shown import shown_to
from gatehouse.api.paths import OPTIONAL_CREDENTIAL_PATHS, PUBLIC_PATHS
from gatehouse.api.refusals import Render, handle_errors
from gatehouse.api.rehearsal import rehearsal_router
from gatehouse.api.revoke import revocation_router
from gatehouse.api.strict_router import add_routes
from gatehouse.api.throttle import Throttle
from gatehouse.api.token import token_router
from gatehouse.api.translate import Places, translation_router
from gatehouse.api.upgrades import Upgrades
from gatehouse.api.well_known import well_known_router
from gatehouse.contracts.contract import Contract
from gatehouse.contracts.openapi import describe, example_request, request_schema, response_schema
from gatehouse.contracts.upgrade import rules_from
from gatehouse.db.session import Database
from gatehouse.identity.key_store import find_key
from gatehouse.identity.keyring import TokenKeyring
from gatehouse.identity.peppers import Peppers
from gatehouse.identity.proof import Prover
from gatehouse.identity.revocation import revoke_token
from gatehouse.limits.overview import LimitLeft
from gatehouse.migration.endpoint import Endpoint
from gatehouse.migration.guide_calls import own_calls
from gatehouse.migration.lifecycle import Endpoints
from gatehouse.migration.report import MigrationReport
from gatehouse.migration.report_standing import Pair
from gatehouse.migration.report_store import read_report
from gatehouse.principal import Principal, Scope, Verified
from gatehouse.serving.registry import Registry
from gatehouse.serving.turns import Turns
from gatehouse.serving.workers import Workers
from gatehouse.settings import Settings
from gatehouse.usage.figures_store import read_usage


@dataclass(frozen=True, slots=True, kw_only=True)
class RestParts:
    """What the routes need of the rooms."""

    settings: Settings
    database: Database
    endpoints: Endpoints
    registry: Registry[Any]
    token_keys: TokenKeyring
    peppers: Peppers
    prover: Prover
    prove: Callable[[str, str], Verified]
    """A credential's text and the address that it came from. Raises CredentialInvalid, CredentialMalformed or RateLimited."""
    login: LoginParts
    places: Places
    workers: Workers
    turns: Turns
    limits_left: Callable[[Principal], list[LimitLeft]]
    rows_left: Callable[[Principal], int]
    now: Callable[[], datetime]
    draining: Callable[[], bool]
    exposition: Callable[[], bytes]
    """What `/metrics` says."""
    status: Callable[[], Mapping[str, Any]]
    """What `/admin/status` says."""
    check_restarted: Callable[[], None]
    """Raises Refused while a server runs that was started before the newest GATEHOUSE_SECRET_KEY was made."""
    render: Render
    lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]]


class Rest:
    """Builds the app, and answers what more than one router asks."""

    def __init__(self, parts: RestParts) -> None:
        self._parts = parts
        self.app = FastAPI(
            title="Gatehouse",
            version=__version__,
            docs_url=None,
            redoc_url=None,
            openapi_url=None,
            redirect_slashes=False,
            lifespan=parts.lifespan,
        )
        self._base_document = self.app.openapi
        throttle = Throttle()
        self._include_public()
        self._include_account(throttle)
        self._include_tokens(throttle)
        self._include_admin(throttle)
        handle_errors(self.app, throttle, parts.render)
        self._needed_scopes = needed_scopes(self.app.routes)

    def _include_public(self) -> None:
        parts, app = self._parts, self.app
        docs = parts.settings.docs != "off"
        add_routes(app, pages_router(parts.settings.base_url, docs=docs, contact=parts.settings.contact))
        add_routes(app, health_router(self._failures, parts.draining))
        add_routes(app, well_known_router(parts.settings.base_url, parts.token_keys.public_keys, docs=docs))
        if docs:
            add_routes(app, docs_router(self._document))

    def _include_account(self, throttle: Throttle) -> None:
        parts, app = self._parts, self.app
        per_minute = parts.settings.account_requests_per_minute
        add_routes(app, models_router(parts.endpoints, self._describe, self._summary, throttle, per_minute))
        upgrades = Upgrades(parts.endpoints, parts.registry)
        add_routes(app, guide_router(upgrades, self._own_calls, parts.settings.base_url, parts.now, throttle, per_minute))
        add_routes(app, translation_router(upgrades, parts.places, parts.workers, parts.turns, parts.settings, throttle, per_minute))
        sources = AccountSources(self._key_expires_at, parts.rows_left)
        add_routes(app, account_router(parts.endpoints, sources, self._summary, throttle, per_minute))
        limits = LimitSources(parts.limits_left, parts.rows_left, parts.now)
        add_routes(app, account_limits_router(limits, throttle, per_minute))
        add_routes(app, account_usage_router(partial(read_usage, parts.database), throttle, per_minute))
        add_routes(app, account_migration_router(parts.endpoints, self._reports, self._summary, throttle, per_minute))
        add_routes(app, keys_router(parts.database, parts.peppers.current, parts.prover, throttle, per_minute))
        add_routes(app, rehearsal_router(parts.database, parts.prover, throttle, per_minute))
        add_routes(app, metrics_router(parts.exposition, throttle))

    def _include_tokens(self, throttle: Throttle) -> None:
        parts, keyring = self._parts, self._parts.token_keys
        per_address = parts.settings.token_requests_per_minute
        add_routes(self.app, login_router(parts.login, throttle, per_address))
        add_routes(self.app, token_router(parts.prove, keyring.signer, throttle, per_address))
        revoke = partial(revoke_token, parts.database)
        add_routes(self.app, revocation_router(parts.prove, keyring.verify, revoke, throttle, per_address))

    def _include_admin(self, throttle: Throttle) -> None:
        parts = self._parts
        admin = AdminParts(
            database=parts.database,
            peppers=parts.peppers,
            prover=parts.prover,
            throttle=throttle,
            per_minute=parts.settings.account_requests_per_minute,
            now=parts.now,
            settings=parts.settings,
            status=parts.status,
            check_restarted=parts.check_restarted,
        )
        for router in (*admin_routers(admin), account_people_router(admin), account_people_changes_router(admin)):
            add_routes(self.app, router)

    def _failures(self) -> dict[str, str]:
        return {"/".join(name): reason for name, reason in self._parts.registry.failures.items()}

    def _key_expires_at(self, key_id: str) -> datetime | None:
        with self._parts.database.read() as session:
            stored = find_key(session, key_id)
        return stored.expires_at if stored else None

    def _describe(self, model: str, api_version: str) -> Mapping[str, Any] | None:
        release = self._parts.registry.release(model, api_version)
        return describe(release.contract.contract) if release else None

    def _summary(self, endpoint: Endpoint, principal: Principal) -> dict[str, Any]:
        answering = endpoint.bridged_to or endpoint.api_version
        release = self._parts.registry.release(endpoint.model, answering)  # where a release failed, what still answers
        version = release.stable if release else endpoint.stable_version
        return summary_of(endpoint, self._parts.settings.base_url, version, self._parts.now(), principal.tenant_id)

    def _own_calls(self, principal: Principal, model: str, old: str, new: str) -> dict[str, Any]:
        with self._parts.database.read() as session:
            return own_calls(session, model, old, new, principal.tenant_id, principal.key_id, self._parts.now())

    def _reports(self, pairs: Pairs, tenant_id: str, now: datetime) -> list[MigrationReport]:
        with self._parts.database.read() as session:
            return [read_report(session, Pair(old, new, self._has_rules(old, new)), now, tenant_id) for old, new in pairs]

    def _has_rules(self, old: Endpoint, new: Endpoint) -> bool | None:
        release = self._parts.registry.release(new.model, new.api_version)
        return rules_from(release.contract.contract, old.api_version) is not None if release else None

    def _document(self, principal: Principal | None) -> Mapping[str, Any]:
        registry, settings = self._parts.registry, self._parts.settings
        released = [(endpoint, registry.release(endpoint.model, endpoint.api_version)) for endpoint in self._shown(principal)]
        return openapi_document(
            base=shown_to(self._base_document(), principal, self._needed_scopes),
            endpoints=[documented(endpoint, found.contract.contract) for endpoint, found in released if found],
            base_url=settings.base_url,
            version=__version__,
            contact=settings.contact,
            public_paths=PUBLIC_PATHS | OPTIONAL_CREDENTIAL_PATHS | {"/errors/{code}"},
            shows_every_model=settings.docs == "open",
        )

    def _shown(self, principal: Principal | None) -> list[Endpoint]:
        """The endpoints that answer and whose contracts this caller may read."""
        if self._parts.settings.docs == "open":
            readable = self._parts.endpoints.all()
        elif principal and Scope.MODELS_READ in principal.scopes:
            readable = self._parts.endpoints.granted(principal)
        else:
            return []
        now, tenant_id = self._parts.now(), principal.tenant_id if principal else None
        return [endpoint for endpoint in readable if endpoint.state_at(now, tenant_id) != "retired"]


def documented(endpoint: Endpoint, contract: Contract) -> DocumentedEndpoint:
    """An endpoint as the OpenAPI document shows it."""
    return DocumentedEndpoint(
        model=endpoint.model,
        api_version=endpoint.api_version,
        request_schema=request_schema(contract),
        response_schema=response_schema(contract),
        example=example_request(contract),
        deprecated=endpoint.state == "deprecated",
    )

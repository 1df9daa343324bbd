"""The composition root: `create_app(settings)` puts every room in its place; the only module that knows them all."""

import asyncio
import logging
import os
import secrets
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as AsgiScope

from gatehouse.api.docs import ASSET_NAMES, ASSET_PREFIX
from gatehouse.api.keyless import page_without_key
from gatehouse.api.once import Once
from gatehouse.api.paths import OPTIONAL_CREDENTIAL_PATHS, PUBLIC_PATHS, is_translation, match_prediction
from gatehouse.api.predict import CompiledContract, Predict
from gatehouse.api.rest import Rest, RestParts
from gatehouse.call import SCOPE_KEY, Call
from gatehouse.contracts.contract import Contract, ContractInvalid, parse_contract
from gatehouse.contracts.decode import Decoder
from gatehouse.contracts.upgrade import bind_upgrade, rules_from
from gatehouse.contracts.upgrade_steps import INLINE_CELLS
from gatehouse.db.migrate import upgrade
from gatehouse.db.revision import EVERYTHING, Change
from gatehouse.db.session import GONE, Database, open_database, wait_until_reachable
from gatehouse.errors import (
    CredentialInvalid,
    CredentialMalformed,
)
from gatehouse.identity.key_store import StoredKey, StoredSecrets, find_key, find_secrets
from gatehouse.identity.keyring import TokenKeyring
from gatehouse.identity.peppers import Peppers
from gatehouse.identity.proof import SecretWrong
from gatehouse.identity.revocation import is_revoked
from gatehouse.identity.sealing import Seal, readable
from gatehouse.identity.service import Authenticator
from gatehouse.identity.token_keys import load_token_keys, read_token_keys
from gatehouse.identity.uses import KeyUses
from gatehouse.limits.concurrency import Concurrency
from gatehouse.limits.deployment_rates import DeploymentRates
from gatehouse.limits.failed_credentials import FailedCredentials
from gatehouse.limits.gate import Gate
from gatehouse.limits.idempotency import Idempotency
from gatehouse.limits.idempotency_key import Digester
from gatehouse.limits.idempotency_store import IdempotencyStore
from gatehouse.limits.keyed_calls import KeyedCalls
from gatehouse.limits.observed import Observed
from gatehouse.limits.overview import LimitLeft, limits_left
from gatehouse.limits.quota import QuotaBook
from gatehouse.limits.rate import MemoryRates
from gatehouse.limits.redis_lines import RedisLines
from gatehouse.limits.redis_rates import SCRIPT, RedisRates
from gatehouse.limits.standing import Standings
from gatehouse.limits.standing_store import StandingStore
from gatehouse.limits.store import QuotaStore
from gatehouse.limits.watch import Watch
from gatehouse.limits.wrong_secrets import WrongSecrets
from gatehouse.metrics.calls import CallCounts
from gatehouse.metrics.exposition import exposition
from gatehouse.metrics.family import Family
from gatehouse.metrics.publisher import Publisher, metrics_folder, server_name
from gatehouse.metrics.reading import Reading, families_of
from gatehouse.metrics.recent_store import RecentCalls
from gatehouse.middleware.admission import Access, Admission
from gatehouse.middleware.allowed_hosts import AllowedHosts
from gatehouse.middleware.body_limit import BodyLimit
from gatehouse.middleware.framing import Framing
from gatehouse.middleware.problems import Problems, problem_response
from gatehouse.middleware.recognition import Recognition
from gatehouse.middleware.refusal_pace import RefusalPace
from gatehouse.middleware.request_log import RequestLog
from gatehouse.middleware.security_headers import SecurityHeaders
from gatehouse.migration.announcing import Herald
from gatehouse.migration.lifecycle import Endpoints
from gatehouse.migration.release import CanaryShare
from gatehouse.migration.reminding import Reminding
from gatehouse.migration.sparing import Sparing
from gatehouse.notices.sender import Sender
from gatehouse.notices.store import DeliveryStore
from gatehouse.principal import Principal, Verified
from gatehouse.readings import (
    connection_readings,
    credential_readings,
    limit_readings,
    notice_readings,
    shadow_readings,
    usage_readings,
    work_readings,
)
from gatehouse.server.bridges import Bridges
from gatehouse.server.changes import ChangeFollower
from gatehouse.server.connections import ConnectionLimits, Connections
from gatehouse.server.former import FormerVersions
from gatehouse.server.joining import wait_until_counted
from gatehouse.server.loop_lag import LoopLag
from gatehouse.server.process import ProcessRow
from gatehouse.server.releases import Releases
from gatehouse.server.shadow_book import ShadowBook
from gatehouse.server.shadow_process import ShadowProcess
from gatehouse.server.shadows import Shadows
from gatehouse.server.standing import Standing, standing_text
from gatehouse.server.tending import Duty, Tender
from gatehouse.serving.batching import Batching
from gatehouse.serving.bridged_predictor import WayBack
from gatehouse.serving.registry import Registry
from gatehouse.serving.repository import Repository
from gatehouse.serving.trust import FollowedKeys
from gatehouse.serving.turns import Turns, share_evenly
from gatehouse.serving.workers import Workers
from gatehouse.settings import Settings
from gatehouse.usage.event import uuid7
from gatehouse.usage.meter import Meter
from gatehouse.usage.recorder import Recorder
from gatehouse.usage.retention import Retention
from gatehouse.usage.spool import LINE_BYTES, Bounds, Spool
from gatehouse.usage.sync import GroupSync

LOG = logging.getLogger("gatehouse.limits")
OTHER_BODY_BYTES = 16 * 1024
"""The cap of every body that is neither a prediction's nor to be translated into one."""
DATABASE_THREADS = 4
MIN_WORKERS = 5
"""So that a model gets two threads at a time, and one that is stuck, as small calls and as large ones, leaves some to the others."""
WAITING_IN_A_LANE = 64
RECALLS_EVERY_S = 0.2
STANDINGS_EVERY_S = 0.5
COUNT_SOFT_EVERY_S = 2.0
LOOP_WAIT_S = 10.0
RETURN_IDLE_QUOTA_S = 10.0
SETTLE_EXPIRED_EVERY_S = 60.0
PRUNE_CLAIMS_EVERY_S = 5.0
JUDGE_MOVES_EVERY_S = 0.5
"""Near a brownout: until it is known who has moved, it refuses nobody."""
REMIND_EVERY_S = 60.0


def create_app(settings: Settings, *, process_id: str | None = None) -> "Application":
    """The app that ships, with everything it needs opened, migrated, verified and loaded; threads start with its lifespan.

    Raises DatabaseUnreachable, DatabaseUrlInvalid, DatabaseTooNew, TokenKeyUnreadable, SignatureInvalid or OSError.
    """
    database = open_database(settings.database)
    wait_until_reachable(database, settings.database_wait_s)
    upgrade(database)
    return Application(settings, database, process_id or "prc_" + secrets.token_hex(10))


class Application:
    """The dispatcher inside its middleware, and what runs beside it."""

    def __init__(self, settings: Settings, database: Database, process_id: str) -> None:
        self.settings = settings
        self.database = database
        self.process_id = process_id
        self.follower = ChangeFollower(database)
        self.connections = Connections(connection_limits(settings))
        self.process = ProcessRow(database, process_id, self.follower.revision)
        self.threads = ThreadPoolExecutor(DATABASE_THREADS, thread_name_prefix="database")
        self.workers = Workers(max(MIN_WORKERS, os.cpu_count() or 1), WAITING_IN_A_LANE)
        self.turns = Turns()
        self.batching = Batching(self.workers)
        self._compose_identity()
        self._compose_idempotency()
        self._compose_limits()
        self._compose_serving()
        self._compose_shadows()
        self._compose_usage()
        self._compose_notices()
        self._compose_endings()
        self._compose_metrics()
        self._compose_road()

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        await self._road(scope, receive, send)

    @property
    def live_processes(self) -> int:
        """How many processes serve this deployment, as far as this one knows; at least 1."""
        return self.process.live

    def _compose_identity(self) -> None:
        self.seal = seal = Seal(
            *(secret.get_secret_value().encode() for secret in (self.settings.secret_key, self.settings.secret_key_before))
        )
        keys = load_token_keys(self.database, seal)
        self.token_keys = TokenKeyring(partial(read_token_keys, self.database), seal, self.settings.base_url, keys)
        self.peppers = Peppers(self.settings.key_peppers)
        self.key_uses = KeyUses(self.database)
        self.authenticator = Authenticator(
            self._find_secrets,
            self._find_key,
            self.peppers,
            self.token_keys,
            partial(is_revoked, self.database),
            self.key_uses,
            stale_after_s=self.settings.stale_identity_s,
        )

    def _compose_idempotency(self) -> None:
        calls = KeyedCalls()
        lease = timedelta(seconds=2 * self.settings.prediction_deadline_s + 60)  # longer than any call is under way
        store = IdempotencyStore(self.database, self.process_id, calls, lease)
        digester = Digester(*(secret.get_secret_value().encode() for secret in (self.settings.secret_key, self.settings.secret_key_before)))
        self.idempotency = Idempotency(store, calls, digester, self.threads, new_event_id)

    def _compose_limits(self) -> None:
        self.concurrency = Concurrency(
            self.settings.max_calls_at_once,
            self.settings.max_calls_at_once_per_tenant,
            waiting=self.settings.max_calls_waiting,
            wait_s=self.settings.waiting_deadline_s,
        )
        self.quota = QuotaBook(QuotaStore(self.database), self.process_id, lambda: self.live_processes, utc_now)
        self.rates = DeploymentRates(monotonic_us, lambda: self.live_processes, redis_rates(self.settings, self.process_id))
        self.process.on_count = self.rates.count
        store = StandingStore(self.database)
        self.standings, self.observed = Standings(store, utc_now), Observed(store, utc_now)
        self.tender = Tender(
            "quotas",
            "what calls hold of their quotas is spent from memory",
            [
                Duty(RECALLS_EVERY_S, self.quota.answer_recalls),
                Duty(STANDINGS_EVERY_S, self.standings.refresh),
                Duty(COUNT_SOFT_EVERY_S, self.quota.count_soft),
                Duty(RETURN_IDLE_QUOTA_S, self.quota.return_idle),
                Duty(RETURN_IDLE_QUOTA_S, self.observed.flush),
                Duty(SETTLE_EXPIRED_EVERY_S, self.quota.settle_expired),
                Duty(PRUNE_CLAIMS_EVERY_S, self.idempotency.prune),
            ],
        )
        self.watch = Watch(self.rates, self.standings, self.observed)
        self.gate = Gate(self.rates, self.concurrency, self.quota, self.threads, self.watch)
        self.failures = FailedCredentials(
            MemoryRates(monotonic_us), self.settings.failed_credentials_per_minute, lambda: self.live_processes
        )
        self.wrong_secrets = WrongSecrets()

    def _compose_serving(self) -> None:
        self.endpoints = Endpoints(self.settings.base_url, utc_now, has_guide=self._has_guide)
        trusted = FollowedKeys(self.settings.under_state(self.settings.trusted_keys_dir))
        repository = Repository(self.settings.under_state(self.settings.models_dir), trusted)
        self.registry = Registry(repository, compile_contract, memory_bytes=self.settings.model_memory_bytes)
        bridges = Bridges(self.registry, bind_contracts)
        share = CanaryShare(self.settings.secret_key.get_secret_value().encode())
        self.releases = Releases(self.database, self.endpoints, self.registry, bridges, share)
        self.former = FormerVersions(self.registry, bridges)
        self.releases.start(lazy=self.settings.load_models == "lazy")

    def _compose_shadows(self) -> None:
        folders = (self.settings.under_state(folder) for folder in (self.settings.models_dir, self.settings.trusted_keys_dir))
        self.shadow_book = ShadowBook(self.database)
        self.shadows = Shadows(self.endpoints, ShadowProcess(*folders), self.shadow_book)

    def _has_guide(self, model: str, old: str, new: str) -> bool:
        """Whether the newer contract, as it is released, has rules for rows of the older one."""
        release = self.registry.release(model, new)
        return release is not None and rules_from(release.contract.contract, old) is not None

    def _compose_usage(self) -> None:
        folder = self.settings.under_state(self.settings.spool_dir)
        bounds = Bounds(
            min_free_bytes=self.settings.spool_min_free_bytes,
            max_backlog_bytes=self.settings.spool_max_bytes,
            margin_bytes=self.settings.max_calls_at_once * LINE_BYTES,
        )
        self.spool = Spool.open(folder, self.process_id, bounds, durable=self.settings.usage_fsync)
        self.syncing = ThreadPoolExecutor(1, thread_name_prefix="usage-sync")
        retention = Retention(self.database, self.settings.usage_retention_days)
        self.recorder = Recorder(self.spool, self.database, self.quota.settle, retention)
        self.meter = Meter(self.spool, GroupSync(self.spool, self.syncing) if self.settings.usage_fsync else None)

    def _compose_notices(self) -> None:
        self.sender = Sender(DeliveryStore(self.database), partial(readable, self.seal), self.settings.target_networks)

    def _compose_endings(self) -> None:
        sparing = Sparing(self.database, self.endpoints, utc_now)
        reminding = Reminding(self.database, self.endpoints, Herald(self.settings.base_url, self._has_guide), utc_now)
        duties = [Duty(JUDGE_MOVES_EVERY_S, sparing.judge), Duty(REMIND_EVERY_S, reminding.remind)]
        self.endings = Tender("ends of endpoints", "brownouts spare whom they have spared before", duties)

    def _compose_metrics(self) -> None:
        self.calls = CallCounts()
        self.lag = LoopLag()
        folder, server = metrics_folder(self.settings.state_dir), server_name(self.settings.listen_port)
        self.metrics = Publisher(folder, server, self.process_id, self._families)
        self.process.beside = RecentCalls(self.process_id, self.calls.totals)
        self.process.says = self._standing

    def _compose_road(self) -> None:
        recognition = Recognition(self.authenticator, self._prove, self.failures, self.threads)
        predict = Predict(
            recognition=recognition,
            endpoints=self.endpoints,
            releases=self.releases,
            gate=self.gate,
            workers=self.workers,
            turns=self.turns,
            batching=self.batching,
            meter=self.meter,
            once=Once(self.idempotency, self.former, self.settings.prediction_deadline_s),
            shadows=self.shadows,
            deadline_s=self.settings.prediction_deadline_s,
        )
        base_url = self.settings.base_url
        # innermost first; a call goes through them from the last to the first
        road: ASGIApp = Dispatcher(predict, self._rest())
        road = BodyLimit(road, self._body_cap, self.settings.body_deadline_s, self.settings.max_body_bytes_at_once)
        road = Admission(
            road,
            match=match_prediction,
            access=access_of(self.settings),
            recognition=recognition,
            door=self.gate,
        )
        road = Framing(road, AllowedHosts(self.settings.host_names, self.settings.listen_port))
        road = self.pace = RefusalPace(road)
        road = Problems(road, base_url, self.meter.record_refused, partial(page_without_key, base_url))
        road = SecurityHeaders(road)
        self._road: ASGIApp = RequestLog(road, self.settings.trusted_networks, self.calls.count)

    def _rest(self) -> FastAPI:
        parts = RestParts(
            settings=self.settings,
            database=self.database,
            endpoints=self.endpoints,
            registry=self.registry,
            token_keys=self.token_keys,
            peppers=self.peppers,
            prover=self.authenticator.prover,
            prove=self._prove,
            workers=self.workers,
            turns=self.turns,
            limits_left=self._limits_left,
            rows_left=self._rows_left,
            now=utc_now,
            draining=lambda: self.connections.draining,
            exposition=lambda: exposition(self.metrics.families()),
            render=lambda call, problem: problem_response(call, problem, self.settings.base_url),
            lifespan=self._lifespan,
        )
        return Rest(parts).app

    @asynccontextmanager
    async def _lifespan(self, _api: FastAPI) -> AsyncIterator[None]:
        share_evenly()
        loop = self._loop = asyncio.get_running_loop()
        await self.rates.attach()
        await loop.run_in_executor(self.threads, self.process.start)
        self.follower.start(loop, self._changed)
        await loop.run_in_executor(self.threads, wait_until_counted, self.database, self.process_id)  # before the first call
        await self.rates.join()
        self.recorder.start()
        self.key_uses.start()
        self.tender.start()
        self.sender.start()
        self.endings.start()
        self.shadows.start()
        self.metrics.start()
        self.lag.start(loop)
        try:
            yield
        finally:
            await self.rates.close()
            await loop.run_in_executor(None, self.close)

    def close(self) -> None:
        """Stop what runs beside the app, once no call is under way: rows held ahead go back, usage goes into the database."""
        self.follower.stop()
        self.process.close()
        self.releases.close()
        self.former.close()
        self.tender.stop()
        self.sender.stop()
        self.endings.stop()
        self.shadows.close()
        self.quota.close()
        self._flush_observed()
        self.meter.close()
        self.syncing.shutdown()
        self.recorder.close()
        self.key_uses.close()
        self.workers.close()
        self.threads.shutdown()
        self.metrics.close()
        self.database.close()

    def _flush_observed(self) -> None:
        try:
            self.observed.flush()
        except GONE:
            LOG.warning("what observed limits would have refused since the last time was not written down")

    def _changed(self, changes: list[Change], revision: int) -> None:
        """On the event loop, after each poll of the revision."""
        if any(change == EVERYTHING or change.kind == "token_key" for change in changes):
            self.token_keys.outdate()  # first: whoever is proven anew is proven by the new ones
        self.authenticator.forget(changes)
        self.authenticator.confirm()
        self.releases.follow(changes)
        self.process.confirm(revision)  # last, when all of it holds

    def _find_secrets(self, key_id: str) -> StoredSecrets | None:
        with self.database.read() as session:
            return find_secrets(session, key_id)

    def _find_key(self, key_id: str) -> StoredKey | None:
        with self.database.read() as session:
            return find_key(session, key_id)

    def _prove(self, text: str, address: str) -> Verified:
        self.failures.check(address)  # right before the look-up: of a thousand guesses at once, those that waited find the limit reached
        try:
            return self.authenticator.look_up(text, address)
        except (CredentialInvalid, CredentialMalformed) as refusal:
            self.failures.count(address)
            if isinstance(refusal, SecretWrong):
                self.wrong_secrets.count(refusal.key_id, address, exists=refusal.exists)
            raise

    def _standing(self) -> str:
        standing = Standing(
            draining=self.connections.draining,
            usage_backlog_bytes=self.spool.backlog_bytes,
            usage_lost=self.meter.lost,
            no_room=self.spool.no_room,
            not_served={"/".join(name): reason for name, reason in self.registry.failures.items()},
        )
        return standing_text(standing)

    def _families(self) -> list[Family]:
        return [*self.calls.families(), *families_of(self._readings())]

    def _readings(self) -> list[Reading]:
        return [
            *credential_readings(self.authenticator, self.failures, self.wrong_secrets, self.meter),
            *limit_readings(lambda: self.live_processes, self.rates, self.quota, self.watch, self.observed, self.idempotency),
            *usage_readings(self.meter, self.spool),
            *notice_readings(self.sender),
            *shadow_readings(self.shadows, self.shadow_book),
            *connection_readings(self.connections),
            *work_readings(self.concurrency, self.batching, self.lag, lambda: self.pace.waiting),
        ]

    def _limits_left(self, principal: Principal) -> list[LimitLeft]:
        """In a route's thread; the rates belong to the event loop."""
        return asyncio.run_coroutine_threadsafe(limits_left(self.rates, principal), self._loop).result(LOOP_WAIT_S)

    def _rows_left(self, principal: Principal) -> int:
        return self.quota.left(principal.tenant_id, principal.plan)

    def _body_cap(self, call: Call) -> int:
        if call.principal is None or (call.route is None and not is_translation(call.path)):
            return OTHER_BODY_BYTES
        return min(self.settings.max_body_bytes, call.principal.plan.bytes_per_call)


class Dispatcher:
    """Prediction paths go to their endpoint, everything else (and the lifespan) to the FastAPI app."""

    def __init__(self, predict: ASGIApp, rest: ASGIApp) -> None:
        self._predict = predict
        self._rest = rest

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope[SCOPE_KEY].route is not None:
            await self._predict(scope, receive, send)
        else:
            await self._rest(scope, receive, send)


def utc_now() -> datetime:
    """The clock of quotas and sunsets."""
    return datetime.now(UTC)


def new_event_id() -> str:
    """Of a usage event that is settled before there is one."""
    return uuid7(time.time_ns() // 1_000_000, secrets.randbits)


def monotonic_us() -> int:
    """The clock of the rate limits."""
    return time.monotonic_ns() // 1000


def redis_rates(settings: Settings, process_id: str) -> RedisRates | None:
    """What decides on the rates of all processes; None where there is no Redis. Raises RedisUrlInvalid."""
    url = settings.redis_url.get_secret_value()
    return RedisRates(RedisLines(url, SCRIPT), process_id) if url else None


def connection_limits(settings: Settings) -> ConnectionLimits:
    """What connections may do."""
    return ConnectionLimits(
        settings.max_connections,
        settings.max_connections_per_address,
        settings.head_deadline_s,
        settings.idle_deadline_s,
        settings.trusted_networks,
    )


def compile_contract(source: bytes) -> tuple[CompiledContract, Contract]:
    """What the registry keeps of a contract. Raises ContractInvalid."""
    contract = parse_contract(source, "contract.toml")
    return CompiledContract(contract, Decoder(contract)), contract


def bind_contracts(old: CompiledContract, new: CompiledContract) -> tuple[CompiledContract, WayBack]:
    """What reads rows of the older contract and makes them rows of the newer one, and leads answers back. Raises ContractInvalid."""
    upgrade = bind_upgrade(old.contract, new.contract, "contract.toml")
    if upgrade.answers is None:
        raise ContractInvalid("contract.toml", [f"is one-way for {old.contract.api_version}: no answer goes back"])
    return CompiledContract(old.contract, Decoder(old.contract, INLINE_CELLS), upgrade), upgrade.answers


def access_of(settings: Settings) -> Access:
    """Which paths need no credential."""
    if settings.docs == "off":  # 404 to everyone, since they lead nowhere
        return Access(PUBLIC_PATHS | {"/docs", "/openapi.json"}, OPTIONAL_CREDENTIAL_PATHS)
    assets = {ASSET_PREFIX + name for name in ASSET_NAMES}
    return Access(PUBLIC_PATHS | assets | {"/docs"}, OPTIONAL_CREDENTIAL_PATHS | {"/openapi.json"})

"""The composition root: `create_app(settings)` puts every room in its place."""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Awaitable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as AsgiScope

from gatehouse.api.dispatcher import Dispatcher
from gatehouse.api.keyless import page_without_key
from gatehouse.api.once import Once
from gatehouse.api.paths import match_prediction
from gatehouse.api.predict import Predict
from gatehouse.api.rest import Rest, RestParts
from gatehouse.composition.clocks import utc_now
from gatehouse.composition.entrance import access_of, body_cap, connection_limits
from gatehouse.composition.identity import Identity
from gatehouse.composition.limits import Limits
from gatehouse.composition.metering import Metering
from gatehouse.composition.serving import Serving
from gatehouse.composition.status_facts import deployment_facts
from gatehouse.db.audit_chain import AuditKeyWrong, prove_newest
from gatehouse.db.audit_keys import AuditKeys
from gatehouse.db.migrate import upgrade
from gatehouse.db.revision import Change
from gatehouse.db.session import Database, open_database, wait_until_reachable
from gatehouse.identity.sealing import readable
from gatehouse.limits.overview import LimitLeft, limits_left
from gatehouse.metrics.calls import CallCounts
from gatehouse.metrics.exposition import exposition
from gatehouse.metrics.family import Family
from gatehouse.metrics.publisher import Publisher, metrics_folder, server_name
from gatehouse.metrics.reading import families_of
from gatehouse.metrics.recent_store import RecentCalls
from gatehouse.middleware.admission import Admission
from gatehouse.middleware.allowed_hosts import AllowedHosts
from gatehouse.middleware.body_limit import BodyLimit
from gatehouse.middleware.framing import Framing
from gatehouse.middleware.log_pace import LogPace
from gatehouse.middleware.problems import Problems, problem_response
from gatehouse.middleware.recognition import Recognition
from gatehouse.middleware.refusal_pace import RefusalPace
from gatehouse.middleware.refused_admin import RefusedAdmin
from gatehouse.middleware.request_log import RequestLog
from gatehouse.notices.sender import Sender
from gatehouse.notices.store import DeliveryStore
from gatehouse.principal import Principal
from gatehouse.readings import (
    audit_readings,
    connection_readings,
    credential_readings,
    limit_readings,
    notice_readings,
    shadow_readings,
    usage_readings,
    work_readings,
)
from gatehouse.server.audit_desk import AuditDesk
from gatehouse.server.changes import ChangeFollower
from gatehouse.server.connections import Connections
from gatehouse.server.joining import wait_until_counted
from gatehouse.server.loop_lag import LoopLag
from gatehouse.server.process import ProcessRow
from gatehouse.server.refusal_book import RefusalBook
from gatehouse.server.restarted import check_restarted
from gatehouse.server.standing import Standing, standing_text
from gatehouse.serving.batching import Batching
from gatehouse.serving.rounds import Rounds
from gatehouse.serving.turns import Turns, share_evenly
from gatehouse.serving.workers import Workers
from gatehouse.settings import Settings

DATABASE_THREADS = 4
MIN_WORKERS = 5
"""So that a model gets two threads at a time, and one that is stuck, as small calls and as large ones, leaves some to the others."""
WAITING_IN_A_LANE = 64
LOOP_WAIT_S = 10.0


def create_app(settings: Settings, *, process_id: str | None = None) -> "Application":
    """The app that ships, with everything it needs opened, migrated, verified and loaded; threads start with its lifespan.

    Raises DatabaseUnreachable, DatabaseUrlInvalid, DatabaseTooNew, AuditTrailUnfit, TokenKeyUnreadable, SignatureInvalid or OSError.
    """
    keys = AuditKeys(settings.audit_keys)
    database = open_database(settings.database, keys)
    wait_until_reachable(database, settings.database_wait_s)
    upgrade(database)
    try:
        with database.read() as session:
            prove_newest(session, keys)
    except AuditKeyWrong:
        database.close()
        raise
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
        self.rounds = Rounds()
        self.identity = Identity(settings, database, lambda: self.live_processes)
        self.limits = Limits(settings, database, process_id, self.threads, lambda: self.live_processes)
        self.process.on_count = self.limits.rates.count
        self.serving = Serving(settings, database)
        self.metering = Metering(settings, database, process_id, self.limits.quota)
        self.sender = Sender(DeliveryStore(database), partial(readable, self.identity.seal), settings.target_networks)
        self.refusals = RefusalBook(database)
        self.audit = AuditDesk(database, self.refusals)
        self._compose_metrics()
        self._compose_road()

    def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> Awaitable[None]:
        """Calls go down the road; the lifespan is FastAPI's."""
        return (self._road if scope["type"] == "http" else self._api)(scope, receive, send)

    @property
    def live_processes(self) -> int:
        """How many processes serve this deployment, as far as this one knows; at least 1."""
        return self.process.live

    def _compose_metrics(self) -> None:
        self.calls = CallCounts()
        self.lag = LoopLag()
        folder, server = metrics_folder(self.settings.state_dir), server_name(self.settings.listen_port)
        self.metrics = Publisher(folder, server, self.process_id, self._families)
        self.process.beside = RecentCalls(self.process_id, self.calls.totals)
        self.process.says = self._standing

    def _compose_road(self) -> None:
        settings, identity, limits, serving, meter = self.settings, self.identity, self.limits, self.serving, self.metering.meter
        recognition = Recognition(identity.authenticator, identity.prove, identity.failures, self.threads)
        predict = Predict(
            recognition=recognition,
            endpoints=serving.endpoints,
            releases=serving.releases,
            gate=limits.gate,
            workers=self.workers,
            turns=self.turns,
            batching=self.batching,
            rounds=self.rounds,
            meter=meter,
            once=Once(limits.idempotency, serving.former, settings.prediction_deadline_s),
            shadows=serving.shadows,
            deadline_s=settings.prediction_deadline_s,
        )
        # innermost first; a call goes through them from the last to the first
        self._api = self._rest()
        road: ASGIApp = Dispatcher(predict, self._api)
        road = BodyLimit(road, partial(body_cap, settings), settings.body_deadline_s, settings.max_body_bytes_at_once)
        road = Admission(road, match=match_prediction, access=access_of(settings), recognition=recognition, door=limits.gate)
        road = Framing(road, AllowedHosts(settings.host_names, settings.listen_port))
        road = self.pace = RefusalPace(road)
        road = Problems(road, settings.base_url, meter.record_refused, partial(page_without_key, settings.base_url))
        road = RefusedAdmin(road, self.refusals)
        self._road = RequestLog(road, LogPace(settings.log_answers_per_s), settings.trusted_networks, self.calls.count)

    def _rest(self) -> FastAPI:
        parts = RestParts(
            settings=self.settings,
            database=self.database,
            endpoints=self.serving.endpoints,
            registry=self.serving.registry,
            token_keys=self.identity.token_keys,
            peppers=self.identity.peppers,
            prover=self.identity.authenticator.prover,
            prove=self.identity.prove,
            login=self.identity.login_parts(),
            places=self.limits.gate,
            workers=self.workers,
            turns=self.turns,
            limits_left=self._limits_left,
            rows_left=lambda principal: self.limits.quota.left(principal.tenant_id, principal.plan),
            now=utc_now,
            draining=lambda: self.connections.draining,
            exposition=lambda: exposition(self.metrics.families()),
            status=lambda: deployment_facts(self.database, self.settings),
            check_restarted=partial(check_restarted, self.database, "GATEHOUSE_SECRET_KEY", "create"),
            render=lambda call, problem: problem_response(call, problem, self.settings.base_url),
            lifespan=self._lifespan,
        )
        return Rest(parts).app

    @asynccontextmanager
    async def _lifespan(self, _api: FastAPI) -> AsyncIterator[None]:
        share_evenly()
        loop = self._loop = asyncio.get_running_loop()
        rates = self.limits.rates
        await rates.attach()
        await loop.run_in_executor(self.threads, self.process.start)
        self.follower.start(loop, self._changed)
        await loop.run_in_executor(self.threads, wait_until_counted, self.database, self.process_id)  # before the first call
        await rates.join()
        self._start()
        self.lag.start(loop)
        try:
            yield
        finally:
            await rates.close()
            await loop.run_in_executor(None, self.close)

    def _start(self) -> None:
        self.metering.recorder.start()
        self.identity.uses.start()
        self.limits.tender.start()
        self.sender.start()
        self.audit.start()
        self.serving.start()
        self.metrics.start()

    def close(self) -> None:
        """Stop what runs beside the app, once no call is under way: rows held ahead go back, usage goes into the database."""
        self._road.close()
        self.follower.stop()
        self.process.close()
        self.limits.tender.stop()
        self.sender.stop()
        self.serving.close()
        self.limits.give_back()
        self.metering.close()
        self.identity.uses.close()
        self.workers.close()
        self.threads.shutdown()
        self.metrics.close()
        self.audit.close()
        self.database.close()

    def _changed(self, changes: list[Change], revision: int) -> None:
        """On the event loop, after each poll of the revision."""
        self.identity.forget(changes)
        self.serving.releases.follow(changes, partial(self.process.confirm, revision))  # last, when all of it holds

    def _standing(self) -> str:
        spool = self.metering.spool
        standing = Standing(
            draining=self.connections.draining,
            usage_backlog_bytes=spool.backlog_bytes,
            usage_lost=self.metering.meter.lost,
            no_room=spool.no_room,
            not_served={"/".join(name): reason for name, reason in self.serving.registry.failures.items()},
        )
        return standing_text(standing)

    def _families(self) -> list[Family]:
        identity, limits, metering, serving = self.identity, self.limits, self.metering, self.serving
        readings = [
            *credential_readings(identity.authenticator, identity.failures, identity.wrong_secrets, identity.failed_logins, metering.meter),
            *limit_readings(lambda: self.live_processes, limits.rates, limits.quota, limits.watch, limits.observed, limits.idempotency),
            *usage_readings(metering.meter, metering.spool),
            *notice_readings(self.sender),
            *audit_readings(self.audit),
            *shadow_readings(serving.shadows, serving.shadow_book),
            *connection_readings(self.connections),
            *work_readings(limits.concurrency, self.batching, self.rounds, self.lag, lambda: self.pace.waiting),
        ]
        return [*self.calls.families(), *families_of(readings)]

    def _limits_left(self, principal: Principal) -> list[LimitLeft]:
        """In a route's thread; the rates belong to the event loop."""
        return asyncio.run_coroutine_threadsafe(limits_left(self.limits.rates, principal), self._loop).result(LOOP_WAIT_S)

"""What a change of an endpoint by HTTP is made with: its state compared, who asks proven anew, its proofs bounded."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock

from fastapi import Request
from sqlmodel import Session

from gatehouse.api.admin.changing import guarded_database
from gatehouse.api.admin.endpoint_bodies import EndpointEntry, endpoint_entry
from gatehouse.api.admin.entity_tags import IF_MATCH, check_match, tag_of
from gatehouse.api.admin.parts import AdminParts
from gatehouse.api.principal import actor_of
from gatehouse.contracts.pause import Pause, no_pause
from gatehouse.db.audit import Actor
from gatehouse.db.session import Database
from gatehouse.errors import NotFound, Overloaded, PreconditionFailed, Refused
from gatehouse.migration.store import find_endpoint
from gatehouse.operating.desk import Desk
from gatehouse.principal import Principal

TURN_WAIT_S = 5.0
LONGEST_PROOF_S = 20.0
RETRY_AFTER_S = "5"


class Desks:
    """Hands out what changes are made with."""

    def __init__(self, parts: AdminParts, clock: Callable[[], float] = time.monotonic, turn_wait_s: float = TURN_WAIT_S) -> None:
        self._parts = parts
        self._clock = clock
        self._turn_wait_s = turn_wait_s
        self._proving = Lock()

    def desk(self, request: Request, principal: Principal, model: str, api_version: str, pause: Pause = no_pause) -> Desk:
        """For a change of an endpoint as the caller has seen it. Raises NotFound, PreconditionRequired, PreconditionFailed."""

        def shown(session: Session) -> EndpointEntry:
            return self.shown(session, model, api_version)

        with self._parts.database.read() as session:  # at once too, before anything long
            check_match(request, tag_of(shown(session)), demanded=True)
        return self.of(guarded_database(request, self._parts, shown), actor_of(request, principal), pause)

    def opening_desk(self, request: Request, principal: Principal, model: str, api_version: str, pause: Pause) -> Desk:
        """For an endpoint that is not there yet: while the change is made it still is not. Raises PreconditionFailed."""

        def check(session: Session, _caller: Principal) -> None:
            if find_endpoint(session, model, api_version) is not None:
                raise Refused(f"{model}/{api_version} was opened by somebody else meanwhile: look at it, then decide")
            if IF_MATCH in request.headers:  # nothing matches what is not there (RFC 9110 13.1.1)
                raise PreconditionFailed()

        with self._parts.database.read() as session:
            check(session, principal)
        return self.of(guarded_database(request, self._parts, may=check), actor_of(request, principal), pause)

    def shown(self, session: Session, model: str, api_version: str) -> EndpointEntry:
        """An endpoint as its GET shows it. Raises NotFound."""
        endpoint = find_endpoint(session, model, api_version)
        if endpoint is None:
            raise NotFound(reason="no_such_endpoint")
        return endpoint_entry(endpoint, self._parts.now())

    @contextmanager
    def proving(self) -> Iterator[Pause]:
        """Around what reads published versions and proves rules: one at a time in this process, each with an end.

        Raises Overloaded while others are at it; the pause raises Refused when the time is up.
        """
        if not self._proving.acquire(timeout=self._turn_wait_s):
            raise Overloaded("Other releases are being proved here.", headers=[("Retry-After", RETRY_AFTER_S)])
        until = self._clock() + LONGEST_PROOF_S

        def pause() -> None:
            if self._clock() > until:
                raise Refused(f"the proof took longer than the {LONGEST_PROOF_S:.0f} s of a call; a command has no such bound")

        try:
            yield pause
        finally:
            self._proving.release()

    def of(self, database: Database, actor: Actor, pause: Pause = no_pause) -> Desk:
        """Over a database that is guarded already."""
        return Desk(settings=self._parts.settings, database=database, actor=actor, pause=pause)

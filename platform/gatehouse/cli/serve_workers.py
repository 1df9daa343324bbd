"""`gatehouse serve --workers N`: N processes on one port, each with its own app, and what they share of the limits."""

import ctypes
import logging
import multiprocessing
import secrets
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess

import typer

from gatehouse.cli.serve import refused_starts, serve_settings
from gatehouse.db.migrate import upgrade
from gatehouse.db.session import GONE, Database, open_database, wait_until_reachable
from gatehouse.errors import Refused
from gatehouse.identity.plans import list_plans
from gatehouse.principal import Plan
from gatehouse.server.process import forget_process
from gatehouse.server.supervisor import Supervisor, announcing, end_with_parent, others_go_on
from gatehouse.settings import Settings

LOGGER = logging.getLogger("gatehouse.workers")


def serve_workers(settings: Settings, listener: socket.socket, workers: int) -> int:
    """Serve until a signal ends it; the exit code. Raises Refused."""
    with refused_starts(settings):
        database = open_database(settings.database)
        wait_until_reachable(database, settings.database_wait_s)
        upgrade(database)
        plans = list_plans(database)
        database.engine.dispose()
    if not settings.redis_url.get_secret_value():
        LOGGER.warning("each of %d workers takes 1/%d of every limit; with GATEHOUSE_REDIS_URL they share them whole", workers, workers)
        for line in touched(plans, workers):
            LOGGER.warning("%s", line)
    all_end = multiprocessing.get_context("spawn").RawValue(ctypes.c_bool, False)
    spawn = partial(_worker, settings, listener, all_end)
    return Supervisor(spawn, lambda: "prc_" + secrets.token_hex(10), partial(_forget, database), all_end).run(workers)


def touched(plans: Sequence[Plan], workers: int) -> Iterator[str]:
    """A line for each plan of which a share could never let in a call that the plan allows: such calls get 503."""
    for plan in plans:
        if plan.requests.burst < workers:
            yield f"plan {plan.name}: its burst of {plan.requests.burst} requests is too small for {workers} shares: all calls get 503"
        elif plan.rows.burst // workers < plan.rows_per_call:
            most = plan.rows.burst // workers
            yield f"plan {plan.name}: calls of more than {most} rows get 503 limit_share_too_small (the plan allows {plan.rows_per_call})"


def _worker(settings: Settings, listener: socket.socket, all_end: ctypes.c_bool, id: str, ready: Connection) -> SpawnProcess:
    return multiprocessing.get_context("spawn").Process(target=_serve, args=(settings, listener, all_end, id, ready), name=id)


def _serve(settings: Settings, listener: socket.socket, all_end: ctypes.c_bool, id: str, ready: Connection) -> None:
    from gatehouse.server.run import run

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the supervisor says what becomes of it
    end_with_parent()
    try:
        made = serve_settings(settings, id)
    except Refused as refusal:
        typer.echo(f"gatehouse: {refusal}", err=True)
        sys.exit(1)
    others_listen = partial(others_go_on, all_end)
    run(announcing(made.app, ready), made.app.connections, listener, made.grace_s, made.drain_s, others_listen)


def _forget(database: Database, id: str) -> None:
    try:
        forget_process(database, id)
    except GONE as error:
        LOGGER.warning("the row of worker %s stays until it is old (%s)", id, type(error).__name__)

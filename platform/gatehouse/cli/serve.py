"""`gatehouse serve`: the server of a deployment."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from gatehouse.cli.deployment import settings_or_refusal
from gatehouse.cli.one_line import cause_of
from gatehouse.cli.serve_metrics import metrics_served
from gatehouse.errors import Refused
from gatehouse.settings import Settings

if TYPE_CHECKING:
    from gatehouse.app import Application


MOST_WORKERS = 64


@dataclass(frozen=True, slots=True)
class Ready:
    """An app with all that it needs opened and loaded, how long its longest call can take and how long its end is announced."""

    app: "Application"
    grace_s: float
    drain_s: float

    def run(self, listener: socket.socket) -> None:
        """Serve until a signal ends it; calls that are under way are finished first."""
        from gatehouse.server.run import run

        run(self.app, self.app.connections, listener, self.grace_s, self.drain_s)


def worker_count(count: int) -> int:
    """The count, if so many processes can serve one port."""
    if not 1 <= count <= MOST_WORKERS:
        raise typer.BadParameter(f"{count} processes cannot serve; write 1 to {MOST_WORKERS}, usually one for each core")
    return count


def serve(
    host: Annotated[str | None, typer.Option("--host", help="Address to listen on; GATEHOUSE_LISTEN_HOST unless given.")] = None,
    port: Annotated[int | None, typer.Option("--port", min=1, max=65535, help="Port; GATEHOUSE_LISTEN_PORT unless given.")] = None,
    workers: Annotated[
        int, typer.Option("--workers", metavar="COUNT", callback=worker_count, help="Processes that serve the port together, 1 to 64.")
    ] = 1,
) -> None:
    """Serve the endpoints of this deployment until SIGTERM or Ctrl-C; calls that are under way are finished.

    Example: gatehouse serve --host 0.0.0.0 --port 8000 --workers 2
    """
    settings = settings_or_refusal()
    settings = settings.model_copy(update={"listen_host": host or settings.listen_host, "listen_port": port or settings.listen_port})
    listener = listen(settings)
    with metrics_served(settings):
        if workers > 1:
            from gatehouse.cli.serve_workers import serve_workers

            raise typer.Exit(serve_workers(settings, listener, workers))
        serve_settings(settings).run(listener)


def listen(settings: Settings) -> socket.socket:
    """The listening socket. Raises Refused."""
    from gatehouse.server.run import PortTaken, bind

    try:
        return bind(settings.listen_host, settings.listen_port)
    except PortTaken as error:
        raise Refused(str(error)) from None
    except OSError as error:
        raise Refused(f"cannot listen on {settings.listen_host}:{settings.listen_port}: {error.strerror}") from None


def longest_call_s(settings: Settings) -> float:
    """What the settings say; else body, decoding and scoring each have a deadline, and a little more is for the answer."""
    return settings.shutdown_deadline_s or settings.body_deadline_s + 2 * settings.prediction_deadline_s + 5


def serve_settings(settings: Settings, process_id: str | None = None) -> Ready:
    """Open, migrate, verify and load everything. Raises Refused, with one line that says what to do."""
    from gatehouse.app import create_app

    with refused_starts(settings):
        return Ready(create_app(settings, process_id=process_id), longest_call_s(settings), settings.drain_s)


@contextmanager
def refused_starts(settings: Settings) -> Iterator[None]:
    """Whatever keeps a deployment from being opened becomes Refused."""
    from gatehouse.db.audit_chain import AuditTrailUnfit
    from gatehouse.db.migrate import DatabaseTooNew
    from gatehouse.db.session import DatabaseUnreachable, DatabaseUrlInvalid
    from gatehouse.identity.sealing import TokenKeyUnreadable
    from gatehouse.limits.redis_lines import RedisUrlInvalid
    from gatehouse.middleware.request_log import configure_logging
    from gatehouse.serving.signing import PublishingKeyUnusable

    configure_logging(settings.log_format)
    try:
        yield
    except DatabaseUrlInvalid as error:
        raise Refused(f"GATEHOUSE_DATABASE_URL: {error}") from None
    except RedisUrlInvalid as error:
        raise Refused(f"GATEHOUSE_REDIS_URL: {error}") from None
    except (DatabaseUnreachable, DatabaseTooNew, AuditTrailUnfit, TokenKeyUnreadable, PublishingKeyUnusable) as error:
        raise Refused(str(error)) from None
    except OSError as error:
        raise Refused(f"{error.filename or 'the state folder'} cannot be used: {cause_of(error)}") from None

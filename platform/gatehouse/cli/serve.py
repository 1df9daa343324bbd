"""`gatehouse serve`: the server of a deployment."""

import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from gatehouse.cli.deployment import settings_or_refusal
from gatehouse.errors import Refused
from gatehouse.settings import Settings

if TYPE_CHECKING:
    from gatehouse.app import Application


@dataclass(frozen=True, slots=True)
class Ready:
    """An app with all that it needs opened and loaded, and how long its longest call can take."""

    app: "Application"
    grace_s: float

    def run(self, listener: socket.socket) -> None:
        """Serve until a signal ends it; calls that are under way are finished first."""
        from gatehouse.server.run import run

        run(self.app, self.app.connections, listener, self.grace_s)


def serve(
    host: Annotated[str | None, typer.Option("--host", help="Address to listen on; GATEHOUSE_LISTEN_HOST unless given.")] = None,
    port: Annotated[int | None, typer.Option("--port", min=1, max=65535, help="Port; GATEHOUSE_LISTEN_PORT unless given.")] = None,
) -> None:
    """Serve the endpoints of this deployment until SIGTERM or Ctrl-C; calls that are under way are finished.

    Example: gatehouse serve --host 0.0.0.0 --port 8000
    """
    settings = settings_or_refusal()
    settings = settings.model_copy(update={"listen_host": host or settings.listen_host, "listen_port": port or settings.listen_port})
    listener = listen(settings)
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
    """Body, decoding and scoring each have a deadline; a little more is for the answer."""
    return settings.body_deadline_s + 2 * settings.prediction_deadline_s + 5


def serve_settings(settings: Settings) -> Ready:
    """Open, migrate, verify and load everything. Raises Refused, with one line that says what to do."""
    from gatehouse.app import create_app
    from gatehouse.db.migrate import DatabaseTooNew
    from gatehouse.db.session import DatabaseUnreachable, DatabaseUrlInvalid
    from gatehouse.identity.sealing import TokenKeyUnreadable
    from gatehouse.middleware.request_log import configure_logging
    from gatehouse.serving.signing import PublishingKeyUnusable

    configure_logging(settings.log_format)
    try:
        return Ready(create_app(settings), longest_call_s(settings))
    except DatabaseUrlInvalid as error:
        raise Refused(f"GATEHOUSE_DATABASE_URL: {error}") from None
    except (DatabaseUnreachable, DatabaseTooNew, TokenKeyUnreadable, PublishingKeyUnusable) as error:
        raise Refused(str(error)) from None
    except OSError as error:
        raise Refused(f"{error.filename or 'the state folder'} cannot be used: {error.strerror}") from None

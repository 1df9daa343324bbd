"""uvicorn's connection, which also tells a waiting call that its caller has gone, without a byte of the body being asked for."""

from collections.abc import Callable

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gatehouse.call import CONNECTION_KEY


class Connection(HttpToolsProtocol):
    """One TCP connection; it serves one call at a time."""

    when_lost: Callable[[], None] | None = None
    """Called once, when the connection has ended. Whoever sets it takes it back."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope[CONNECTION_KEY] = self  # type: ignore[typeddict-unknown-key]  # an extension of ours

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self.when_lost is not None:
            self.when_lost()

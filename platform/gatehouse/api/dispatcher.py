"""Which of the two halves of the API answers a call."""

from collections.abc import Awaitable

from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as AsgiScope

from gatehouse.call import SCOPE_KEY


class Dispatcher:
    """Prediction paths go to their endpoint, everything else to the FastAPI app."""

    def __init__(self, predict: ASGIApp, rest: ASGIApp) -> None:
        self._predict = predict
        self._rest = rest

    def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> Awaitable[None]:
        return (self._rest if scope[SCOPE_KEY].route is None else self._predict)(scope, receive, send)

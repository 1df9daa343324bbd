"""Which of the two halves of the API answers a call."""

from collections.abc import Awaitable

from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as AsgiScope

from gatehouse.call import SCOPE_KEY


class Dispatcher:
    """Prediction paths go to their endpoint, everything else (and the lifespan) to the FastAPI app."""

    def __init__(self, predict: ASGIApp, rest: ASGIApp) -> None:
        self._predict = predict
        self._rest = rest

    def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> Awaitable[None]:
        predicts = scope["type"] == "http" and scope[SCOPE_KEY].route is not None
        return (self._predict if predicts else self._rest)(scope, receive, send)

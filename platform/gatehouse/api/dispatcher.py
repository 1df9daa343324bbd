"""Which of the two halves of the API answers a call."""

from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as AsgiScope

from gatehouse.call import SCOPE_KEY


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

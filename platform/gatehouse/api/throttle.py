"""slowapi, fenced: static limits by caller or by address, in memory alone, and no file or environment read.

It guards what the plan's limits do not: tokens, `/account`, the model pages and translations. It counts a call once the dependencies of its
route are solved: what must not be done for a call over its limit, such as reading a body, belongs into the route itself.
"""

import math
import time
from importlib.resources import as_file, files
from typing import Any

from fastapi import Request
from slowapi import Limiter

from gatehouse.api.principal import call_of
from gatehouse.errors import RateLimited
from gatehouse.limits.failed_credentials import network_of


class Throttle(Limiter):
    """A limiter in memory that takes its settings from nobody but its caller."""

    def __init__(self) -> None:
        # an existing, empty file: by default slowapi reads ./.env, and it warns of a file that is not there
        with as_file(files("gatehouse") / "py.typed") as empty:
            super().__init__(key_func=by_address, key_style="endpoint", headers_enabled=False, config_filename=str(empty))

    def get_app_config(self, key: str, default_value: Any = None) -> Any:
        """slowapi would look for RATELIMIT_… in the environment."""
        return default_value

    def refusal(self, request: Request) -> RateLimited:
        """The problem of a call over a limit; after Retry-After it passes."""
        item, key = request.state.view_rate_limit
        resets_at, _ = self.limiter.get_window_stats(item, *key)
        seconds = max(1, math.ceil(resets_at - time.time()))
        detail = f"At most {item.amount} calls a minute here. Send the call again after {seconds} s."
        return RateLimited(detail, reason="throttled", headers=[("Retry-After", str(seconds))])


def by_address(request: Request) -> str:
    """The caller's network."""
    return network_of(call_of(request).address) or "unknown"


def by_key(request: Request) -> str:
    """The id of the calling key or person."""
    principal = call_of(request).principal
    return principal.caller if principal else by_address(request)

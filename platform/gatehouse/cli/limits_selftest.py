"""`gatehouse limits selftest`: a burst at the live Redis, and whether it let in just what is allowed."""

import asyncio
import time
from dataclasses import asdict

import typer

from gatehouse.cli.deployment import settings_or_refusal
from gatehouse.cli.output import Json, print_json
from gatehouse.errors import Refused

SECONDS = 1.5


def selftest(json: Json = False) -> None:
    """Fire a burst at the deployment's Redis and print how many calls were let in against the limit; exit code 1 where it does not hold.

    It works under names of its own, beside the limits of the deployment.
    """
    from gatehouse.limits.redis_lines import RedisUnavailable, RedisUrlInvalid
    from gatehouse.limits.selftest import LIMIT, fire

    url = settings_or_refusal().redis_url.get_secret_value()
    if not url:
        raise Refused("there is no Redis to test: each process decides in its own memory; set GATEHOUSE_REDIS_URL to share limits whole")
    begun = time.monotonic()
    try:
        burst = asyncio.run(fire(url, SECONDS))
    except RedisUrlInvalid as error:
        raise Refused(f"GATEHOUSE_REDIS_URL: {error}") from None
    except RedisUnavailable as error:
        raise Refused(
            f"the Redis of GATEHOUSE_REDIS_URL does not answer ({error}): is it running, and may this user run scripts?"
        ) from None
    if json:
        print_json({"limit": f"{LIMIT.count}/s burst {LIMIT.burst}", **asdict(burst), "holds": burst.holds})
    else:
        taken = 1_000_000 * (time.monotonic() - begun) / burst.asked
        typer.echo(
            f"asked {burst.asked}, admitted {burst.admitted}, allowed {burst.allowed} ({LIMIT.count} a second for {burst.span_ms} ms)"
        )
        typer.echo(f"the limit {'holds' if burst.holds else 'DOES NOT HOLD'}; {taken:.0f} µs a decision")
    if not burst.holds:
        raise typer.Exit(1)

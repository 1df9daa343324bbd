"""A process that appends events until it is killed, and says on standard output which ones it has appended."""

import itertools
import secrets
import sys
from pathlib import Path

from gatehouse.usage.event import UsageEvent, month_name, uuid7
from gatehouse.usage.spool import Bounds, Spool

AT_US = 1_794_744_000_000_000


def main(folder: str, process_id: str) -> None:
    spool = Spool.open(Path(folder), process_id, Bounds(0, segment_bytes=20_000))
    out = sys.stdout
    for number in itertools.count():
        at_us = AT_US + number * 50_000_000
        event = UsageEvent(
            id=uuid7(at_us // 1000, secrets.randbits),
            at_us=at_us,
            month=month_name(at_us),
            process_id=process_id,
            tenant_id="t",
            key_id="k",
            model="iris",
            api_version="v1",
            model_version="1.0.0",
            engine="onnx",
            rows=number % 5,
            status=200,
            code=None,
            latency_us=300,
            bytes_in=100,
            bytes_out=200,
            request_id=f"{process_id}-{number}",
        )
        spool.append(event)
        out.write(f"{number}\n")
        out.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])

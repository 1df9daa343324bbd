"""The servers that tests run against answer."""

import valkey
from sqlalchemy import text

from gatehouse.db.session import Database


def test_valkey_answers_and_runs_a_lua_script(valkey_url: str) -> None:
    with valkey.from_url(valkey_url) as client:
        assert client.eval("return redis.call('INCRBY', KEYS[1], ARGV[1])", 1, "gatehouse-test-services", 3) == 3
        client.delete("gatehouse-test-services")


def test_postgresql_is_18_or_what_the_environment_names(postgresql_database: Database) -> None:
    with postgresql_database.read() as session:
        assert "PostgreSQL" in session.execute(text("SELECT version()")).scalar_one()

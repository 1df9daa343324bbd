"""A server that meets a database of another version: an older one is migrated before the first call, a newer one stops the start."""

from pathlib import Path

import httpx2
import pytest
from alembic import command
from alembic.config import Config
from serving_process import refusal_of, serving_process
from sqlalchemy import text
from stage import IRIS_ROW, Stage, instances

from gatehouse.db.migrate import is_current, migrations_folder, newest_migration
from gatehouse.db.session import Database


def downgrade(database: Database) -> None:
    """By one migration."""
    config = Config()
    config.set_main_option("script_location", str(migrations_folder()))
    with database.write() as session:
        config.attributes["connection"] = session.connection()
        command.downgrade(config, "-1")


@pytest.mark.endpoints("iris v1")
def test_a_server_that_starts_on_an_older_database_migrates_it_and_knows_its_keys(stage: Stage) -> None:
    key = stage.tenant("acme", "iris")
    downgrade(stage.database)
    assert not is_current(stage.database)
    with serving_process(stage) as server:
        url = f"{server.base_url}/v1/models/iris/predict"
        assert httpx2.post(url, json=instances(IRIS_ROW), headers={"x-api-key": key}, timeout=30).status_code == 200
    assert is_current(stage.database)


def test_a_server_does_not_start_on_a_newer_database_and_says_what_to_do(stage: Stage, tmp_path: Path) -> None:
    with stage.database.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    code, said = refusal_of({**stage.values, "GATEHOUSE_STATE_DIR": str(stage.state_dir)}, tmp_path)
    assert code == 1
    newest = newest_migration()
    assert said.strip().endswith(f"the database is at migration 9999, this Gatehouse knows up to {newest}: install the newer one"), said
    assert len(said.strip().splitlines()) == 1

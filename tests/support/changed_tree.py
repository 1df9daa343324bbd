"""`changed_tree.py FACTS`, run in a changed copy of the tree: writes its reference pages and serves a deployment by its package.

What was seen there is written to the file FACTS as JSON.
"""

import io
import json
import os
import runpy
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from access_table import access_table
from alembic import command
from alembic.config import Config
from contract_text import pair_contract
from kept_state import kept_state
from sklearn.linear_model import LogisticRegression
from sqlalchemy import inspect
from stage import ACTOR, ROOT, WIDE, Live, Stage, instances
from typer.testing import CliRunner

import gatehouse
from gatehouse.cli import app
from gatehouse.contracts.contract import parse_contract
from gatehouse.db.migrate import migrations_folder, upgrade
from gatehouse.db.session import Database, open_database
from gatehouse.errors import CATALOGUE
from gatehouse.identity import notes
from gatehouse.identity.plans import show_plan
from gatehouse.identity.tenants import DEFAULT_PLAN
from gatehouse.principal import Scope
from gatehouse.serving.publish import publish
from gatehouse.serving.repository import Repository
from gatehouse.serving.signing import TrustedKeys, create_publishing_key
from gatehouse.usage.outcomes import outcome_table

ROW = {"width": 0.5, "height": -1.5}


def migrated(file: Path) -> tuple[str, dict[str, Any]]:
    """The URL of a new database, and what its tables were before the migrations of the copy, and after they came twice."""
    url = f"sqlite:///{file}"
    database = open_database(url)
    config = Config()
    config.set_main_option("script_location", str(migrations_folder()))
    upgrade(database)
    after = tables(database)
    with database.engine.execution_options(gatehouse_write=True).begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "-2")
    before = tables(database)
    upgrade(database)
    assert tables(database) == after
    database.close()
    return url, {"before": before, "after": after}


def tables(database: Database) -> dict[str, list[str]]:
    """The columns of each."""
    with database.engine.connect() as connection:
        found = inspect(connection)
        return {table: sorted(column["name"] for column in found.get_columns(table)) for table in found.get_table_names()}


def published(folder: Path) -> str:
    """The engine of the one model that is published there."""
    rows = np.random.default_rng(7).normal(size=(80, 2))
    artifact = io.BytesIO()
    joblib.dump(LogisticRegression().fit(rows, (rows[:, 0] > rows[:, 1]).astype(int)), artifact)
    source = pair_contract().encode()
    folder.mkdir()
    signer = create_publishing_key(folder / "publishing-key.pem", folder / "trusted-keys")
    repository = Repository(folder / "models", TrustedKeys.load(folder / "trusted-keys"))
    made = publish(
        artifact.getvalue(),
        parse_contract(source, "pair"),
        source,
        version="1.0.0",
        repository=repository,
        signer=signer,
        progress=lambda _note: None,
        now=datetime.now(UTC),
    )
    return made.engine


def commanded(stage: Stage, *words: str) -> Any:
    """What a command prints as JSON."""
    os.environ |= stage.values | {"GATEHOUSE_STATE_DIR": str(stage.state_dir)}
    done = CliRunner().invoke(app, [*words, "--json"])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def served(live: Live) -> dict[str, Any]:
    """What callers and operators are answered."""
    stage = live.stage
    key = stage.tenant("acme", "pair", plan=stage.plan(replace(WIDE, name="daily", requests_per_day=3)))
    operator = stage.key("_operator", scopes=frozenset(Scope))
    plan = "/admin/plans/daily"
    answers = [live.predict(key, instances(*[ROW] * rows), "/v1/models/pair/predict") for rows in (1, 51, 1, 1)]
    return {
        "predictions": [[answer.status_code, answer.json()] for answer in answers],
        "page": live.get(f"/errors/{answers[1].json().get('code')}").text,
        "account": live.get("/account", key).json()["plan"],
        "plan": live.get(plan, operator).json(),
        "tenants": live.get(f"{plan}/tenants", operator).json(),
        "refused": live.get(f"{plan}/tenants", key).json()["code"],
        "operations": live.get("/openapi.json", operator).json()["paths"].get("/admin/plans/{plan}/tenants"),
    }


def facts(folder: Path) -> dict[str, Any]:
    url, migrations = migrated(folder / "gatehouse.db")
    engine = published(folder / "published")
    (folder / "state").mkdir()
    stage = Stage(folder / "state", folder / "published", url, ["pair v1"])
    with stage.serving() as live:
        answered = served(live)
    notes.note_plan(stage.database, ACTOR, "daily", "ask them in spring")
    with stage.database.read() as session:
        kept = kept_state(session)["plan_note"]
    found = {
        "tree": str(Path(gatehouse.__path__[0]).parents[1]),
        "migrations": migrations,
        "engine": engine,
        "answered": answered,
        "created": commanded(stage, "plans", "create", "gold", "--requests-per-day", "7"),
        "edited": commanded(stage, "plans", "edit", "gold", "--requests-per-day", "9"),
        "tenants": commanded(stage, "plans", "tenants", "daily"),
        "stored": {name: show_plan(stage.database, name).requests_per_day for name in (DEFAULT_PLAN, "daily", "gold")},
        "kept": kept,
        "usage_page_agrees": outcome_table() in (ROOT / "docs" / "usage.md").read_text(encoding="utf-8"),
        "read_by_admins": [str(access) for access in access_table() if access.scope == Scope.ADMIN_READ],
        "failing_codes": [code for code, problem in CATALOGUE.items() if problem.status >= 500],
    }
    stage.close()
    return found


if __name__ == "__main__":
    target = Path(sys.argv[1])
    runpy.run_path(str(ROOT / "scripts" / "write_reference.py"), run_name="__main__")
    target.write_text(json.dumps(facts(target.parent)), encoding="utf-8")

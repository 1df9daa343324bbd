"""`gatehouse backup`: made while a server runs, put back into an empty place, where everything is as it was and the same keys work."""

import copy
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from commanded import commanded
from database_content import Rows, content_of
from sqlalchemy import func, select
from stage import IRIS_ROW, Live, Stage, instances, wait_until

from gatehouse.db.session import open_database
from gatehouse.db.tables import RefusedCallsTable, UsageEventTable
from gatehouse.principal import Plan, Rate

NARROW = Plan("narrow", Rate(3, 86_400, 3), Rate(1_000, 1, 1_000), 1_000, "soft", 1_000, 1024 * 1024)
"""Three calls, and every further one is refused and counted."""
KEPT_UP = {"process", "recent_calls"}
"""Rows of processes, none of which serves where a backup is restored: others would share limits with it."""


@dataclass(frozen=True)
class Kept:
    """A deployment that was used and backed up while it served."""

    stage: Stage
    key: str
    file: Path
    content: dict[str, Rows]
    """Of its database, without what a server keeps up."""


@pytest.fixture(scope="module")
def kept(module_database_url: str, published: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    folder = tmp_path_factory.mktemp("kept") / "state"
    folder.mkdir(mode=0o700)
    url = module_database_url
    if url.startswith("sqlite"):  # where it lies unless it is told otherwise
        shutil.move(url.removeprefix("sqlite:///"), folder / "gatehouse.db")
        url = f"sqlite:///{folder / 'gatehouse.db'}"
    stage = Stage(folder, published, url, ["iris v1"])
    if stage.database.dialect == "sqlite":
        stage.values.pop("GATEHOUSE_DATABASE_URL")
    (folder / "settings.env").write_text("# by hand\n" + "".join(f"{name}={value}\n" for name, value in stage.values.items()))
    (folder / "estimators" / "iris").mkdir(parents=True)
    (folder / "estimators" / "iris" / "1.0.0.joblib").write_bytes(b"kept for comparing")
    shutil.copyfile(published / "publishing-key.pem", folder / "publishing-key.pem")
    key = stage.tenant("acme", "iris", plan=stage.plan(NARROW))
    file = folder.parent / "gatehouse.backup"
    with stage.serving() as live:
        assert [live.predict(key, instances(IRIS_ROW)).status_code for _ in range(5)] == [200] * 3 + [429] * 2
        wait_until(lambda: counts(stage) == (3, 2) and [row["taken"] for row in content_of(stage.database)["quota"]] == [3])
        said = commanded(folder, "backup", "create", str(file))
        content = {name: rows for name, rows in content_of(stage.database).items() if name not in KEPT_UP}
    assert file.stat().st_mode & 0o777 == 0o600
    assert "IT HOLDS SECRETS" in said.out
    yield Kept(stage, key, file, content)
    stage.close()


def counts(stage: Stage) -> tuple[int, int]:
    """Usage events, and calls that were refused by a limit, in the database."""
    with stage.database.read() as session:
        events = session.execute(select(func.count()).select_from(UsageEventTable)).scalar_one()
        return events, session.execute(select(func.sum(RefusedCallsTable.calls))).scalar() or 0


@contextmanager
def restored(kept: Kept, folder: Path, database_url: str | None = None, file: Path | None = None) -> Iterator[Stage]:
    """The deployment, elsewhere."""
    settings = {} if database_url is None else {"GATEHOUSE_DATABASE_URL": database_url}
    commanded(folder, "backup", "restore", str(file or kept.file), **settings)
    stage = copy.copy(kept.stage)
    stage.state_dir, stage.values = folder, kept.stage.values | settings
    stage.database = open_database(database_url or f"sqlite:///{folder / 'gatehouse.db'}", kept.stage.database.audit_keys)
    try:
        yield stage
    finally:
        stage.database.close()


def files_of(folder: Path) -> dict[str, bytes]:
    """All that a backup is to have of a state folder, but for the database and the spool, which a server changes."""
    found = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    passing = ("gatehouse.db", "spool/", "metrics/")
    return {name: path.read_bytes() for name, path in found.items() if not name.startswith(passing)}


def test_every_row_and_every_file_is_back_in_either_kind_of_database(kept: Kept, tmp_path: Path, empty_postgresql_url: str) -> None:
    for kind, url in (("sqlite", f"sqlite:///{tmp_path / 'a.db'}"), ("postgresql", empty_postgresql_url)):
        with restored(kept, tmp_path / kind, url) as stage:
            content = content_of(stage.database)
            assert {name: rows for name, rows in content.items() if name not in KEPT_UP} == kept.content
            assert [content[name] for name in KEPT_UP] == [[], []]
            assert files_of(stage.state_dir) == files_of(kept.stage.state_dir)


def test_it_serves_again_with_an_old_key_and_all_is_well(kept: Kept, tmp_path: Path, empty_postgresql_url: str) -> None:
    url = None if kept.stage.database.dialect == "sqlite" else empty_postgresql_url
    with restored(kept, tmp_path / "new", url) as stage:
        given = {} if url is None else {"GATEHOUSE_DATABASE_URL": url}
        assert stage.state_dir.stat().st_mode & 0o777 == 0o700
        for name in ("settings.env", "publishing-key.pem", "estimators/iris/1.0.0.joblib", *(["gatehouse.db"] if url is None else [])):
            assert (stage.state_dir / name).stat().st_mode & 0o777 == 0o600, f"{name} is open to others"
        assert "problem" not in commanded(stage.state_dir, "doctor", **given).out
        commanded(stage.state_dir, "audit", "verify", **given)
        other = stage.tenant("globex", "iris", plan="trial")  # numbers of rows go on behind those that were restored
        with stage.serving() as live:
            answer = live.predict(kept.key, instances(IRIS_ROW))
            assert answer.json()["predictions"][0]["label"] == "setosa"
            assert live.predict(other, instances(IRIS_ROW)).status_code == 200
            wait_until(lambda: counts(stage) == (5, 2))
            wait_until(lambda: not orphans(stage, live))
        commanded(stage.state_dir, "usage", "verify", **given)
        commanded(stage.state_dir, "audit", "verify", **given)


def orphans(stage: Stage, live: Live) -> list[str]:
    """Files of spools of other processes."""
    own = live.app.process.id
    return [path.name for path in (stage.state_dir / "spool").iterdir() if not path.name.startswith(own)]

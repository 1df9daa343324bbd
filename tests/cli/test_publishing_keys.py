"""`gatehouse publishing-keys`: whose signature makes a model loadable."""

import json
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlmodel import col, select

from gatehouse.db.session import open_database
from gatehouse.db.tables import AuditTable

Contract = Callable[..., Path]


def test_a_key_is_created_listed_retired_and_audited(gatehouse: Any, state_dir: Path, tmp_path: Path) -> None:
    assert gatehouse("publishing-keys", "list").lines == ["no publishing key is trusted yet: gatehouse publishing-keys create"]
    made = gatehouse("publishing-keys", "create", "--json").json
    assert made == {"id": made["id"], "file": str(state_dir / "publishing-key.pem"), "state": "trusted"}
    assert stat.S_IMODE((state_dir / "publishing-key.pem").stat().st_mode) == 0o600
    said = gatehouse("publishing-keys", "create", "--file", tmp_path / "second.pem").lines
    assert "running servers that read this folder go by it from now on" in said[1]
    assert said[2].endswith(f"--publishing-key {tmp_path / 'second.pem'}")
    retired = gatehouse("publishing-keys", "retire", made["id"]).lines
    assert retired[0] == f"publishing key {made['id']} is retired"
    assert retired[2].endswith("what they have loaded already goes on until another version is released or they are restarted")
    listed = gatehouse("publishing-keys", "list", "--json").json
    assert [entry["state"] for entry in listed] == ["trusted", "retired"]
    assert listed[1]["id"] == made["id"]
    with open_database(f"sqlite:///{state_dir / 'gatehouse.db'}").read() as session:
        rows = session.exec(select(AuditTable).order_by(col(AuditTable.id))).all()
    assert [(row.action, row.subject) for row in rows] == [
        ("publishing_key.create", made["id"]),
        ("publishing_key.create", listed[0]["id"]),
        ("publishing_key.retire", made["id"]),
    ]
    assert all(json.loads(row.detail) == {} for row in rows)


def test_row_83_what_a_retired_key_has_signed_is_not_released(published: Any, estimator: Path, contract: Contract) -> None:
    published("models", "publish", estimator, "--contract", contract("pair"))
    [key] = published("publishing-keys", "list", "--json").json
    published("publishing-keys", "retire", key["id"])
    refused = published("endpoints", "release", "pair", "v1", "--version", "1.0.1", code=1)
    assert "signed by a key that is not trusted here" in refused.error
    assert published("endpoints", "show", "pair", "v1", "--json").json["stable_version"] == "1.0.0"


def test_a_retired_key_signs_nothing_and_the_way_to_another_is_said(
    published: Any, state_dir: Path, estimator: Path, contract: Contract, tmp_path: Path
) -> None:
    [key] = published("publishing-keys", "list", "--json").json
    published("publishing-keys", "retire", key["id"])
    publish = ("models", "publish", estimator, "--contract", contract("pair"))
    refused = published(*publish, code=1)
    assert f"publishing key {key['id']} was retired here: gatehouse publishing-keys create --file new-key.pem" in refused.error
    published("publishing-keys", "create", "--file", tmp_path / "new-key.pem")
    assert "pair 1.0.1" in published(*publish, "--publishing-key", tmp_path / "new-key.pem").out


def test_row_83_a_strangers_version_is_released_only_after_the_key_is_trusted(
    published: Any, state_dir: Path, estimator: Path, contract: Contract, tmp_path: Path
) -> None:
    [own] = published("publishing-keys", "list", "--json").json
    stranger = published("publishing-keys", "create", "--file", tmp_path / "stranger.pem", "--json").json
    published("models", "publish", estimator, "--contract", contract("pair"), "--publishing-key", tmp_path / "stranger.pem")
    public = tmp_path / "public.pem"
    shutil.move(state_dir / "trusted-keys" / f"{stranger['id']}.pem", public)  # as on a machine to which only the models were copied
    release = ("endpoints", "release", "pair", "v1", "--version", "1.0.1")
    assert "not trusted here" in published(*release, code=1).error
    assert published("publishing-keys", "trust", public).lines[0] == f"publishing key {stranger['id']} is trusted"
    assert {entry["id"] for entry in published("publishing-keys", "list", "--json").json} == {own["id"], stranger["id"]}
    assert published(*release).lines[0] == "pair/v1 is active and served by pair 1.0.1"
    published("publishing-keys", "retire", stranger["id"])
    assert "was retired here" in published("publishing-keys", "trust", public, code=1).error


def test_what_is_no_public_key_is_not_trusted(gatehouse: Any, state_dir: Path, tmp_path: Path) -> None:
    gatehouse("publishing-keys", "create", "--file", tmp_path / "key.pem")
    (tmp_path / "junk.pem").write_text("junk")
    for arguments, said in (
        (("trust", tmp_path / "key.pem"), "holds a private key, which stays with the publisher"),
        (("trust", tmp_path / "junk.pem"), "is not an Ed25519 public key in PEM"),
        (("trust", tmp_path / "none.pem"), "none.pem: No such file or directory"),
        (("create", "--file", tmp_path / "key.pem"), "exists; choose another path"),
        (("retire", "../../settings"), "no publishing key '../../settings'"),
    ):
        assert said in gatehouse("publishing-keys", *arguments, code=1).error
    assert len([*(state_dir / "trusted-keys").glob("*.pem")]) == 1

"""A process that serves 200 published models: its start, its memory and its calls, eagerly, lazily and within a limit of memory.

`.venv/bin/python scripts/bench/many_models.py [--models 200] [--fit 20] [--rounds 5]`; Linux only, since it reads /proc. Each start is a
fresh process, and a call is what a request does once it is decoded: the model is found, or loaded, and answers one row.
"""

import argparse
import asyncio
import gc
import hashlib
import io
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import joblib
import msgspec
import numpy as np
from sklearn.ensemble import RandomForestClassifier

from gatehouse.app import Application, create_app
from gatehouse.contracts.contract import parse_contract
from gatehouse.db.audit import Actor
from gatehouse.db.audit_keys import AuditKeys
from gatehouse.db.migrate import upgrade
from gatehouse.db.session import open_database
from gatehouse.migration.store import create_endpoint
from gatehouse.serving.manifest import CONTRACT_FILE, FileDigest
from gatehouse.serving.publish import publish
from gatehouse.serving.registry import MEMORY_EACH, MEMORY_FACTOR
from gatehouse.serving.repository import Repository
from gatehouse.serving.signing import Signer, TrustedKeys, create_publishing_key
from gatehouse.settings import settings_from

PAGE = 4096
FEATURES = 4
TREES = 10
PROBE = np.array([[0.5, -0.25, 1.0, 0.0]])
FIRST = "m000"
TOML = (
    f'format = 1\nmodel = "{FIRST}"\napi_version = "v1"\n'
    + "".join(f'[features.f{place}]\ntype = "number"\nminimum = -4\nmaximum = 4\nexample = 0.5\n' for place in range(FEATURES))
    + '[output]\ntask = "classification"\nlabels = [{class = 0, name = "low"}, {class = 1, name = "high"}]\n'
)


class Measured(msgspec.Struct):
    """One process: its start, then one call of each model. Memory in bytes; `more` is resident beyond what it was before the start."""

    start_s: float
    loaded: int
    more_after_start: int
    calls_s: float
    slowest_s: float
    most_loaded: int
    most_reckoned: int
    more_after_calls: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=200)
    parser.add_argument("--fit", type=int, default=20, help="How many of them the limit of memory lets in.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--measure", nargs=3, metavar=("FOLDER", "MODE", "LIMIT"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        folder, mode, limit = given.measure
        print(msgspec.json.encode(measure(Path(folder), mode, int(limit))).decode())
        return
    with tempfile.TemporaryDirectory() as folder:
        each = deploy(Path(folder), given.models)
        limit = given.fit * each
        print(f"{given.models} models in ONNX, {each / 2**20:.2f} MiB reckoned for each; the limit is {limit / 2**20:.1f} MiB")
        found = in_turns(Path(folder), {"eager": 0, "lazy": 0, "eager, limit": limit, "lazy, limit": limit}, given.rounds)
    for name, runs in found.items():
        show(name, runs)
    pairs = zip(found["eager"], found["lazy"], strict=True)
    print(f"an eager start takes {statistics.median(eager.start_s / lazy.start_s for eager, lazy in pairs):.1f} times a lazy one")
    if any(run.most_reckoned > limit for name, runs in found.items() if "limit" in name for run in runs):
        raise SystemExit("the limit did not hold")
    print(f"the limit held at each of {given.models} calls of each process")


def deploy(folder: Path, models: int) -> int:
    """Publish one forest and signed copies of it under other names, each released; the bytes that are reckoned for each."""
    rows = np.random.default_rng(1).normal(size=(400, FEATURES))
    file, source = io.BytesIO(), TOML.encode()
    joblib.dump(RandomForestClassifier(TREES, random_state=1).fit(rows, (rows[:, 0] > rows[:, 1]).astype(int)), file)
    signer = create_publishing_key(folder / "publishing-key.pem", folder / "trusted-keys")
    repository = Repository(folder / "models", TrustedKeys.load(folder / "trusted-keys"))
    publish(
        file.getvalue(),
        parse_contract(source, "contract"),
        source,
        version="1.0.0",
        repository=repository,
        signer=signer,
        progress=lambda _step: None,
        now=datetime.now(UTC),
    )
    names = [f"m{number:03}" for number in range(models)]
    for name in names[1:]:
        copy(repository, signer, name)
    database = open_database(f"sqlite:///{folder / 'gatehouse.db'}", AuditKeys({1: secrets.token_bytes(32)}))
    upgrade(database)
    with database.write() as session:
        for name in names:
            create_endpoint(session, Actor("os-user:bench", "cli"), name, "1.0.0")
    database.close()
    (folder / "secret").write_text(secrets.token_urlsafe(32))  # the same in each process
    original = repository.read(FIRST, "1.0.0")
    return MEMORY_EACH + MEMORY_FACTOR[original.manifest.engine] * len(original.artifact)


def copy(repository: Repository, signer: Signer, name: str) -> None:
    """The first model once more, under another name: nothing that loads it knows that they are alike."""
    original = repository.read(FIRST, "1.0.0")
    contract = original.contract.replace(f'"{FIRST}"'.encode(), f'"{name}"'.encode())
    digest = FileDigest(hashlib.sha256(contract).hexdigest(), len(contract))
    files = original.manifest.files | {CONTRACT_FILE: digest}
    manifest = msgspec.structs.replace(original.manifest, model=name, contract_digest=digest.sha256, files=files)
    repository.write(manifest, contract, original.artifact, signer)


def in_turns(folder: Path, limits: dict[str, int], rounds: int) -> dict[str, list[Measured]]:
    """A fresh process of each kind in each round."""
    found: dict[str, list[Measured]] = {name: [] for name in limits}
    for _ in range(rounds):
        for name, limit in limits.items():
            command = [sys.executable, __file__, "--measure", str(folder), name.partition(",")[0], str(limit)]
            ended = subprocess.run(command, check=True, stdout=subprocess.PIPE)
            found[name].append(msgspec.json.decode(ended.stdout, type=Measured))
    return found


def measure(folder: Path, load_models: str, limit: int) -> Measured:
    """In a fresh process, in which everything is imported already."""
    values = {
        "GATEHOUSE_SECRET_KEY": (folder / "secret").read_text(),
        "GATEHOUSE_KEY_PEPPER": secrets.token_urlsafe(32),
        "GATEHOUSE_AUDIT_KEY": secrets.token_urlsafe(32),
        "GATEHOUSE_DATABASE_URL": f"sqlite:///{folder / 'gatehouse.db'}",
        "GATEHOUSE_LOAD_MODELS": load_models,
        "GATEHOUSE_MODEL_MEMORY_BYTES": str(limit),
    }
    settings = settings_from(values, folder)
    before = resident()
    begun = time.perf_counter()
    app = create_app(settings)
    start_s = time.perf_counter() - begun
    loaded, more = len(app.serving.registry.loaded), resident() - before
    times, most_loaded, most_reckoned = asyncio.run(call_each(app))
    return Measured(start_s, loaded, more, sum(times), max(times), most_loaded, most_reckoned, resident() - before)


async def call_each(app: Application) -> tuple[list[float], int, int]:
    """Call all models in turn: seconds of each, the most that were loaded at a time, and the most bytes that were reckoned."""
    times, loaded, reckoned = [], [len(app.serving.registry.loaded)], [app.serving.registry.memory_bytes]
    for endpoint in app.serving.endpoints.all():
        begun = time.perf_counter()
        _, served = app.serving.releases.find(endpoint, "bench") or await app.serving.releases.load(endpoint, "bench", 60)
        served.predictor.answer(PROBE, ("label", "confidence"))
        times.append(time.perf_counter() - begun)
        loaded.append(len(app.serving.registry.loaded))
        reckoned.append(app.serving.registry.memory_bytes)
    return times, max(loaded), max(reckoned)


def resident() -> int:
    """Bytes of this process in memory now."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


def show(name: str, runs: list[Measured]) -> None:
    """Medians, but for what was the most."""

    def middle(member: str) -> float:
        return statistics.median(getattr(run, member) for run in runs)

    print(
        f"{name:12}: start {middle('start_s'):5.2f} s, {middle('loaded'):3.0f} loaded, {middle('more_after_start') / 2**20:6.1f} MiB more;"
        f" a call of each {middle('calls_s'):5.2f} s, slowest {middle('slowest_s') * 1e3:5.1f} ms, at most"
        f" {max(run.most_loaded for run in runs):3} loaded and {max(run.most_reckoned for run in runs) / 2**20:5.1f} MiB reckoned,"
        f" then {middle('more_after_calls') / 2**20:6.1f} MiB more"
    )


if __name__ == "__main__":
    main()

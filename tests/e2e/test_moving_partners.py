"""Three partners are moved from iris v1 to v2 by the commands of an operator, while they call without a pause on two processes."""

import io
import json
import random
import shutil
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import ending_fields
import httpx2
import joblib
import numpy as np
import pytest
from serving_process import ServingProcess, serving_process
from sklearn.datasets import load_iris
from sqlmodel import select
from stage import ACTOR, ROOT, Stage, wait_until
from typer.testing import CliRunner

from gatehouse.cli import app
from gatehouse.db.revision import last_revision
from gatehouse.db.tables import ProcessTable, UsageEventTable
from gatehouse.migration.endpoint import Endpoint
from gatehouse.migration.life_store import change_life
from gatehouse.serving.recipes import train_recipe
from gatehouse.usage.ledger_store import tenant_names

V1, V2 = "/v1/models/iris/predict", "/v2/models/iris/predict"
SUNSET, LONGER = (datetime.now(UTC).date() + timedelta(days=days) for days in (200, 300))
PAST = date(2020, 6, 30)
"""No step minds whether midnight passes before it."""
GROWN, _ = load_iris(return_X_y=True)
PAIRS = np.random.default_rng(3).permutation(len(GROWN)).reshape(-1, 2)
FLOWERS = np.concatenate([GROWN, np.round(GROWN[PAIRS].mean(axis=1), 1)])
"""In centimetres; the two models differ on some of those between two that were grown."""
SPECIES = ("setosa", "versicolor", "virginica")
NAMES = ("sepal_length", "sepal_width", "petal_length", "petal_width")
PAUSE_S = 0.02
SETTLED = 12
"""So many calls in a row, each on a connection of its own, have been answered by both processes."""


@dataclass(frozen=True)
class Outcome:
    """What an answer told its caller, but for the prediction."""

    path: str
    status: int
    code: str | None
    version: str | None
    bridged: bool
    sunset: date | None


@dataclass(frozen=True)
class Sent:
    """One call: of which flower, and what came of it."""

    flower: int
    outcome: Outcome
    answer: httpx2.Response


class Partner:
    """Calls without a pause while its block runs, one flower at a time, and keeps all that it was told."""

    def __init__(self, base_url: str, tenant: str, key: str) -> None:
        self.tenant, self.key, self.path = tenant, key, V1
        self.sent: list[Sent] = []
        self._begun = 0
        # each call has a connection of its own; a client for each would load the system's certificates, 20 times a call's own work
        self._client = httpx2.Client(base_url=base_url, limits=httpx2.Limits(max_keepalive_connections=0), timeout=30)
        self._dice = random.Random(tenant)
        self.next_flowers: list[int] = []
        """Those to be sent before any others."""

    @contextmanager
    def calling(self) -> Iterator[None]:
        failures: list[Exception] = []
        stop, self._begun = threading.Event(), len(self.sent)

        def call_on() -> None:
            while not stop.wait(PAUSE_S):
                try:
                    self.call()
                except Exception as error:  # no thread can fail a test
                    failures.append(error)
                    return

        thread = threading.Thread(target=call_on, name=self.tenant)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
        assert not failures, failures

    def settle(self, **wanted: Any) -> Sent:
        """Wait until both processes answer so, since it has been calling; the last answer. Partners settle at the same time."""

        def settled() -> bool:
            last = self.sent[self._begun :][-SETTLED:]
            return len(last) == SETTLED and all(getattr(each.outcome, name) == value for each in last for name, value in wanted.items())

        wait_until(settled)
        return self.sent[-1]

    def call(self, path: str | None = None) -> Sent:
        path, flower = path or self.path, self.next_flowers.pop() if self.next_flowers else self._dice.randrange(len(FLOWERS))
        headers = {"x-api-key": self.key}
        answer = self._client.post(path, json=body(path, flower), headers=headers)
        sent = Sent(flower, told(path, answer), answer)
        self.sent.append(sent)
        return sent

    def close(self) -> None:
        self._client.close()

    def get(self, path: str) -> Any:
        return self._client.get(path, headers={"x-api-key": self.key, "accept": "application/json"}).raise_for_status().json()

    def translated(self, flower: int) -> Any:
        """The newer body, as the server makes it of the older one."""
        answer = self._client.post("/v2/models/iris/translate", json=body(V1, flower), headers={"x-api-key": self.key})
        return answer.raise_for_status().json()


def body(path: str, flower: int) -> dict[str, Any]:
    """Centimetres for v1, millimetres for v2."""
    cells = [float(cell) for cell in FLOWERS[flower]]
    if path == V1:
        return {"instances": [dict(zip(NAMES, cells, strict=True))]}
    return {"instances": [{f"{name}_mm": round(cell * 10) for name, cell in zip(NAMES, cells, strict=True)}]}


def told(path: str, answer: httpx2.Response) -> Outcome:
    """Every answer says the endpoint's end in all its fields and in its body, or not at all."""
    said, headers = answer.json(), answer.headers
    ends = "sunset" in headers
    assert [name in headers for name in ending_fields.FIELDS] == [ends] * 3
    assert bool(said.get("notices")) == ends
    sunset = ending_fields.sunset(headers).date() if ends else None
    if ends:
        assert ending_fields.deprecation(headers) <= datetime.now(UTC)
        assert urlsplit(ending_fields.links(headers)["successor-version"]).path == V2
    return Outcome(path, answer.status_code, said.get("code"), said.get("model_version"), said.get("bridged", False), sunset)


@dataclass(frozen=True)
class Story:
    """One deployment, its server and its partners, and what both models say of every flower by scikit-learn alone."""

    stage: Stage
    server: ServingProcess
    partners: Mapping[str, Partner]
    operator: Callable[..., Any]

    @contextmanager
    def calling(self) -> Iterator[None]:
        with ExitStack() as stack:
            for partner in self.partners.values():
                stack.enter_context(partner.calling())
            yield

    def followed(self) -> None:
        """Wait until both processes have seen every change."""
        with self.stage.database.read() as session:
            newest = last_revision(session)

        def seen() -> bool:
            with self.stage.database.read() as session:
                return [row.revision_seen >= newest for row in session.exec(select(ProcessTable))] == [True, True]

        wait_until(seen)

    def report(self) -> dict[str, Any]:
        """By tenant."""
        found: dict[str, Any] = self.operator("migration", "report", "iris", "v1", "v2", "--json")
        return found | {"tenants": {row["tenant"]: row for row in found["tenants"]}}


def operator_of(stage: Stage, patch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Gives commands to a deployment; the answer is what `--json` prints, or else the text."""
    for name, value in {**stage.values, "GATEHOUSE_STATE_DIR": str(stage.state_dir)}.items():
        patch.setenv(name, value)

    def operator(*arguments: str, code: int = 0) -> Any:
        result = CliRunner().invoke(app, [*arguments], prog_name="gatehouse")
        assert result.exit_code == code, result.output
        return json.loads(result.stdout) if "--json" in arguments else result.output

    return operator


@contextmanager
def begun(stage: Stage, published: Path, patch: pytest.MonkeyPatch) -> Iterator[Story]:
    """Only iris v1 is there, on two processes."""
    shutil.copyfile(published / "publishing-key.pem", stage.state_dir / "publishing-key.pem")
    (stage.state_dir / "publishing-key.pem").chmod(0o600)
    shutil.rmtree(stage.state_dir / "models" / "iris" / "2.0.0")
    keys = {name: stage.tenant(name, "iris") for name in ("acme", "beta", "corp")}
    with serving_process(stage, workers=2, log_answers_per_s="1000000") as server:
        partners = {name: Partner(server.base_url, name, key) for name, key in keys.items()}
        yield Story(stage, server, partners, operator_of(stage, patch))
        for partner in partners.values():
            partner.close()
        assert server.terminate() in (0, -signal.SIGTERM, 128 + signal.SIGTERM)


@pytest.fixture(scope="module")
def artifacts() -> Mapping[str, bytes]:
    """By API version."""
    return {version: train_recipe(ROOT / "models" / "iris", version) for version in ("v1", "v2")}


@pytest.fixture(scope="module")
def labels(artifacts: Mapping[str, bytes]) -> Mapping[str, Sequence[str]]:
    """By model version, and by `bridged`: what scikit-learn says of each flower."""
    old = [SPECIES[each] for each in joblib.load(io.BytesIO(artifacts["v1"])).predict(FLOWERS)]
    new = joblib.load(io.BytesIO(artifacts["v2"])).predict(np.round(FLOWERS * 10)).tolist()
    return {"1.0.0": old, "2.0.0": [f"Iris {name}" for name in new], "bridged": new}


@pytest.mark.endpoints("iris v1")
def test_three_partners_move_and_no_call_fails_that_was_not_planned(
    stage_on_each_database: Stage,
    published: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    artifacts: Mapping[str, bytes],
    labels: Mapping[str, Sequence[str]],
) -> None:
    (tmp_path / "iris-v2.joblib").write_bytes(artifacts["v2"])
    with begun(stage_on_each_database, published, monkeypatch) as story:
        publish_v2(story, tmp_path / "iris-v2.joblib")
        shadow_and_report(story, labels)
        deprecate(story)
        brown_out(story)
        move_acme(story)
        bridge_the_others(story)
        extend_corp(story)
        pass_the_sunset(story)
        ended = retire(story)
    check_outcomes(story, ended)
    check_predictions(story, labels)
    check_usage(story)


def publish_v2(story: Story, artifact: Path) -> None:
    with story.calling():
        for partner in story.partners.values():
            partner.settle(status=200, version="1.0.0", sunset=None)
        story.operator("models", "publish", str(artifact), "--contract", str(ROOT / "models" / "iris" / "v2.toml"))
        story.followed()
        for partner in story.partners.values():
            assert partner.call(V2).outcome.status == 404, "a preview is seen by those alone whose grant names it"


def shadow_and_report(story: Story, labels: Mapping[str, Sequence[str]]) -> None:
    story.operator("endpoints", "shadow", "iris", "v1", "--with", "v2", "--share", "100")
    story.followed()
    before = {name: len(partner.sent) for name, partner in story.partners.items()}
    for partner in story.partners.values():
        partner.next_flowers = [n for n, label in enumerate(labels["1.0.0"]) if label != labels["bridged"][n]]
    with story.calling():
        wait_until(lambda: all(len(partner.sent) >= before[name] + 60 for name, partner in story.partners.items()))
    shadowed = {name: partner.sent[before[name] :] for name, partner in story.partners.items()}

    def all_told() -> bool:
        rows = story.report()["tenants"]
        return all(rows[name]["shadow"] and rows[name]["shadow"]["calls"] == len(sent) for name, sent in shadowed.items())

    wait_until(all_told, 60)  # the process that scores comes after everything else on a full machine
    found = story.report()
    for name, partner in story.partners.items():
        row, old = found["tenants"][name], [each for each in partner.sent if each.outcome.path == V1]
        disagreed = sum(labels["1.0.0"][each.flower] != labels["bridged"][each.flower] for each in shadowed[name])
        shadow = row["shadow"]
        assert (shadow["dropped"], shadow["failed"], shadow["compared"]) == (0, 0, len(shadowed[name]))
        assert (shadow["disagreed"], row["upgrade_failures"]) == (disagreed, [])
        log = [line for line in logged(story) if (line.get("tenant"), line["path"]) == (name, V1)]
        assert row["old_calls"] == len(log) == len(old)
        assert [key["old_calls"] for key in row["keys"]] == [len(log)]
        assert disagreed > 0, "the models differ on some flowers"
    assert found["if_switched_off"]["tenants"] == 3
    story.operator("endpoints", "unshadow", "iris", "v1")


def deprecate(story: Story) -> None:
    story.operator("endpoints", "activate", "iris", "v2")
    with story.calling():
        story.operator("endpoints", "deprecate", "iris", "v1", "--sunset", str(SUNSET), "--successor", "v2")
        for partner in story.partners.values():
            guide = urlsplit(ending_fields.links(partner.settle(status=200, sunset=SUNSET).answer.headers)["deprecation"]).path
            assert guide == "/v2/models/iris/migrate-from/v1"
            assert partner.get(guide)["fields"]


def brown_out(story: Story) -> None:
    with story.calling():
        story.operator("endpoints", "brownout", "iris", "v1", "--at", "now", "--minutes", "1", "--force")
        for partner in story.partners.values():
            told_so = partner.settle(status=410, code="endpoint_brownout", sunset=SUNSET).answer
            assert 0 < int(told_so.headers["retry-after"]) <= 60
        [window] = story.operator("endpoints", "brownouts", "iris", "v1", "--json")
        story.operator("endpoints", "cancel-brownout", window["id"])
        for partner in story.partners.values():
            partner.settle(status=200, sunset=SUNSET)


def move_acme(story: Story) -> None:
    acme = story.partners["acme"]
    assert acme.translated(7) == body(V2, 7)
    acme.path = V2
    with story.calling():
        acme.settle(path=V2, status=200, version="2.0.0", sunset=None)
        for name in ("beta", "corp"):
            story.partners[name].settle(path=V1, status=200, version="1.0.0", sunset=SUNSET)


def bridge_the_others(story: Story) -> None:
    with story.calling():
        story.operator("endpoints", "bridge", "iris", "v1", "--to", "v2")
        for name in ("beta", "corp"):
            said = story.partners[name].settle(status=200, version="2.0.0", bridged=True, sunset=SUNSET).answer.json()
            assert said["api_version"] == "v1"
        [artifact] = (story.stage.state_dir / "models" / "iris" / "1.0.0").glob("model.*")
        artifact.unlink()


def extend_corp(story: Story) -> None:
    with story.calling():
        story.operator("endpoints", "extend", "iris", "v1", "--tenant", "corp", "--until", str(LONGER))
        story.partners["corp"].settle(status=200, bridged=True, sunset=LONGER)
        story.partners["beta"].settle(status=200, bridged=True, sunset=SUNSET)


def pass_the_sunset(story: Story) -> None:
    """The clock cannot be turned, so the day is."""

    def over(seen: Endpoint, _all: list[Endpoint]) -> Endpoint:
        assert seen.deprecation is not None
        return replace(seen, deprecation=replace(seen.deprecation, since=datetime(2020, 1, 1, tzinfo=UTC), sunset=PAST))

    with story.calling():
        with story.stage.database.write() as session:
            change_life(session, ACTOR, "deprecate", "iris", "v1", over)
        story.partners["beta"].settle(status=410, code="endpoint_retired", sunset=PAST)
        story.partners["corp"].settle(status=200, bridged=True, sunset=LONGER)


def retire(story: Story) -> date:
    """The day of it."""
    with story.calling():
        story.partners["corp"].settle(status=200, sunset=LONGER)
        wait_until(lambda: story.report()["tenants"]["corp"]["old_calls"] > 0)
        assert "corp" in story.operator("endpoints", "retire", "iris", "v1", code=1)
        story.operator("endpoints", "retire", "iris", "v1", "--force")
        retired_at: str = story.operator("endpoints", "show", "iris", "v1", "--json")["retired_at"]
        ended = datetime.fromisoformat(retired_at).date()
        for name in ("beta", "corp"):
            story.partners[name].settle(status=410, code="endpoint_retired", sunset=ended)
        story.partners["acme"].settle(path=V2, status=200, version="2.0.0", sunset=None)
    return ended


def check_outcomes(story: Story, ended: date) -> None:
    """What each was ever told is what was planned for it."""
    answered = Outcome(V1, 200, None, "1.0.0", False, None)
    for_all = {answered, Outcome(V2, 404, "not_found", None, False, None)}
    for_all |= {replace(answered, sunset=SUNSET), Outcome(V1, 410, "endpoint_brownout", None, False, SUNSET)}
    bridged = replace(answered, version="2.0.0", bridged=True, sunset=SUNSET)
    gone = Outcome(V1, 410, "endpoint_retired", None, False, ended)
    planned = {
        "acme": for_all | {Outcome(V2, 200, None, "2.0.0", False, None)},
        "beta": for_all | {bridged, replace(gone, sunset=PAST), gone},
        "corp": for_all | {bridged, replace(bridged, sunset=LONGER), gone},
    }
    for name, partner in story.partners.items():
        assert {each.outcome for each in partner.sent} == planned[name], name


def check_predictions(story: Story, labels: Mapping[str, Sequence[str]]) -> None:
    for partner in story.partners.values():
        for each in partner.sent:
            if each.outcome.status == 200:
                by = labels["bridged" if each.outcome.bridged else str(each.outcome.version)]
                assert each.answer.json()["predictions"][0]["label"] == by[each.flower]


def check_usage(story: Story) -> None:
    """Every call is one event and one line of the log, metered where it was answered."""
    with story.stage.database.read() as session:
        names = tenant_names(session)
        events = {
            event.request_id: (names[event.tenant_id], event.status, event.rows, event.model_version)
            for event in session.exec(select(UsageEventTable))
        }
    wanted = {
        each.answer.headers["x-request-id"]: (name, each.outcome.status, int(each.outcome.status == 200), each.outcome.version)
        for name, partner in story.partners.items()
        for each in partner.sent
    }
    assert events == wanted
    assert {line["request_id"] for line in logged(story) if line["path"] in (V1, V2)} == set(wanted)


def logged(story: Story) -> list[dict[str, Any]]:
    """The lines of calls in the server's log."""
    lines = (json.loads(line) for line in story.server.log.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line["logger"] == "gatehouse.calls"]

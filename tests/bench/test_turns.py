"""The comparison from end to end, with numbers so small that they say nothing about speed."""

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from stage import Stage

from gatehouse.serving.recipes import train_recipe

sys.path.append(str(Path(__file__).parents[2] / "scripts" / "bench"))

from comparison.contenders import Contender, bare, gatehouse, tutorial
from comparison.deployment import Deployment
from comparison.exchange import Exchange
from comparison.figures import all_figures
from comparison.road import REST, STAGES
from comparison.turns import Turns, in_turns, places, served
from stages import altered

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.endpoints("iris v1")
SHORT = Turns(rounds=1, seconds=0.2, warm_up_s=0.1)


@pytest.fixture
def deployment(stage: Stage) -> Iterator[Deployment]:
    of_stage = Deployment(stage.state_dir, {**stage.values, "GATEHOUSE_STATE_DIR": str(stage.state_dir)})
    yield of_stage
    of_stage.close()


def test_servers_are_measured_in_turns_and_each_answered_call_is_an_event(stage: Stage, deployment: Deployment, tmp_path: Path) -> None:
    estimator = tmp_path / "iris.joblib"
    estimator.write_bytes(train_recipe(ROOT / "models" / "iris", "v1"))
    contenders = [tutorial(tmp_path, estimator), gatehouse(deployment, stage.tenant("bench", "iris"))]

    with served(contenders, places()) as running:
        samples = in_turns(running, places(), SHORT, 4)
        assert all(each.ready_s > 0 and each.server.memory_bytes() > 10_000_000 for each in running)

    figures = all_figures(samples)
    assert set(figures) == {"tutorial", "Gatehouse"}
    assert all(each.calls_s > 0 and each.cpu_us > 0 and 0 < each.p50_ms <= each.p99_ms for each in figures.values())
    answered = samples["Gatehouse"][0].statuses
    assert set(answered) == {200}
    assert deployment.expected == deployment.events() == answered[200]
    assert f"{answered[200]:,} answered calls" in deployment.check_events()

    deployment.expected += 1
    with pytest.raises(SystemExit, match="calls were answered"):
        deployment.check_events()


def test_each_stage_of_the_budget_is_gone_through_by_a_prediction(stage: Stage, deployment: Deployment, tmp_path: Path) -> None:
    file = tmp_path / "clocks.json"
    ours = gatehouse(deployment, stage.tenant("bench", "iris"))
    clocked = replace(ours, start=partial(altered, deployment, ("--clocks", str(file))))

    with served([clocked], places()) as (running,):
        in_turns([running], places(), SHORT, 4)

    assert file.is_file(), running.server.said()  # it is not written where a function was not called
    taken = json.loads(file.read_text(encoding="utf-8"))
    assert list(taken) == [*(each.name for each in STAGES), REST]
    assert all(us > 0 for us in taken.values())


def test_a_server_that_answers_the_wrong_label_ends_the_measurement(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    honest = bare(tmp_path)
    wrong = tuple(Exchange(each.sent, 200, ((b'"label":"virginica"', 1),)) for each in honest.exchanges)

    with served([Contender("bare", honest.start, "/", wrong)], places()) as running, pytest.raises(SystemExit):
        in_turns(running, places(), SHORT, 1)
    assert "virginica" in capfd.readouterr().err

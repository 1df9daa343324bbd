"""What the newer model of a bridge answers is not trusted."""

from pathlib import Path

import pytest
from line_versions import LINE, NEWER, deployment, estimator, open_newer, write_version
from sqlmodel import select
from stage import IRIS_ROW, Stage, instances, problem

from gatehouse.db.tables import UsageEventTable
from gatehouse.operating.bridging import begin_bridge
from gatehouse.serving.manifest import GoldenRow

SLOPE = 1e305
"""A size of 200, ten times as much in v2, leads beyond the doubles."""


def test_row_91_an_answer_that_cannot_be_led_back_fails_its_call_alone_and_is_not_metered(stage: Stage, published: Path) -> None:
    steep, golden = estimator(0, 1), GoldenRow((1.5,), (1.5 * SLOPE,))
    steep.coef_ = steep.coef_ * SLOPE
    write_version(published, stage, "line", "2.0.0", steep, NEWER.format(most=2000), golden, engine="sklearn")
    open_newer(stage)
    begin_bridge(deployment(stage), "line", "v1", "v2")
    with stage.serving() as live:
        key = stage.tenant("acme", "line", "iris", plan="trial")
        for sizes in ([200], [1, 200], [1] * 30 + [200]):  # alone, among others, and in a call that is joined with no other
            refused = problem(live.predict(key, instances(*({"size": size} for size in sizes)), LINE), 500, "prediction_failed")
            assert not {"errors", "predictions"} & set(refused)
        fine = live.predict(key, instances({"size": 1}), LINE)
        assert fine.status_code == 200
        assert fine.json()["predictions"] == [{"value": pytest.approx(SLOPE)}]
        assert live.predict(key, instances(IRIS_ROW)).status_code == 200
    with stage.database.read() as session:
        events = [(row.model, row.status, row.rows) for row in session.exec(select(UsageEventTable)).all()]
    assert sorted(events) == [("iris", 200, 1), ("line", 200, 1), *[("line", 500, 0)] * 3]

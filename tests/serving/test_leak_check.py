"""Publishing an estimator that keeps training rows: refused by name, or accepted and written down."""

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from gatehouse.contracts.contract import parse_contract
from gatehouse.serving.estimator_elsewhere import EstimatorElsewhere
from gatehouse.serving.leak_check import check_embedded_data, described
from gatehouse.serving.manifest import EmbeddedData, ManifestInvalid, decode_manifest, encode_manifest
from gatehouse.serving.options import PublishOptions
from gatehouse.serving.publish import Publication, PublishRefused, publish
from gatehouse.serving.runtime import Runtime

RANDOM = np.random.default_rng(11)
ROWS = RANDOM.normal(size=(70, 2))
CLASSES = (ROWS[:, 0] > ROWS[:, 1]).astype(int)
ACCEPTED = PublishOptions(accept_embedded_data=True)
Publish = Callable[..., Publication]


@pytest.fixture
def publish_with(workshop: Any, pair_toml: str, dump: Any) -> Publish:
    def run(estimator: Any, options: PublishOptions) -> Publication:
        source = pair_toml.encode()
        return publish(
            dump(estimator),
            parse_contract(source, "test"),
            source,
            version="1.0.0",
            repository=workshop.repository,
            signer=workshop.signer,
            progress=lambda _note: None,
            now=datetime(2026, 11, 21, tzinfo=UTC),
            options=options,
        )

    return run


def test_an_estimator_that_keeps_rows_is_refused_in_one_line_that_names_place_and_remedy(publish_with: Publish, workshop: Any) -> None:
    neighbours = make_pipeline(StandardScaler(), KNeighborsClassifier()).fit(ROWS, CLASSES)
    with pytest.raises(PublishRefused) as refusal:
        publish_with(neighbours, PublishOptions())
    said = str(refusal.value)
    assert "Pipeline.steps[1][1].KNeighborsClassifier._fit_X (70 training rows)" in said
    assert "--accept-embedded-data" in said
    assert "train an estimator that keeps none" in said
    assert "\n" not in said
    assert workshop.repository.versions("pair") == ()


def test_an_accepted_one_is_published_and_its_rows_are_written_into_the_manifest_whatever_the_engine(
    publish_with: Publish, workshop: Any
) -> None:
    publication = publish_with(KNeighborsClassifier(algorithm="brute").fit(ROWS, CLASSES), ACCEPTED)
    kept = (EmbeddedData("KNeighborsClassifier._fit_X", "training rows", 70),)
    assert publication.embedded_data == kept
    assert workshop.repository.read("pair", "1.0.0").manifest.embedded_data == kept
    said = (publication.folder / "manifest.json").read_text()
    assert not [number for number in ROWS.ravel().tolist() if repr(number) in said]


def test_rows_under_an_unknown_name_are_found_by_their_number(publish_with: Publish) -> None:
    estimator = LogisticRegression().fit(ROWS, CLASSES)
    estimator.notes = {"kept": ROWS.tolist()}
    with pytest.raises(PublishRefused, match=r"LogisticRegression\.notes\['kept'\] \(70 entries, as many as training rows\)"):
        publish_with(estimator, PublishOptions(training_rows=70))


def test_an_estimator_of_another_environment_is_looked_through_there(dump: Any) -> None:
    elsewhere = EstimatorElsewhere(dump(SVC().fit(ROWS, CLASSES)), Runtime(Path(sys.executable)))
    with pytest.raises(PublishRefused, match=r"SVC\.support_vectors_ \(\d+ support vectors, which are training rows\)"):
        check_embedded_data(elsewhere, PublishOptions())
    [found] = check_embedded_data(elsewhere, ACCEPTED)
    assert found.place == "SVC.support_vectors_"


def test_a_version_published_before_the_check_stays_readable(workshop: Any, pair: bytes) -> None:
    manifest = workshop.manifest(pair)
    before = json.loads(encode_manifest(manifest))
    del before["embedded_data"], before["estimator_digest"]
    read = decode_manifest(json.dumps(before).encode())
    assert (read.embedded_data, read.estimator_digest) == (None, None)


@pytest.mark.parametrize(
    "members",
    [
        {"embedded_data": [{"place": "a", "what": "b", "rows": 1, "more": 2}]},
        {"embedded_data": [{"place": "a", "what": "b"}]},
        {"embedded_data": [{"place": "a", "what": "b", "rows": -1}]},
        {"embedded_data": "none"},
        {"estimator_digest": "00"},
    ],
    ids=str,
)
def test_findings_of_another_shape_are_refused(workshop: Any, pair: bytes, members: dict[str, Any]) -> None:
    changed = json.loads(encode_manifest(workshop.manifest(pair))) | members
    with pytest.raises(ManifestInvalid, match="publish the model again"):
        decode_manifest(json.dumps(changed).encode())


def test_many_findings_are_said_in_one_short_line() -> None:
    many = [EmbeddedData(f"Bagging.estimators_[{place}]", "training rows", 1200) for place in range(9)]
    said = described(many)
    assert said.startswith("Bagging.estimators_[0] (1,200 training rows), ")
    assert said.endswith("Bagging.estimators_[3] (1,200 training rows) and 5 more")

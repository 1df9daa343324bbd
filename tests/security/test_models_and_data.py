"""Models and data: what was changed is not loaded, and no URL gives away a model, its digest, its place or its training rows."""

import base64
import hashlib
import io
import json
import os
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import joblib
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_iris
from sqlalchemy import text
from stage import IRIS_ROW, Live, Stage, instances, problem, wait_until

from gatehouse.db.revision import hold_revision, record_change
from gatehouse.principal import Scope

GOOD = json.dumps(instances(IRIS_ROW)).encode()


class Sentinel:
    """A pickle that writes a file when somebody loads it."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.file}",)


def artifact_of(stage: Stage, model: str) -> Path:
    """The file that would be loaded."""
    folder = stage.state_dir / "models" / model / "1.0.0"
    (artifact,) = [file for file in folder.iterdir() if file.suffix in (".onnx", ".joblib")]
    return artifact


def rewrite(file: Path, content: bytes) -> None:
    """Put other bytes into a published file, as somebody with its rights could."""
    file.parent.chmod(0o700)
    file.chmod(0o600)
    file.write_bytes(content)


@pytest.mark.parametrize("model", ["line", "iris"])
def test_row_83_an_artifact_with_one_changed_byte_is_not_loaded_and_the_others_serve(stage: Stage, model: str) -> None:
    artifact = artifact_of(stage, model)
    content = bytearray(artifact.read_bytes())
    content[len(content) // 2] ^= 1
    rewrite(artifact, bytes(content))
    check_degraded(stage, model)


def test_row_83_a_swapped_pickle_is_never_unpickled(stage: Stage, tmp_path: Path) -> None:
    target = io.BytesIO()
    joblib.dump(Sentinel(tmp_path / "was-loaded"), target)
    rewrite(artifact_of(stage, "line"), target.getvalue())
    check_degraded(stage, "line")
    assert not (tmp_path / "was-loaded").exists()
    joblib.load(io.BytesIO(target.getvalue()))
    assert (tmp_path / "was-loaded").exists(), "the sentinel does work"


def check_degraded(stage: Stage, model: str) -> None:
    key = stage.tenant("acme", "iris", "line", "mixed")
    operator, partner_of_operator = stage.key("_operator"), stage.key("_operator", scopes={Scope.METRICS_READ})
    bodies = {"iris": instances(IRIS_ROW), "line": instances({"size": 1.0})}
    with stage.serving() as live:
        for name, body in bodies.items():
            answer = live.predict(key, body, f"/v1/models/{name}/predict")
            if name == model:
                problem(answer, 503, "endpoint_unavailable")
                assert int(answer.headers["retry-after"]) > 0
            else:
                assert answer.status_code == 200
        assert live.get("/health").json() == {"status": "ok"}
        for caller in (None, key, partner_of_operator):
            ready = live.get("/health/ready", caller)
            assert (ready.status_code, ready.json()) == (200, {"status": "degraded"})
        told = live.get("/health/ready", operator).json()
        assert (told["status"], list(told["failures"])) == ("degraded", [f"{model}/v1"])


def test_row_83_a_version_without_its_signature_or_with_anothers_is_not_loaded(stage: Stage) -> None:
    folder = stage.state_dir / "models"
    (folder / "mixed" / "1.0.0").chmod(0o700)
    signature = next((folder / "mixed" / "1.0.0").glob("*.sig"))
    rewrite(next((folder / "line" / "1.0.0").glob("*.sig")), signature.read_bytes())
    signature.unlink()
    key = stage.tenant("acme", "iris", "line", "mixed")
    with stage.serving() as live:
        for model in ("line", "mixed"):
            problem(live.predict(key, {"instances": [{}]}, f"/v1/models/{model}/predict"), 503, "endpoint_unavailable")
        assert live.predict(key, GOOD).status_code == 200


# --------------------------------------------------------------------- 64: decimals

NUMBER = st.floats(0, 200, allow_nan=False, allow_infinity=False)
MIXED_ROWS = st.fixed_dictionaries(
    {
        "amount": st.none() | NUMBER,
        "visits": st.integers(0, 50),
        "member": st.booleans(),
        "colour": st.sampled_from(["red", "green", "blue"]),
    }
)
OUTPUTS = st.none() | st.lists(st.sampled_from(["label", "confidence", "probabilities"]), min_size=1, max_size=3, unique=True)


@pytest.fixture(scope="module")
def caller(module_stage: Stage) -> str:
    return module_stage.tenant("counter", "mixed", "line", "crowd")


@settings(max_examples=40, deadline=None)
@given(rows=st.lists(MIXED_ROWS, min_size=1, max_size=40), outputs=OUTPUTS)
def test_row_64_a_contract_of_3_decimals_never_answers_more_whatever_outputs_are_asked_for(
    live: Live, caller: str, rows: list[dict[str, Any]], outputs: list[str] | None
) -> None:
    asked = {} if outputs is None else {"outputs": outputs}
    for body in (instances(*rows), instances(rows[0])):
        check_decimals(live, caller, "mixed", body | asked, 3)


@settings(max_examples=40, deadline=None)
@given(sizes=st.lists(NUMBER, min_size=1, max_size=40))
def test_row_64_a_regression_never_answers_more_than_the_decimals_of_its_contract(live: Live, caller: str, sizes: list[float]) -> None:
    for body in (
        instances(*({"size": size} for size in sizes)),
        instances({"size": sizes[0]}),
        {"columns": ["size"], "data": [[sizes[0]]]},
    ):
        check_decimals(live, caller, "line", body, 2)


def test_row_64_a_contract_of_many_decimals_does_answer_them(live: Live, caller: str) -> None:
    """So that the check above sees decimals where there are some."""
    answer = live.predict(caller, instances({"size": 1.2345, "weight": 2.3456}), "/v1/models/crowd/predict")
    assert max(decimals_of(json.loads(answer.text, parse_float=Decimal))) > 3


def check_decimals(live: Live, caller: str, model: str, body: dict[str, Any], most: int) -> None:
    answer = live.predict(caller, body, f"/v1/models/{model}/predict")
    assert answer.status_code == 200, answer.text
    predictions = json.loads(answer.text, parse_float=Decimal)["predictions"]
    assert len(predictions) == len(body.get("instances") or body["data"])
    assert all(each <= most for each in decimals_of(predictions)), answer.text


def decimals_of(value: Any) -> Iterator[int]:
    """Of every number of an answer, as it is written there."""
    if isinstance(value, Decimal):
        yield max(0, -int(value.as_tuple().exponent))
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from decimals_of(each)


# --------------------------------------------------------------------- 87: the crawl


def secrets_of(stage: Stage) -> list[bytes]:
    """What no answer may hold: digests, places, pieces of files, training rows."""
    found = [str(stage.state_dir).encode(), b".joblib", b".onnx", b"gatehouse.db", b"trusted-keys"]
    for file in (stage.state_dir / "models").rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            digest = hashlib.sha256(content)
            found += [digest.hexdigest().encode(), base64.b64encode(digest.digest())]
            if file.suffix in (".joblib", ".onnx", ".sig"):
                found += [content[:24], content[len(content) // 2 :][:24]]
    for row in load_iris().data[::7]:
        values = [float(value) for value in row]
        found += [json.dumps(values).encode(), json.dumps(values, separators=(",", ":")).encode()]
    return [each for each in found if each]


def urls_of(live: Live, key: str) -> list[str]:
    """Every documented path, every file of the deployment as a path, and the guesses of those who look for models."""
    documented = {path for caller in (key, None) for path in live.get("/openapi.json", caller).json()["paths"]}
    urls = [path.replace("{api_version}", "v1").replace("{model}", "iris").replace("{code}", "not_found") for path in sorted(documented)]
    for file in live.stage.state_dir.rglob("*"):
        name = str(file.relative_to(live.stage.state_dir))
        urls += [f"/{name}", f"/v1/{name}", f"/.gatehouse/{name}", f"/static/{name}", f"/docs/assets/{name}"]
    guesses = ["", "/download", "/artifact", "/model.joblib", "/model.onnx", "/manifest.json", "/1.0.0", "/1.0.0/model.joblib", "/metadata"]
    urls += [f"/{version}/models/iris{guess}" for version in ("v1", "v2", "oip/v2") for guess in guesses]
    urls += [
        "/metrics",
        "/admin",
        "/admin/keys",
        "/admin/models",
        "/debug",
        "/.env",
        "/.git/config",
        "/settings.env",
        "/v1/models?format=raw",
    ]
    return sorted(set(urls))


def test_row_87_no_url_gives_a_model_its_digest_its_place_or_a_training_row(module_stage: Stage) -> None:
    stage = module_stage
    stage.tenant("acme", "iris", "line", "mixed")
    with stage.serving(docs="open") as live:
        tenant_scopes = [Scope.PREDICTIONS_CREATE, Scope.MODELS_READ, Scope.ACCOUNT_READ, Scope.USAGE_READ, Scope.KEYS_MANAGE]
        keys = [stage.key("acme", scopes={scope}) for scope in tenant_scopes]
        keys += [stage.key("_operator", scopes={scope}) for scope in Scope]
        urls = urls_of(live, keys[1])
        secrets = secrets_of(stage)
        every_method = stage.key("acme")
        for key, methods in [*((key, ("GET",)) for key in keys), (every_method, ("HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))]:
            for url in urls:
                for method in methods:
                    content = GOOD if method == "POST" else b""
                    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
                    answer = live.client.request(method, url, headers=headers, content=content)
                    whole = answer.content + repr(answer.headers).encode()
                    assert answer.status_code < 500
                    for secret in secrets:
                        assert secret not in whole, (method, url, secret)
        assert len(urls) > 100


def test_row_88_a_preview_and_a_retired_endpoint_are_told_only_to_the_granted(stage: Stage) -> None:
    with stage.serving() as live:
        granted, named, stranger = stage.tenant("acme", "iris"), stage.tenant("named"), stage.tenant("stranger", "mixed")
        stage.grant("named", "iris", "v1")
        assert live.predict(granted, GOOD).status_code == 200
        set_state(stage, "retired")
        wait_until(lambda: live.predict(granted, GOOD).status_code == 410)
        problem(live.predict(granted, GOOD), 410, "endpoint_retired")
        problem(live.predict(stranger, GOOD), 404, "not_found")
        set_state(stage, "preview")
        wait_until(lambda: live.predict(granted, GOOD).status_code == 404)
        wait_until(lambda: live.predict(named, GOOD).status_code == 200)  # what was retired is loaded anew
        problem(live.predict(stranger, GOOD), 404, "not_found")


def set_state(stage: Stage, state: str) -> None:
    with stage.database.write() as session:
        hold_revision(session)
        session.execute(text("UPDATE endpoint SET state = :state WHERE model = 'iris' AND api_version = 'v1'"), {"state": state})
        record_change(session, "endpoint", "iris/v1")

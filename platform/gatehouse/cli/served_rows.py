"""`gatehouse models rows`: some rows as they are served, beside scikit-learn's own answer."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gatehouse.cli.deployment import Deployment, open_deployment
from gatehouse.cli.given_file import read_file
from gatehouse.cli.output import Json, example, print_json, print_table
from gatehouse.cli.sample import Sample, read_sample, typed_rows
from gatehouse.contracts.contract import Contract
from gatehouse.errors import NotKnown, PredictionFailed, Refused
from gatehouse.migration.endpoint import api_version_of
from gatehouse.migration.store import list_endpoints
from gatehouse.operating.published import read_contract, repository_of
from gatehouse.serving.kept_estimator import FOLDER, EstimatorMissing, KeptEstimator, kept_estimator
from gatehouse.serving.repository import VerifiedVersion, VersionInvalid, VersionMissing

if TYPE_CHECKING:
    from gatehouse.serving.own_answers import Answer

ROWS = 5
SHOWN_LABELS = 3
EPILOG = example("gatehouse models rows churn --sample rows.csv\n  gatehouse models rows churn --sample rows.csv --version 1.1.0 --json")


@dataclass(frozen=True, slots=True)
class RowsWish:
    """`version` None is what the newest endpoint that is not retired serves; the files are the kept ones unless given."""

    model: str
    sample: Path
    version: str | None = None
    estimator: Path | None = None
    code: Path | None = None


@dataclass(frozen=True, slots=True)
class ServedRow:
    """`differs`: dotted names of what scikit-learn answers otherwise."""

    row: int
    served: "Answer"
    own: "Answer"
    differs: Sequence[str]


@dataclass(frozen=True, slots=True)
class ServedRows:
    model: str
    version: str
    engine: str
    decimals: int
    rows: Sequence[ServedRow]

    @property
    def same(self) -> bool:
        return not any(row.differs for row in self.rows)


def show_rows(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A published model.")],
    sample: Annotated[Path, typer.Option("--sample", metavar="CSV", help=f"Rows with a header, of which the first {ROWS} are shown.")],
    version: Annotated[str | None, typer.Option("--version", help="Another version than the one that serves.")] = None,
    estimator: Annotated[
        Path | None, typer.Option("--estimator", metavar="FILE", help="The file that was published, where it is not kept on this machine.")
    ] = None,
    code: Annotated[Path | None, typer.Option("--code", metavar="FILE", help="The code that was published with it.")] = None,
    json: Json = False,
) -> None:
    """Show some rows as they are served, beside scikit-learn's own answer; exit code 1 where they differ."""
    with open_deployment() as deployment:
        shown = serve_rows(deployment, RowsWish(model, sample, version, estimator, code))
    if json:
        print_json(facts(shown))
    else:
        _report(shown)
    if not shown.same:
        raise typer.Exit(1)


def serve_rows(deployment: Deployment, wish: RowsWish) -> ServedRows:
    """Both answers to the first rows of the sample. Raises Refused."""
    # scikit-learn takes seconds to load; only this command needs it
    from gatehouse.serving.engine import EngineUnusable
    from gatehouse.serving.fit import PublishRefused
    from gatehouse.serving.own_answers import differences, own_answers
    from gatehouse.serving.space import to_values

    sample = read_sample(read_file(wish.sample), str(wish.sample))
    version = wish.version or _served_version(deployment, wish.model)
    verified, contract = _read(deployment, wish.model, version)
    file = _published_file(deployment, verified, wish)
    try:
        estimator, sample = _opened(file, verified, contract, sample)
        rows = typed_rows(replace(sample, rows=sample.rows[:ROWS]), contract)
        values = to_values(contract.features, rows)
        served = _answers(deployment, contract, version, values)
        own = own_answers(estimator, values, contract)
    except (PublishRefused, EngineUnusable) as error:
        raise Refused(str(error)) from None
    shown = [
        ServedRow(place, ours, theirs, differences(ours, theirs, contract.output))
        for place, (ours, theirs) in enumerate(zip(served, own, strict=True), 1)
    ]
    return ServedRows(wish.model, version, verified.manifest.engine, contract.output.decimals, shown)


def facts(shown: ServedRows) -> dict[str, Any]:
    """The same for programs, numbers of scikit-learn unrounded."""
    rows = [{"row": row.row, "served": row.served, "sklearn": row.own, "differs": [*row.differs]} for row in shown.rows]
    return {"model": shown.model, "version": shown.version, "engine": shown.engine, "same": shown.same, "rows": rows}


def _served_version(deployment: Deployment, model: str) -> str:
    with deployment.database.read() as session:
        endpoints = list_endpoints(session)
    found = [endpoint for endpoint in endpoints if endpoint.model == model and endpoint.state != "retired"]
    if not found:
        raise NotKnown("model with an endpoint", model, sorted({endpoint.model for endpoint in endpoints}))
    return max(found, key=lambda endpoint: int(endpoint.api_version[1:])).stable_version


def _read(deployment: Deployment, model: str, version: str) -> tuple[VerifiedVersion, Contract]:
    try:
        verified = repository_of(deployment.settings).read(model, version)
    except (VersionMissing, VersionInvalid) as error:
        raise Refused(str(error)) from None
    return verified, read_contract(verified.contract, f"contract of {model} {version}")


def _published_file(deployment: Deployment, verified: VerifiedVersion, wish: RowsWish) -> KeptEstimator:
    if verified.manifest.engine == "sklearn":
        return KeptEstimator(verified.artifact, verified.code)
    try:
        return kept_estimator(deployment.settings.state_dir / FOLDER, verified.manifest, wish.estimator, wish.code)
    except EstimatorMissing as error:
        raise Refused(str(error)) from None


def _opened(file: KeptEstimator, verified: VerifiedVersion, contract: Contract, sample: Sample) -> tuple[Any, Sample]:
    """The estimator as publishing opened it, and the sample under the contract's names."""
    from gatehouse.cli.drafting import Told, renamed_sample
    from gatehouse.serving.facts import facts_of
    from gatehouse.serving.opening import open_estimator
    from gatehouse.serving.options import PublishOptions

    saved_by = verified.manifest.libraries.get("scikit-learn")
    options = PublishOptions(code=file.code, sklearn_version=None if saved_by == installed_version("scikit-learn") else saved_by)
    estimator = open_estimator(file.artifact, options, lambda note: typer.echo(note, err=True)).estimator
    told = facts_of(estimator)
    return estimator, renamed_sample(sample, contract, lambda: told, Told())


def _answers(deployment: Deployment, contract: Contract, version: str, values: Any) -> "list[Answer]":
    """By the road of a server: verified, its golden row checked, its own predictor."""
    from gatehouse.serving.registry import NotServable, Registry

    registry = Registry(repository_of(deployment.settings), lambda _source: (contract, contract))
    try:
        served = registry.load(contract.model, api_version_of(version), version)
        return served.predictor.answer(values, tuple(contract.output.returns))
    except NotServable as error:
        raise Refused(error.reason) from None
    except PredictionFailed as error:
        raise Refused(f"{contract.model} {version} has no answer to these rows ({error.reason}); callers get 500 for them") from None


def _report(shown: ServedRows) -> None:
    lines = [line for row in shown.rows for line in _lines(row, shown.decimals)]
    print_table(("row", "output", f"served by {shown.model} {shown.version} ({shown.engine})", "scikit-learn", ""), lines)
    if shown.same:
        typer.echo(f"{len(shown.rows)} rows: served as scikit-learn answers them")
    else:
        wrong = sum(bool(row.differs) for row in shown.rows)
        typer.echo(f"{wrong} of {len(shown.rows)} rows are served otherwise than scikit-learn answers them: publish the model again")


def _lines(row: ServedRow, decimals: int) -> list[tuple[str, ...]]:
    lines: list[tuple[str, ...]] = []
    for place, (name, ours) in enumerate(row.served.items()):
        wrong = any(each == name or each.startswith(f"{name}.") for each in row.differs)
        cells = (_shown(ours, decimals), _shown(row.own[name], decimals + 2))
        lines.append((str(row.row) * (place == 0), name, *cells, "differs" * wrong))
    return lines


def _shown(answer: Any, decimals: int) -> str:
    if isinstance(answer, dict):
        numbers = [(name, value) for name, value in answer.items() if isinstance(value, float)]
        kept = sorted(numbers, key=lambda each: -each[1])[:SHOWN_LABELS] if len(numbers) == len(answer) else [*answer.items()]
        more = f" and {len(answer) - len(kept)} more" if len(answer) > len(kept) else ""
        return ", ".join(f"{name} {_shown(value, decimals)}" for name, value in kept) + more
    return f"{answer:.{decimals}f}" if isinstance(answer, float) else str(answer)

"""`gatehouse contracts`: draft one for an estimator, see one, and see what changed between two."""

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from gatehouse.cli.deployment import settings_or_refusal
from gatehouse.cli.drafting import FEATURES_HELP, LABELS_HELP, TARGETS_HELP, draft_contract, facts_of_artifact, model_name, told_by
from gatehouse.cli.given_file import read_file
from gatehouse.cli.one_line import cause_of
from gatehouse.cli.output import Json, example, print_json, print_table
from gatehouse.cli.sample import read_sample
from gatehouse.cli.upgrade_proofs import beside
from gatehouse.contracts.cells import range_detail
from gatehouse.contracts.compatibility import Change, Level, compare, level
from gatehouse.contracts.contract import Contract
from gatehouse.contracts.feature import NUMERIC_TYPES, Feature
from gatehouse.contracts.openapi import describe
from gatehouse.contracts.proved_upgrade import UpgradeProof, proof_facts, prove_upgrade
from gatehouse.contracts.upgrade import rules_from
from gatehouse.errors import Refused
from gatehouse.operating.published import contract_of, newest_contract, read_contract, repository_of
from gatehouse.serving.names import parse_api_version

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="What partners may send and will get: draft, check, show, diff.",
    epilog=example("gatehouse contracts draft churn.joblib --sample rows.csv --output churn-v1.toml"),
)

VERDICTS: dict[Level, str] = {
    "patch": "no change for callers: the next version can be a patch",
    "minor": "compatible: callers can go on unchanged; the next version is a minor",
    "major": "breaking: make a new major, with the next api_version, so that callers of the old one stay where they are",
}
NEW_MAJOR = "breaking, as a new major may be: callers of {old} stay there until they move to {new}"
SOURCE = "A TOML file, or MODEL@VERSION of a published one."


@app.command(
    "draft", epilog=example("gatehouse contracts draft churn.joblib --sample rows.csv --labels stays,leaves --output churn-v1.toml")
)
def draft_file(
    file: Annotated[
        Path, typer.Argument(metavar="ARTIFACT", help="The fitted estimator, written by joblib. Your own: loading it runs it.")
    ],
    sample: Annotated[
        Path | None, typer.Option("--sample", metavar="CSV", help="Some rows with a header: names and types are read off it, no bounds.")
    ] = None,
    features: Annotated[str | None, typer.Option("--features", metavar="A,B,…", help=FEATURES_HELP)] = None,
    labels: Annotated[
        list[str] | None,
        typer.Option("--labels", metavar="A,B,…", help=LABELS_HELP),
    ] = None,
    targets: Annotated[str | None, typer.Option("--targets", metavar="A,B,…", help=TARGETS_HELP)] = None,
    model: Annotated[str | None, typer.Option("--model", metavar="NAME", help="The file's name unless given.")] = None,
    api_version: Annotated[str, typer.Option("--api-version", help="v1, v2, …")] = "v1",
    out: Annotated[Path | None, typer.Option("--output", metavar="FILE", help="Where to write it; an existing file is kept.")] = None,
) -> None:
    """Draft a contract for an estimator, to be read and completed before it is published."""
    told = told_by(features, labels, targets)
    rows = read_sample(read_file(sample), str(sample)) if sample is not None else None
    name = model or model_name(file.stem)
    text = draft_contract(facts_of_artifact(read_file(file)), name, api_version, rows, told)
    if out is None:
        typer.echo(text, nl=False)
        return
    _write(out, text)
    typer.echo(f"{out} is drafted: read it, then gatehouse {shlex.join(['models', 'publish', str(file), '--contract', str(out)])}")


@app.command("check", epilog=example("gatehouse contracts check models/iris/v2.toml"))
def check(
    source: Annotated[str, typer.Argument(metavar="CONTRACT", help=SOURCE)],
    old: Annotated[
        list[str] | None,
        typer.Option(
            "--old", metavar="OLD", help="The older contract, if it is neither beside CONTRACT nor published here. Once for each."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Read a contract, and prove that its upgrade rules make every older row a valid one."""
    contract = _contract(source)
    given = {each.api_version: (origin, each) for origin in old or () for each in [_contract(origin)]}
    stray = [origin for api_version, (origin, _) in given.items() if rules_from(contract, api_version) is None]
    if stray:
        raise Refused(f"{source} has no rules that lead up from {stray[0]}: write [upgrade.from.…], or leave it out")
    proofs = [_proof(rules.old, contract, source, given.get(rules.old)) for rules in contract.upgrades]
    if json:
        print_json({"model": contract.model, "api_version": contract.api_version, "upgrades": proof_facts(proofs)})
        return
    typer.echo(f"{source} is a contract of {contract.model}/{contract.api_version}")
    typer.echo("\n".join(map(str, proofs)) or "it has no upgrade rules, so callers of older API versions cannot be bridged to it")


@app.command("diff", epilog=example("gatehouse contracts diff iris@1.0.0 models/iris/v1.toml"))
def diff(
    old: Annotated[str, typer.Argument(metavar="OLD", help=SOURCE)],
    new: Annotated[str, typer.Argument(metavar="NEW", help=SOURCE)],
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit with 1 where a change is breaking; else always with 0.")] = False,
    json: Json = False,
) -> None:
    """Say field by field what changed, and whether callers can go on unchanged."""
    before, after = _contract(old), _contract(new)
    changes = compare(before, after)
    needed = level(changes)
    if json:
        print_json({"level": needed, "compatible": needed != "major", "changes": [_change_facts(change) for change in changes]})
    else:
        _show_changes(changes)
        new_major = before.model == after.model and parse_api_version(before.api_version) < parse_api_version(after.api_version)
        typer.echo(NEW_MAJOR.format(old=before.api_version, new=after.api_version) if new_major else VERDICTS[needed])
    if exit_code and needed == "major":
        raise typer.Exit(1)


@app.command("show", epilog=example("gatehouse contracts show iris@1.0.0"))
def show(source: Annotated[str, typer.Argument(metavar="CONTRACT", help=SOURCE)], json: Json = False) -> None:
    """Show a contract as partners see it."""
    contract = _contract(source)
    if json:
        print_json({"model": contract.model, "api_version": contract.api_version, **describe(contract)})
        return
    rows = [(feature.name, feature.type, _rule(feature), _if_missing(feature), str(feature.example)) for feature in contract.features]
    print_table(("field", "type", "rule", "if missing", "example"), rows)
    answer = describe(contract)["output"]
    typer.echo(f"answers {contract.output.task}: {', '.join(answer['returns'])}")
    if contract.output.labels:
        typer.echo(f"labels: {', '.join(answer['labels'])}")


def _contract(source: str) -> Contract:
    """A file wins over a published version, so that the same words mean the same on every machine with that file."""
    file = Path(source)
    model, at, version = source.partition("@")
    if at and not file.exists():
        return contract_of(settings_or_refusal(), model, version)
    return read_contract(read_file(file), source)


def _proof(api_version: str, new: Contract, source: str, given: tuple[str, Contract] | None) -> UpgradeProof:
    """Against the older contract that is given, else the one beside the file, else the newest that is published. Raises Refused."""
    if given is not None:
        return prove_upgrade(given[1], new, source, given[0])
    file = beside(Path(source), api_version)
    if Path(source).exists() and file.exists():
        return prove_upgrade(_contract(str(file)), new, source, str(file))
    found = newest_contract(repository_of(settings_or_refusal()), new.model, api_version)
    if found is None:
        raise Refused(f"{new.model} {api_version} is neither published here nor in {file}: name its contract with --old")
    return prove_upgrade(found[1], new, source, found[0])


def _write(file: Path, text: str) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)  # models/NAME, for a model that is new
        with file.open("x", encoding="utf-8") as target:
            target.write(text)
    except FileExistsError:
        raise Refused(f"{file} exists already and is not overwritten: give another name, or remove it") from None
    except OSError as error:
        raise Refused(f"{file} cannot be written: {cause_of(error)}") from None


def _show_changes(changes: tuple[Change, ...]) -> None:
    if changes:
        rows = [(each.place, each.kind, "compatible" if each.compatible else "breaking", each.detail or each.reason) for each in changes]
        print_table(("where", "change", "for callers", ""), rows)


def _change_facts(change: Change) -> dict[str, Any]:
    return {
        "place": change.place,
        "kind": change.kind,
        "compatible": change.compatible,
        "detail": change.detail,
        "reason": change.reason,
    }


def _rule(feature: Feature) -> str:
    if feature.type == "number" and -feature.lowest[0] == feature.highest[0] == feature.ceiling:
        return "number"  # no bound is written: the ceiling is a 32-bit float's own
    if feature.type in NUMERIC_TYPES - {"boolean"}:
        return range_detail(feature).removeprefix("must be ")
    if feature.allowed is not None:
        return ", ".join(feature.allowed)
    return "true or false" if feature.type == "boolean" else f"at most {feature.max_length} characters"


def _if_missing(feature: Feature) -> str:
    missing = "refused" if feature.required else "null" if feature.default is None else str(feature.default)
    return f"{missing}; null is allowed" if feature.nullable and missing != "null" else missing

"""The migration report for reading: what would fail, a table of tenants and keys, and the reasons of each verdict."""

import textwrap
from collections.abc import Iterator

import typer
from rich.console import Console

from gatehouse.cli.endpoint_facts import life_of
from gatehouse.cli.output import day, print_table
from gatehouse.cli.usage_lines import counted
from gatehouse.migration.report import KeyRow, MigrationReport, TenantRow
from gatehouse.migration.report_standing import Moves
from gatehouse.migration.report_verdict import Verdict, Word


def print_report(report: MigrationReport) -> None:
    """To the width of the terminal; nothing is folded in files and pipes."""
    old, new = report.pair.old, report.pair.new
    _say(life_of(old, report.at) + (f"; it is answered by {old.bridged_to}" if old.bridged_to else ""))
    _say(off_text(report))
    if not report.tenants:
        _say(f"nobody may call {old.name}, and nobody has since {report.since}")
        return
    _say(f"calls since {report.since} (UTC) that reached an endpoint, answered or refused; those that got 410 are left out")
    _say(compared_text(report))
    columns = ("tenant and keys", f"last {old.api_version} call", old.api_version, new.api_version, f"% on {new.api_version}", "verdict")
    print_table(columns, [line for row in report.tenants for line in _lines(row)])
    for row in report.tenants:
        _say_reasons(report, row)
    found = ", ".join(f"{count:,} {word_text(word)}" for word, count in report.verdicts.items() if count)
    _say(f"{counted(len(report.tenants), 'tenant')}: {found}")


def off_text(report: MigrationReport) -> str:
    """What would fail."""
    old, off = report.pair.old, report.switched_off
    if old.state_at(report.at) == "retired" and not off.tenants:
        gone = sum(row.standing.moves.gone_calls for row in report.tenants)
        return f"{old.name} is switched off: {counted(gone, 'call')} since {report.since} got 410"
    if not off.tenants:
        return f"if {old.name} were switched off now: nothing would fail, no call was answered in 7 days"
    calls = f"{off.calls_a_day:,.1f}".removesuffix(".0")
    return f"if {old.name} were switched off now: {counted(off.tenants, 'tenant')}, {calls} calls a day would fail (answered in 7 days)"


def compared_text(report: MigrationReport) -> str:
    """What differences and upgrade failures are of, or why nothing is known of them."""
    old, new = report.pair.old, report.pair.new
    if report.compared_with is not None:
        return f"compared with {new.model} {report.compared_with}"
    if report.pair.rules is False:
        return f"upgrade failures are not known: the contract of {new.name} has no rules from {old.api_version}"
    shadow = f"gatehouse endpoints shadow {old.model} {old.api_version} --with {new.api_version} --share 100"
    return f"upgrade failures and differences are not known: {shadow}"


def word_text(word: Word) -> str:
    return word.value.replace("_", " ")


def _lines(row: TenantRow) -> Iterator[tuple[str, ...]]:
    yield _cells(row.tenant, row.standing.moves, row.verdict)
    for key in row.keys:
        yield _cells(f"  {_key_text(key)}", key.moves, key.verdict)


def _key_text(key: KeyRow) -> str:
    name = key.key.id if key.key.name is None else f"{key.key.name} {key.key.id}"
    return name if key.key.ended is None else f"{name}, {key.key.ended}"


def _cells(name: str, moves: Moves, verdict: Verdict) -> tuple[str, ...]:
    share = "" if moves.share is None else f"{100 * moves.share:.0f}"
    last = f"{moves.last_old:%Y-%m-%d %H:%M}" if moves.last_old else "never"
    return (name, last, f"{moves.old_calls:,}", f"{moves.new_calls:,}", share, word_text(verdict.word))


def _say_reasons(report: MigrationReport, row: TenantRow) -> None:
    typer.echo(f"{row.tenant}: {word_text(row.verdict.word)}")
    hints = _hints(report, row)
    for reason in row.verdict.reasons:
        _say(reason.text + (f": {hints[reason.code]}" if reason.code in hints else ""), "  - ")
    if row.verdict.word not in (Word.MOVED, Word.SILENT):
        for line in _standing_lines(report, row):
            _say(line, "  ")


def _hints(report: MigrationReport, row: TenantRow) -> dict[str, str]:
    """The command that takes a reason away, where one does."""
    model, old, new = report.pair.old.model, report.pair.old.api_version, report.pair.new.api_version
    return {
        "new_not_granted": f"gatehouse grants add {row.tenant} {model} --api-version {new}",
        "new_preview": f"gatehouse endpoints activate {model} {new}",
        "not_tried": f"gatehouse endpoints shadow {model} {old} --with {new} --share 100",
        "never_told": f"gatehouse notices list --tenant {row.tenant}",
    }


def _standing_lines(report: MigrationReport, row: TenantRow) -> Iterator[str]:
    told, shadow = row.standing.told, row.standing.shadow
    if row.last_day is not None:
        by_notice, by_answer = (day(at, "never") for at in (told.by_notice, told.by_answer))
        yield f"{report.pair.old.api_version} until {row.last_day}; last told by a notice: {by_notice}, by an answer: {by_answer}"
    if shadow is not None and shadow.rows:
        share = f", {100 * shadow.disagreed / shadow.compared:.1f} % answered otherwise" if shadow.compared else ""
        yield f"{counted(shadow.compared, 'row')} compared{share}; {shadow.not_upgraded:,} not upgraded"


def _say(text: str, indent: str = "") -> None:
    console = Console()
    width = console.width if console.is_terminal else 10_000
    typer.echo(
        textwrap.fill(
            text, width, initial_indent=indent, subsequent_indent=" " * len(indent), break_long_words=False, break_on_hyphens=False
        )
    )

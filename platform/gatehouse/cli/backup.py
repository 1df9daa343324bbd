"""`gatehouse backup`: all of a deployment in one file, and back into an empty place."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
from sqlalchemy.exc import DBAPIError

from gatehouse.cli.backup_settings import left_out, settings_text, still_missing, told_here_alone, values_of_place
from gatehouse.cli.deployment import LONGEST_WAIT_S, settings_or_refusal
from gatehouse.cli.ended_by_signals import ended_by_signals
from gatehouse.cli.one_line import database_cause
from gatehouse.cli.output import Json, example, print_json, say_next
from gatehouse.cli.progress import amount_bar
from gatehouse.cli.secret_settings import SECRETS, fresh_secret
from gatehouse.cli.settings_file import settings_file, what_is_set
from gatehouse.cli.usage_lines import counted
from gatehouse.cli.written_file import new_binary_file
from gatehouse.db.session import Database, DatabaseUnreachable, DatabaseUrlInvalid, open_database, wait_until_reachable
from gatehouse.errors import Refused
from gatehouse.operating.backup_archive import Manifest, opened_archive
from gatehouse.operating.backup_making import Wanted, make_backup
from gatehouse.operating.backup_place import Place, check_inside, check_place
from gatehouse.operating.backup_restoring import check_archive
from gatehouse.operating.backup_restoring import restore as put_back
from gatehouse.settings import Settings, SettingsInvalid, settings_from

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Database, published models, keys and settings in one file, and back into an empty place.",
    epilog=example("gatehouse backup create gatehouse.backup"),
)
File = Annotated[Path, typer.Argument(metavar="FILE", help="The file of the backup.")]


@app.command(epilog=example("gatehouse backup create gatehouse.backup"))
@ended_by_signals()
def create(
    file: File,
    without_secrets: Annotated[
        bool, typer.Option("--without-secrets", help="Leave out the secrets of the settings and the private publishing key.")
    ] = False,
    json: Json = False,
) -> None:
    """Write a backup while servers run: each call that was answered before is in it once. It holds secrets unless they are left out."""
    settings = settings_or_refusal()
    text = settings_text(settings_file(), secrets=not without_secrets)
    missing = left_out(settings_file(), secrets=not without_secrets)
    wanted = Wanted(text, not without_secrets, version("gatehouse"), missing)
    with _database(settings, made=False) as database, new_binary_file(file) as target:
        manifest = make_backup(target, settings, database, wanted, amount_bar)
    if json:
        print_json({"file": str(file), "bytes": file.stat().st_size, **_facts(manifest), "secrets_left_out": missing})
        return
    typer.echo(f"{file}: {_contents(manifest)}; {file.stat().st_size:,} bytes")
    if manifest.secrets:
        typer.echo("IT HOLDS SECRETS: whoever has this file can act as this deployment. Keep it as you keep a password.")
    if missing:
        typer.echo(f"not in it, and needed by whoever restores it: {', '.join(missing)}")


@app.command(epilog=example("GATEHOUSE_STATE_DIR=/srv/gatehouse gatehouse backup restore gatehouse.backup"))
@ended_by_signals()
def restore(file: File, json: Json = False) -> None:
    """Put a backup into an empty state folder and an empty database, once every digest of it has been verified."""
    place_of_settings = settings_file()
    with opened_archive(file) as archive:
        text = archive.settings()
        values = values_of_place(text, place_of_settings)
        manifest = archive.manifest
        if manifest.dialect == "postgresql" and "GATEHOUSE_DATABASE_URL" not in values:
            raise Refused(
                "the backup is of PostgreSQL, and its GATEHOUSE_DATABASE_URL is not in it: "
                "set it to an empty PostgreSQL database, or to sqlite:///PATH of a new file"
            )
        missing = [name for name in SECRETS if name not in values]
        more = still_missing(manifest.secrets_left_out, values)
        here = told_here_alone(text, values)
        place = Place(_settings(values, missing, place_of_settings), text)
        check_inside(place, what_is_set(place_of_settings)[1])
        check_place(place)
        check_archive(archive, place, amount_bar)
        with _database(place.settings, made=True) as database:
            put_back(archive, place, database, amount_bar)
    if json:
        facts = {"secrets_missing": missing + more, "settings_of_this_command": here}
        print_json({"state_dir": str(place.state_dir), **_facts(manifest), **facts})
        return
    typer.echo(f"restored into {place.state_dir}, as of {manifest.made_at}: {_contents(manifest)}")
    if missing:
        say_next(f"put {', '.join(missing)} of that deployment into {place_of_settings} (mode 600); with others no key works")
    if more:
        say_next(f"put {', '.join(more)} of that deployment there too: they were set, and are not in the backup")
    if here:
        say_next(f"set {', '.join(here)} for the servers too, as for this command: {place_of_settings} does not say so")
    say_next("gatehouse doctor, then gatehouse serve")


@contextmanager
def _database(settings: Settings, *, made: bool) -> Iterator[Database]:
    """Not migrated: a backup changes nothing, not even under a server of an older Gatehouse. Raises Refused."""
    file = Path(settings.database.removeprefix("sqlite:///"))
    if not made and settings.database.startswith("sqlite:///") and not file.is_file():
        raise Refused(f"there is nothing to back up: {file} is not there; GATEHOUSE_STATE_DIR names another deployment")
    try:
        database = open_database(settings.database)
    except DatabaseUrlInvalid as error:
        raise Refused(f"GATEHOUSE_DATABASE_URL: {error}") from None
    try:
        if database.dialect != "sqlite":
            wait_until_reachable(database, min(settings.database_wait_s, LONGEST_WAIT_S))
        yield database
    except DatabaseUnreachable as error:
        raise Refused(str(error)) from None
    except DBAPIError as error:
        raise Refused(f"the database failed, nothing was kept: {database_cause(error.orig)}") from error
    finally:
        database.close()


def _settings(values: dict[str, str], missing: Sequence[str], file: Path) -> Settings:
    """What will hold there; secrets that are not at hand play no part in where things go. Raises Refused."""
    try:
        return settings_from(values | {name: fresh_secret() for name in missing}, file.parent)
    except SettingsInvalid as error:
        raise Refused(f"by the settings of the backup and of the environment nothing can be restored: {error}") from None


def _facts(manifest: Manifest) -> dict[str, Any]:
    rows = sum(table.rows for table in manifest.tables)
    facts = {"made_at": manifest.made_at, "database": manifest.dialect, "migration": manifest.migration, "rows": rows}
    return facts | {"model_versions": len(_versions(manifest)), "secrets": manifest.secrets}


def _versions(manifest: Manifest) -> set[str]:
    return {name.rpartition("/")[0] for name in manifest.members if name.startswith("models/")}


def _contents(manifest: Manifest) -> str:
    rows = sum(table.rows for table in manifest.tables)
    versions = counted(len(_versions(manifest)), "model version")
    return f"{counted(rows, 'row')} of {counted(len(manifest.tables), 'table')}, {versions}"

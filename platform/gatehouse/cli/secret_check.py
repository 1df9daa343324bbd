"""`gatehouse secrets check`, part by part."""

from collections.abc import Iterator

from gatehouse.cli.finding import Finding
from gatehouse.cli.findings import database_findings, folder_findings
from gatehouse.cli.secret_findings import needed_version_findings, sealed_findings, strength_findings
from gatehouse.cli.settings_file import settings_file, what_is_set
from gatehouse.db.session import Database
from gatehouse.settings import Settings, SettingsInvalid, read_settings


def secret_findings() -> Iterator[Finding]:
    """Everything, also where no server would start. Raises Refused where the file cannot be read as settings."""
    in_file, above = what_is_set(settings_file())
    strength = list(strength_findings(in_file, above))
    yield from strength
    yield from folder_findings(settings_file().parent, (in_file | above).get("GATEHOUSE_ENVIRONMENT", "production"))
    if any(finding.state == "problem" for finding in strength):
        return
    try:
        settings = read_settings()
    except SettingsInvalid as error:
        yield Finding("settings", "problem", str(error), "correct it: .env.example says what each setting may be")
        return
    yield from database_findings(settings, _inside)


def _inside(settings: Settings, database: Database) -> Iterator[Finding]:
    yield from sealed_findings(settings, database)
    yield from needed_version_findings(settings, database)

"""What a command works on: the settings, the migrated database, and who gives the command."""

import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from gatehouse.cli.one_line import cause_of, database_cause
from gatehouse.db.audit import Actor
from gatehouse.db.audit_chain import AuditTrailUnfit
from gatehouse.db.audit_keys import AuditKeys
from gatehouse.db.migrate import DatabaseTooNew, upgrade
from gatehouse.db.session import DatabaseUnreachable, DatabaseUrlInvalid, open_database, wait_until_reachable
from gatehouse.errors import Refused
from gatehouse.identity.peppers import Peppers
from gatehouse.operating.desk import Desk
from gatehouse.settings import SETTINGS_FILE, Settings, SettingsInvalid, find_state_dir, read_settings

LONGEST_WAIT_S = 5.0
"""A person waits for less than a server that starts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment(Desk):
    """The desk of a command."""

    @property
    def peppers(self) -> Peppers:
        return Peppers(self.settings.key_peppers)


@contextmanager
def open_deployment() -> Iterator[Deployment]:
    """The deployment of this folder or environment, migrated. Raises Refused, also for a database that fails later."""
    settings = settings_or_refusal()
    try:
        settings.state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        database = open_database(settings.database, AuditKeys(settings.audit_keys))
    except OSError as error:
        raise Refused(f"the state folder {settings.state_dir} cannot be made: {cause_of(error)}") from None
    except DatabaseUrlInvalid as error:
        raise Refused(f"GATEHOUSE_DATABASE_URL: {error}") from None
    try:
        wait_until_reachable(database, min(settings.database_wait_s, LONGEST_WAIT_S))
        upgrade(database)
        yield Deployment(settings=settings, database=database, actor=os_user())
    except (DatabaseUnreachable, DatabaseTooNew, AuditTrailUnfit) as error:
        raise Refused(str(error)) from None
    except DBAPIError as error:
        raise Refused(f"the database failed, nothing was changed: {database_cause(error.orig)}") from error
    finally:
        database.close()


def settings_or_refusal() -> Settings:
    """The settings. Raises Refused."""
    try:
        return read_settings()
    except SettingsInvalid as error:
        raise Refused(f"{error}{_where_settings_come_from() if 'is not set' in str(error) else ''}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"the settings cannot be read: {_unread(error)}") from None


def _unread(error: OSError | UnicodeDecodeError) -> str:
    return f"{error.filename}: {cause_of(error)}" if isinstance(error, OSError) else f"{SETTINGS_FILE} is no text in UTF-8"


def _where_settings_come_from() -> str:
    file = find_state_dir(os.environ, Path.cwd()) / SETTINGS_FILE
    if file.is_file():
        return f" (in {file}, or in the environment; gatehouse secrets create --write adds it)"
    return f" ({file} does not exist: gatehouse dev makes a local deployment, GATEHOUSE_STATE_DIR names another)"


def os_user() -> Actor:
    """Who runs this process, by the system's own record rather than by a variable that anybody can set."""
    uid = os.getuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = str(uid)
    return Actor(f"os-user:{name}", "cli")

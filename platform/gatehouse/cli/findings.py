"""What `gatehouse doctor` looks at: each part of a deployment, without changing anything."""

import http.client
import json
import resource
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from gatehouse.cli.edge_findings import address_finding, proxy_finding
from gatehouse.cli.finding import Finding
from gatehouse.cli.notices_finding import notices_finding
from gatehouse.cli.secret_findings import AUDIT_TRAIL, needed_version_findings
from gatehouse.cli.signing_key import PUBLISHING_KEY
from gatehouse.cli.silence import silence_of
from gatehouse.cli.usage_lines import counted
from gatehouse.cli.version_findings import version_findings
from gatehouse.db.clock import database_now
from gatehouse.db.migrate import what_is_missing
from gatehouse.db.session import GONE, Database, DatabaseUrlInvalid, open_database
from gatehouse.identity.sealing import Seal, TokenKeyUnreadable
from gatehouse.identity.token_keys import lives_of, read_token_keys, signing_life
from gatehouse.migration.store import list_endpoints
from gatehouse.server.open_files import FILES_BESIDE_CONNECTIONS
from gatehouse.server.process import fresh
from gatehouse.server.run import PortTaken, bind
from gatehouse.server.standing import standing_of
from gatehouse.server.store import list_processes
from gatehouse.serving.signing import PublishingKeyUnusable, TrustedKeys
from gatehouse.settings import SETTINGS_FILE, Settings
from gatehouse.usage.spool_folder import segments

CLOCK_TOLERANCE_S = 5.0
PROBE_S = 3.0
MIB = 1024 * 1024


def findings(settings: Settings) -> Iterator[Finding]:
    """Every part in the order in which a start meets it."""
    yield _settings(settings)
    yield from folder_findings(settings.state_dir, settings.environment)
    yield from database_findings(settings, _inside)
    if settings.redis_url.get_secret_value():
        yield _redis(settings)
    yield _trusted_keys(settings)
    yield _disk(settings)
    yield _open_files(settings)
    status = _readiness(settings)
    yield _port(settings, status)
    if settings.environment == "production":
        yield proxy_finding(settings)
        yield address_finding(settings, served=status is not None)


def _settings(settings: Settings) -> Finding:
    return Finding("settings", "ok", f"{settings.environment}; the secrets are strong and differ")


def folder_findings(folder: Path, environment: str) -> Iterator[Finding]:
    """Whether what lies in the state folder is kept from others."""
    if not folder.is_dir():
        yield Finding("state folder", "warning", f"{folder} is not there yet", "start a server, or run a command that makes something")
        return
    yield _private("state folder", folder, "700")
    for name in (SETTINGS_FILE, "gatehouse.db"):
        if (folder / name).is_file():
            yield _private(name, folder / name, "600", behind=folder)
    if environment == "production":
        yield _no_publishing_key(folder / PUBLISHING_KEY)


def _no_publishing_key(file: Path) -> Finding:
    if file.exists():
        return Finding("publishing key", "warning", f"{file} can sign models", "keep it where you publish, not where you serve")
    return Finding("publishing key", "ok", "nothing that signs models lies here")


def _private(part: str, path: Path, mode: str, behind: Path | None = None) -> Finding:
    """Whether nobody else can read it, also because of the folder that it lies in."""
    if path.stat().st_mode & 0o077 == 0:
        return Finding(part, "ok", f"{path} is for its owner alone")
    if behind is not None and behind.stat().st_mode & 0o011 == 0:
        return Finding(part, "ok", f"{path} is kept from others by its folder, which they cannot enter")
    return Finding(part, "problem", f"{path} can be read by other users", f"chmod {mode} {path}")


def database_findings(settings: Settings, inside: Callable[[Settings, Database], Iterator[Finding]]) -> Iterator[Finding]:
    """Whether there is a migrated database that answers, and what `inside` finds in it."""
    file = Path(settings.database.removeprefix("sqlite:///"))
    if settings.database.startswith("sqlite:///") and not file.is_file():
        yield Finding("database", "warning", f"{file} is not there yet", "start a server, or run a command that makes something")
        return
    try:
        database = open_database(settings.database)
    except DatabaseUrlInvalid as error:
        yield Finding("database", "problem", str(error), "correct GATEHOUSE_DATABASE_URL")
        return
    try:
        remedy = what_is_missing(database)
        if remedy is not None:
            yield Finding("database", "problem", "it is not at this Gatehouse's migration", remedy)
            return
        yield Finding("database", "ok", f"{database.dialect}, migrated")
        yield from inside(settings, database)
    except GONE as error:
        yield Finding("database", "problem", f"it does not answer ({silence_of(error)})", "start it, or correct GATEHOUSE_DATABASE_URL")
    finally:
        database.close()


def _inside(settings: Settings, database: Database) -> Iterator[Finding]:
    with database.read() as session:
        now, processes, endpoints = database_now(session), list_processes(session), list_endpoints(session)
    apart = abs((datetime.now(UTC) - now).total_seconds())
    if apart > CLOCK_TOLERANCE_S:
        yield Finding("clock", "problem", f"it is {apart:.0f} s away from the database's", "keep both by NTP")
    else:
        yield Finding("clock", "ok", "it agrees with the database's")
    standings = [standing for each in fresh(processes, now) if not (standing := standing_of(each.standing)).draining]
    serving = len(fresh(processes, now))
    yield _token_keys(settings, database)
    needed = list(needed_version_findings(settings, database))
    yield from needed
    if not any(finding.part == AUDIT_TRAIL for finding in needed):
        yield Finding(AUDIT_TRAIL, "ok", "its head fits its rows, by the audit keys that are set")
    yield notices_finding(settings, database)
    yield _processes(serving)
    yield _spool(settings, serving)
    yield _endpoints(sum(endpoint.state != "retired" for endpoint in endpoints))
    loaded = {each.name for each in endpoints if any(each.name not in standing.not_served for standing in standings)}
    yield from version_findings(settings, endpoints, loaded)


def _processes(serving: int) -> Finding:
    if not serving:
        return Finding("processes", "warning", "nobody serves", "gatehouse serve (as a service: systemctl start gatehouse)")
    return Finding("processes", "ok", f"{serving} serving")


def _endpoints(answering: int) -> Finding:
    if not answering:
        return Finding("endpoints", "warning", "there are none yet", "gatehouse models publish FILE --sample rows.csv")
    return Finding("endpoints", "ok", f"{counted(answering, 'endpoint')} released")


def _token_keys(settings: Settings, database: Database) -> Finding:
    """Whether the key that signs access tokens, and one that is to take over, can be opened."""
    seal = Seal(*settings.secret_keys)
    lives = lives_of(read_token_keys(database))
    signing = signing_life(lives, datetime.now(UTC))
    keys = [life.key for life in lives if signing and life.key.retired_at is None and life.key.signs_from >= signing.key.signs_from]
    try:
        for key in keys:
            seal.open(key.kid, key.private_sealed)
    except TokenKeyUnreadable:
        remedy = "set the GATEHOUSE_SECRET_KEY that this database was used with (beside a new one: as GATEHOUSE_SECRET_KEY_BEFORE)"
        lost = "; when it is lost: gatehouse token-keys rotate"
        return Finding("token keys", "problem", "GATEHOUSE_SECRET_KEY does not open them: no server starts", remedy + lost)
    if not all(seal.is_current(key.kid, key.private_sealed) for key in keys):
        detail = "only GATEHOUSE_SECRET_KEY_BEFORE opens them"
        return Finding("token keys", "warning", detail, "once all servers have both secrets: gatehouse token-keys reseal")
    return Finding("token keys", "ok", "GATEHOUSE_SECRET_KEY opens them" if keys else "the first server makes one")


def _spool(settings: Settings, serving: int) -> Finding:
    folder = settings.under_state(settings.spool_dir)
    waiting = len(segments(folder)) if folder.is_dir() else 0
    there = counted(waiting, "file")
    if waiting and not serving:
        return Finding("spool", "warning", f"usage waits in {there} and nobody serves", "start a server with this spool folder")
    return Finding("spool", "ok", f"{there} in {folder}")


def _redis(settings: Settings) -> Finding:
    from redis import Redis
    from redis.exceptions import RedisError

    try:
        with Redis.from_url(settings.redis_url.get_secret_value(), socket_connect_timeout=PROBE_S, socket_timeout=PROBE_S) as client:
            client.ping()
    except (RedisError, ValueError) as error:
        why = "its URL is none of Redis" if isinstance(error, ValueError) else silence_of(error)  # that error may repeat the password
        detail = f"it does not answer ({why}): each process lets in its share of every limit"
        return Finding("redis", "problem", detail, "start it, or correct GATEHOUSE_REDIS_URL")
    return Finding("redis", "ok", "it answers")


def _trusted_keys(settings: Settings) -> Finding:
    folder = settings.under_state(settings.trusted_keys_dir)
    try:
        ids = TrustedKeys.load(folder).ids
    except PublishingKeyUnusable as error:
        return Finding("trusted keys", "problem", str(error), f"take the file out of {folder}")
    if not ids:
        return Finding("trusted keys", "warning", "nobody may sign models yet", "gatehouse publishing-keys trust FILE")
    return Finding("trusted keys", "ok", ", ".join(ids))


def _disk(settings: Settings) -> Finding:
    folder = settings.under_state(settings.spool_dir)
    there = next(each for each in (folder, *folder.parents) if each.is_dir())
    free, needed = shutil.disk_usage(there).free, settings.spool_min_free_bytes
    if free < needed:
        detail = f"{free // MIB:,} MiB are free, {needed // MIB:,} must be: predictions get 503"
        return Finding("disk", "problem", detail, f"make room on the disk of {there}")
    return Finding("disk", "ok", f"{free // MIB:,} MiB are free for the spool")


def _open_files(settings: Settings) -> Finding:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    needed = settings.max_connections + FILES_BESIDE_CONNECTIONS
    if hard != resource.RLIM_INFINITY and hard < needed:
        detail = f"{hard:,} may be open, {needed:,} are needed for GATEHOUSE_MAX_CONNECTIONS"
        return Finding("open files", "warning", detail, f"raise the limit (ulimit -n {needed}, LimitNOFILE=) or lower the setting")
    return Finding("open files", "ok", f"room for {settings.max_connections:,} connections")


def _port(settings: Settings, status: str | None) -> Finding:
    """`status`: what a Gatehouse that answers there says of itself."""
    where = f"{settings.listen_host}:{settings.listen_port}"
    try:
        bind(settings.listen_host, settings.listen_port).close()
    except PortTaken:
        if status is None:
            return Finding("port", "problem", f"something else listens on {where}", "stop it, or set GATEHOUSE_LISTEN_PORT")
        return Finding(
            "port", "ok" if status == "ready" else "warning", f"{where} is served: {status}", None if status == "ready" else "read its log"
        )
    except OSError as error:
        return Finding(
            "port", "problem", f"cannot listen on {where}: {error.strerror}", "set GATEHOUSE_LISTEN_HOST and GATEHOUSE_LISTEN_PORT"
        )
    return Finding("port", "ok", f"{where} is free")


def _readiness(settings: Settings) -> str | None:
    """What a Gatehouse there says of itself; None where it is none."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.listen_host, settings.listen_host)  # noqa: S104  (asks, does not listen)
    connection = http.client.HTTPConnection(host, settings.listen_port, timeout=PROBE_S)
    try:
        connection.request("GET", "/health/ready")
        status = json.loads(connection.getresponse().read(4096))["status"]
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
        return None
    finally:
        connection.close()
    return status if status in ("ready", "degraded", "draining") else None

"""How callers come in: what their connections may do, which paths need no credential, and how large a body may be."""

from gatehouse.api.docs import ASSET_NAMES, ASSET_PREFIX
from gatehouse.api.paths import IMPORT_PATHS, OPTIONAL_CREDENTIAL_PATHS, PUBLIC_PATHS, is_translation
from gatehouse.call import Call
from gatehouse.identity.import_lines import MOST_BYTES
from gatehouse.middleware.admission import Access
from gatehouse.principal import Scope
from gatehouse.server.connections import ConnectionLimits
from gatehouse.settings import Settings

OTHER_BODY_BYTES = 16 * 1024
"""The cap of every body that is neither a prediction's, nor to be translated into one, nor an operator's file."""


def connection_limits(settings: Settings) -> ConnectionLimits:
    """What connections may do."""
    return ConnectionLimits(
        settings.max_connections,
        settings.max_connections_per_address,
        settings.head_deadline_s,
        settings.idle_deadline_s,
        settings.trusted_networks,
    )


def access_of(settings: Settings) -> Access:
    """Which paths need no credential."""
    if settings.docs == "off":  # 404 to everyone, since they lead nowhere
        return Access(PUBLIC_PATHS | {"/docs", "/openapi.json"}, OPTIONAL_CREDENTIAL_PATHS)
    assets = {ASSET_PREFIX + name for name in ASSET_NAMES}
    return Access(PUBLIC_PATHS | assets | {"/docs"}, OPTIONAL_CREDENTIAL_PATHS | {"/openapi.json"})


def body_cap(settings: Settings, call: Call) -> int:
    """How many bytes the body of a call may have."""
    principal = call.principal
    if principal is None:
        return OTHER_BODY_BYTES
    if call.route is not None or is_translation(call.path):
        return min(settings.max_body_bytes, principal.plan.bytes_per_call)
    return MOST_BYTES if call.path in IMPORT_PATHS and Scope.ADMIN_WRITE in principal.scopes else OTHER_BODY_BYTES

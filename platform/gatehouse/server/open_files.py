"""How many connections the system's limit of open files leaves room for."""

import logging
import resource

LOGGER = logging.getLogger("gatehouse.server")
FILES_BESIDE_CONNECTIONS = 256
"""Database, spool, models, log and what threads open."""


def room_for(connections: int) -> int:
    """As many connections as are wished, or as the limit of open files lets be held; the limit is raised as far as it may be."""
    needed = connections + FILES_BESIDE_CONNECTIONS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return connections
    allowed = needed if hard == resource.RLIM_INFINITY else min(hard, needed)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed == needed:
        return connections
    room = max(1, allowed - FILES_BESIDE_CONNECTIONS)
    LOGGER.warning(
        "%d files may be open: room for %d connections, not for %d. Raise the limit (ulimit -n) or lower GATEHOUSE_MAX_CONNECTIONS.",
        allowed,
        room,
        connections,
    )
    return room

"""Where a person's token is good, and that whoever changes something has logged in lately."""

from gatehouse.errors import CredentialInvalid, LoginTooOld
from gatehouse.middleware.recognition import challenged
from gatehouse.principal import Principal

PLACES = ("/admin", "/account")
LOGOUT = "/account/logout"
CHANGES_WITHIN_S = 300.0
READING = frozenset({"GET", "HEAD", "OPTIONS"})


def check_person(principal: Principal, method: str, path: str, now: float) -> None:
    """`now` in seconds since 1970. Raises CredentialInvalid, or LoginTooOld for a change."""
    if not any(path == place or path.startswith(f"{place}/") for place in PLACES):
        raise challenged(CredentialInvalid(reason="person_elsewhere"))
    if method not in READING and path != LOGOUT and now - principal.authenticated_at > CHANGES_WITHIN_S:
        raise LoginTooOld()

"""What `/admin/keys` takes and answers: what `/account/keys` does, and whose key it is."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from gatehouse.api.admin.pages import PageQuery
from gatehouse.api.admin.tenant_bodies import Prefix, Reference
from gatehouse.api.key_bodies import Closed, Count, KeyEntry, Moment, NewKey, entry
from gatehouse.identity.key_store import ApiKey
from gatehouse.identity.leaks import Finding


class KeyQuery(PageQuery):
    """Which keys."""

    tenant: Reference | None = None
    revoked: bool | None = None
    expires_before: Annotated[Moment | None, Field(description="Keys that end before, as RFC 3339 with a time zone")] = None
    name_prefix: Prefix | None = None
    pepper: Annotated[Count | None, Field(description="Keys that stop without this version of the pepper")] = None


class AdminNewKey(NewKey):
    """A key to be made."""

    tenant: Annotated[Reference, Field(description="Whose key, by id or name; _operator for the deployment's own")]


class FoundKey(Closed):
    """A whole key that somebody found."""

    key: Annotated[str, Field(repr=False, min_length=1, max_length=4096, description="The whole key, from 'gate_' to its last character")]


class AdminKeyEntry(KeyEntry):
    """A key without its secret, and the version of the pepper that its secret needs."""

    passing = KeyEntry.passing | {"pepper"}
    tenant: str
    pepper: int


class AdminKeyList(Closed):
    """The newest first."""

    items: list[AdminKeyEntry]
    next: str | None


class AdminShownKey(AdminKeyEntry):
    key: Annotated[str, Field(repr=False, description="The whole key. It is shown here and never again.")]


class IdentifiedKey(AdminKeyEntry):
    secret: Annotated[Finding, Field(description="`current` opens the key, `previous` until its grace ends, `ended` and `wrong` nothing")]


def admin_entry(key: ApiKey, now: datetime) -> AdminKeyEntry:
    """A key by the list of fields."""
    return AdminKeyEntry(**entry(key, now).model_dump(), tenant=key.tenant, pepper=key.pepper_version)

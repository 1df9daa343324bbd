"""What `/admin/people` and `/account/people` take and answer: fixed lists of fields, in the OpenAPI document as they stand here."""

from datetime import datetime
from typing import Annotated, ClassVar

from fastapi import Path
from pydantic import Field

from gatehouse.api.key_bodies import Closed
from gatehouse.identity.names import NAME
from gatehouse.identity.people import Invited
from gatehouse.identity.person_store import Person, State
from gatehouse.principal import Role

PERSON_REFERENCE = "^[0-9A-Za-z_][0-9A-Za-z@_-]{0,126}$"
PersonName = Annotated[
    str, Field(pattern=f"^{NAME.pattern}$", description="Small letters, digits, '-' and '_'; a tenant's name is put behind it")
]
PersonPath = Annotated[str, Path(pattern=PERSON_REFERENCE, description="The person's id, or the name by which they log in")]


class PersonEntry(Closed):
    """A person."""

    passing: ClassVar[frozenset[str]] = frozenset({"last_login_at"})

    id: str
    name: Annotated[str, Field(description="By which they log in")]
    role: Role
    tenant: str
    state: Annotated[State, Field(description="`invited` until a first password is set")]
    created_at: datetime
    suspended_at: datetime | None
    password_set_at: datetime | None
    last_login_at: datetime | None
    code_expires_at: Annotated[datetime | None, Field(description="Until when a one-time code that was given sets a password")]


class InvitedEntry(PersonEntry):
    """A person with the one-time code that sets a password: it is shown here and never again."""

    passing: ClassVar[frozenset[str]] = PersonEntry.passing | {"code"}

    code: Annotated[str, Field(repr=False, description="For `POST /login/accept`")]


class PersonList(Closed):
    """By name."""

    items: list[PersonEntry]
    next: str | None


def person_entry(person: Person) -> PersonEntry:
    """A person by the list of fields."""
    return PersonEntry(**{name: getattr(person, name) for name in PersonEntry.model_fields})


def invited_entry(made: Invited) -> InvitedEntry:
    """The same with the code."""
    return InvitedEntry(**person_entry(made.person).model_dump(), code=made.code)

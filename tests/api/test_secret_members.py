"""SECURITY.md, row 98: a body that holds a secret does not show it where it is printed, as in a traceback or a log line."""

import pytest
from pydantic import BaseModel

from gatehouse.api.admin.key_bodies import AdminShownKey, FoundKey
from gatehouse.api.key_bodies import ShownKey
from gatehouse.api.login import Acceptance, Login, LoginToken
from gatehouse.api.person_bodies import InvitedEntry
from gatehouse.api.token import AccessToken

CANARY = "canary-2604-battery"


@pytest.mark.parametrize(
    ("model", "secret"),
    [
        (Login, "password"),
        (Acceptance, "password"),
        (Acceptance, "code"),
        (FoundKey, "key"),
        (LoginToken, "access_token"),
        (AccessToken, "access_token"),
        (ShownKey, "key"),
        (AdminShownKey, "key"),
        (InvitedEntry, "code"),
    ],
)
def test_row_98_a_body_does_not_show_its_secret(model: type[BaseModel], secret: str) -> None:
    assert secret in model.model_fields
    body = model.model_construct(**{secret: CANARY}, name="alice")
    assert getattr(body, secret) == CANARY
    assert CANARY not in repr(body) + str(body) + f"{[body]}"

"""A call whose credential is good no more is counted for whoever holds it; one that proves nothing is nobody's."""

from datetime import timedelta
from ipaddress import ip_network

from sqlalchemy import func, select
from stage import IRIS_ROW, Stage, instances, key_id, token_of

from gatehouse.identity.api_keys import mint_key
from gatehouse.usage.store import REFUSED

ROW = instances(IRIS_ROW)


def counted(stage: Stage) -> dict[tuple[str, int, str], int]:
    """Calls by key, status and what refused them."""
    by = (REFUSED.c.key_id, REFUSED.c.status, REFUSED.c.limit)
    with stage.database.read() as session:
        found = session.execute(select(*by, func.sum(REFUSED.c.calls)).group_by(*by)).all()
    return {(key, status, limit): int(calls) for key, status, limit, calls in found}


def test_a_proven_credential_that_is_refused_is_counted_for_its_holder_by_reason(stage_on_each_database: Stage) -> None:
    stage = stage_on_each_database
    revoked, rotated = stage.tenant("acme", "iris"), stage.key("acme")
    bound = stage.key("acme", networks=(ip_network("192.0.2.0/24"),))
    with stage.serving() as live:
        tokens = [token_of(live, each) for each in (revoked, rotated)]
        stage.revoke(revoked)
        newest = stage.rotate(rotated, grace=timedelta(0))
        live.caught_up()
        credentials = (revoked, revoked, *tokens, rotated, bound, bound, mint_key(b"other").text, f"{bound}x", "gate_x", newest)
        assert [live.predict(each, ROW).status_code for each in credentials] == [401] * 10 + [200]
        assert live.get("/account", bound).status_code == 401, "and no prediction"
    assert counted(stage) == {
        (key_id(revoked), 401, "key_revoked"): 3,
        (key_id(rotated), 401, "key_secret_rotated"): 1,
        (key_id(bound), 401, "network_not_allowed"): 2,
    }

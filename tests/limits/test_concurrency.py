"""How many calls may be under way."""

import pytest

from gatehouse.errors import Overloaded
from gatehouse.limits.concurrency import Concurrency


def test_a_tenant_has_at_most_its_share_and_others_go_on() -> None:
    concurrency = Concurrency(total=10, per_tenant=2)
    concurrency.enter("a")
    concurrency.enter("a")
    with pytest.raises(Overloaded) as caught:
        concurrency.enter("a")
    assert (caught.value.reason, caught.value.headers) == ("tenant_concurrency", (("Retry-After", "1"),))
    concurrency.enter("b")
    assert concurrency.inside == {"a": 2, "b": 1}


def test_the_process_has_at_most_its_total() -> None:
    concurrency = Concurrency(total=2, per_tenant=2)
    concurrency.enter("a")
    concurrency.enter("b")
    with pytest.raises(Overloaded) as caught:
        concurrency.enter("c")
    assert caught.value.reason == "process_concurrency"
    concurrency.leave("a")
    concurrency.enter("c")
    assert concurrency.all_inside == 2


def test_nothing_is_remembered_of_tenants_that_have_left() -> None:
    concurrency = Concurrency(total=2, per_tenant=1)
    for number in range(1000):
        concurrency.enter(str(number))
        concurrency.leave(str(number))
    assert (concurrency.inside, concurrency.all_inside) == ({}, 0)


def test_a_refused_call_counts_nothing() -> None:
    concurrency = Concurrency(total=5, per_tenant=0)
    with pytest.raises(Overloaded):
        concurrency.enter("a")
    assert (concurrency.inside, concurrency.all_inside) == ({}, 0)

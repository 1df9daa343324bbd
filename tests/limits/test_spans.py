"""The check of all spans that other tests rely on, against the definition itself."""

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st
from spans import Admitted, over

from gatehouse.limits.rate import RateLimit

entries = st.lists(st.builds(Admitted, st.integers(0, 40), st.integers(1, 9)), max_size=12)


@settings(max_examples=300, deadline=None)
@given(count=st.integers(0, 5), period_us=st.integers(1, 9), burst=st.integers(0, 12), admitted=entries)
def test_the_worst_of_all_spans_is_found(count: int, period_us: int, burst: int, admitted: list[Admitted]) -> None:
    limit = RateLimit("l", "tenant-rows", "tenant", "rows", count, period_us, burst)
    moments = sorted({entry.at_us for entry in admitted})
    excesses = [
        sum(entry.amount for entry in admitted if begin <= entry.at_us <= end) - burst - Fraction(count * (end - begin), period_us)
        for begin in moments
        for end in moments
        if begin <= end
    ]
    worst = max([Fraction(0), *excesses])
    assert over(limit, admitted) == -(-worst.numerator // worst.denominator)

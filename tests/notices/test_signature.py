"""Signatures are those of Standard Webhooks, by its published example and by another reading of its words."""

import base64

from hypothesis import given
from hypothesis import strategies as st
from target_server import Taken, signed_by

from gatehouse.notices.signature import new_secret, signature, signed_headers


def test_the_specifications_own_example_comes_out() -> None:
    made = signature("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_secret_is_256_random_bits() -> None:
    one, other = new_secret(), new_secret()
    assert one != other
    assert (one[:6], len(base64.b64decode(one[6:], validate=True))) == ("whsec_", 32)


@given(st.binary(max_size=200), st.integers(0, 2**40))
def test_each_secret_that_is_good_verifies_and_no_other(body: bytes, at: int) -> None:
    now, before, other = new_secret(), new_secret(), new_secret()
    taken = Taken("/", signed_headers([now, before], "ntc_1", at, body), body)
    assert signed_by(now, taken)
    assert signed_by(before, taken)
    assert not signed_by(other, taken)
    assert not signed_by(now, Taken("/", taken.headers, body + b" "))
    assert not signed_by(now, Taken("/", {**taken.headers, "webhook-timestamp": str(at + 1)}, body))
    assert not signed_by(now, Taken("/", {**taken.headers, "webhook-id": "ntc_2"}, body))

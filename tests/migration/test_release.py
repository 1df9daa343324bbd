"""From one release to the next, and which keys a canary answers."""

from dataclasses import replace

import pytest

from gatehouse.errors import Refused
from gatehouse.migration.endpoint import Endpoint
from gatehouse.migration.release import CanaryShare, promoted, released, rolled_back, with_canary

PLAIN = Endpoint("iris", "v1", "active", "1.0.0")
KEYS = [f"key{number:05}" for number in range(20_000)]


def test_a_release_remembers_the_version_before_and_ends_the_canary() -> None:
    assert released(PLAIN, "1.1.0") == replace(PLAIN, stable_version="1.1.0", previous_version="1.0.0")
    assert released(with_canary(PLAIN, "1.1.0", 10), "1.2.0") == replace(PLAIN, stable_version="1.2.0", previous_version="1.0.0")


def test_the_same_release_again_forgets_nothing() -> None:
    assert released(released(PLAIN, "1.1.0"), "1.1.0").previous_version == "1.0.0"


def test_a_canary_is_promoted_and_rolled_back_to_what_was_before() -> None:
    canary = with_canary(PLAIN, "1.1.0", 10)
    assert (canary.stable_version, canary.canary_version, canary.canary_percent) == ("1.0.0", "1.1.0", 10)
    assert promoted(canary) == released(PLAIN, "1.1.0")
    assert rolled_back(canary) == PLAIN
    assert rolled_back(promoted(canary)) == PLAIN


def test_a_second_rollback_never_brings_back_what_was_left() -> None:
    with pytest.raises(Refused, match=r"remembers no version before 1\.0\.0; name one: gatehouse endpoints release iris v1 --version"):
        rolled_back(rolled_back(released(PLAIN, "1.1.0")))


@pytest.mark.parametrize("step", [lambda endpoint, version: released(endpoint, version), lambda *args: with_canary(*args, 10)])
def test_an_endpoint_is_served_by_its_own_major_only_and_not_when_retired(step) -> None:
    with pytest.raises(Refused, match=r"'zzz' is no model version; write it as 1\.0\.0 is written"):
        step(PLAIN, "zzz")
    with pytest.raises(Refused, match=r"model version 2\.0\.0 serves iris/v2, never iris/v1"):
        step(PLAIN, "2.0.0")
    with pytest.raises(Refused, match="is retired and serves nothing any more"):
        step(replace(PLAIN, state="retired"), "1.1.0")


def test_a_canary_is_another_version_for_1_to_99_percent() -> None:
    with pytest.raises(Refused, match="a canary is another version"):
        with_canary(PLAIN, "1.0.0", 10)
    for percent in (0, 100, -1):
        with pytest.raises(Refused, match="1 to 99 percent"):
            with_canary(PLAIN, "1.1.0", percent)
    with pytest.raises(Refused, match="has no canary to promote"):
        promoted(PLAIN)


@pytest.mark.parametrize("percent", [1, 10, 50, 99])
def test_a_canary_gets_its_share_of_the_keys(percent: int) -> None:
    endpoint = with_canary(PLAIN, "1.1.0", percent)
    share = CanaryShare(b"secret")
    found = sum(share.includes(endpoint, key) for key in KEYS) / len(KEYS) * 100
    assert abs(found - percent) < 1.5  # four standard deviations at the most


def test_a_key_stays_with_its_canary_in_every_process_and_while_the_share_grows() -> None:
    ten, twenty = (with_canary(PLAIN, "1.1.0", percent) for percent in (10, 20))
    chosen = {key for key in KEYS if CanaryShare(b"secret").includes(ten, key)}
    assert chosen == {key for key in KEYS if CanaryShare(b"secret").includes(ten, key)}
    assert chosen < {key for key in KEYS if CanaryShare(b"secret").includes(twenty, key)}


def test_who_gets_a_canary_depends_on_the_secret_and_on_the_endpoint() -> None:
    ten, other = with_canary(PLAIN, "1.1.0", 10), with_canary(replace(PLAIN, model="churn"), "1.1.0", 10)
    share = CanaryShare(b"secret")
    chosen = {key for key in KEYS if share.includes(ten, key)}
    assert chosen != {key for key in KEYS if share.includes(other, key)}
    assert chosen != {key for key in KEYS if CanaryShare(b"another").includes(ten, key)}
    assert not any(share.includes(PLAIN, key) for key in KEYS)

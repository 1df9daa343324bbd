"""The alarm for a key at which somebody guesses: once in minutes, from however many addresses, in bounded memory."""

import logging

import pytest

from gatehouse.limits.wrong_secrets import ALARM_AT, MAX_KEYS, MAX_NETWORKS, WINDOW_S, WrongSecrets

ID = "3kTMd91QbLx07GzW"


class Clock:
    now = 1000.0


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def secrets(clock: Clock) -> WrongSecrets:
    return WrongSecrets(lambda: clock.now)


def guess(secrets: WrongSecrets, times: int, key_id: str = ID, *, networks: int = 1, exists: bool = True) -> None:
    for number in range(times):
        secrets.count(key_id, f"203.0.113.{number % networks}", exists=exists)


def test_row_14_the_alarm_names_the_key_the_calls_and_the_networks(
    secrets: WrongSecrets, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    guess(secrets, ALARM_AT - 1, networks=3)
    assert (secrets.alarms, caplog.records) == (0, [])
    clock.now += 4
    guess(secrets, 1)
    [alarm] = caplog.records
    assert alarm.levelno == logging.WARNING
    assert alarm.getMessage().startswith(f"key {ID}: {ALARM_AT} calls with a wrong secret within 4 s, from 3 networks; it is not locked")
    assert secrets.alarms == 1


def test_row_14_a_long_attack_is_said_once_in_minutes_with_all_that_came(
    secrets: WrongSecrets, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    guess(secrets, ALARM_AT)
    clock.now += 1
    guess(secrets, 5000, networks=200)
    assert secrets.alarms == 1
    clock.now += WINDOW_S - 1
    guess(secrets, 1)
    assert f"5001 calls with a wrong secret within {WINDOW_S:.0f} s, from {MAX_NETWORKS} or more networks" in caplog.records[1].getMessage()
    assert secrets.alarms == 2


def test_a_caller_with_an_old_copy_that_calls_now_and_then_raises_none(secrets: WrongSecrets, clock: Clock) -> None:
    for _ in range(100):
        guess(secrets, ALARM_AT // 2)
        clock.now += WINDOW_S + 1
    assert secrets.alarms == 0


def test_guesses_at_ids_that_do_not_exist_raise_no_alarm_and_push_out_nothing(secrets: WrongSecrets) -> None:
    guess(secrets, ALARM_AT - 1)
    for number in range(MAX_KEYS + 10):
        guess(secrets, 1, f"unknown{number}", exists=False)
    guess(secrets, ALARM_AT * 2, "unknown", exists=False)
    assert secrets.alarms == 0
    guess(secrets, 1)
    assert secrets.alarms == 1


def test_memory_is_bounded_and_the_key_that_was_quiet_for_longest_goes_first(secrets: WrongSecrets) -> None:
    for key_id in (ID, "other"):
        guess(secrets, ALARM_AT - 1, key_id)
    for number in range(MAX_KEYS - 1):
        guess(secrets, 1, f"key{number}")
    guess(secrets, 1, "other")
    guess(secrets, 1)
    assert secrets.alarms == 1, "of the two only the one that was counted later is still known"
    assert len(secrets._existing) == MAX_KEYS

"""When what could not be loaded is tried again."""

from gatehouse.server.retries import LONGEST_S, Retries


def test_the_pauses_grow_up_to_ten_minutes_and_begin_anew_once_nothing_fails() -> None:
    now = 0
    retries = Retries(lambda: now)
    tried = []
    for now in range(4000):
        if retries.due(failing=True):
            tried.append(now)
    assert [later - before for before, later in zip([0, *tried], tried, strict=False)] == [15, 30, 60, 120, 240, 480, *[LONGEST_S] * 5]
    assert not retries.due(failing=False)
    begun = now
    while not retries.due(failing=True):
        now += 1
    assert now - begun == 15

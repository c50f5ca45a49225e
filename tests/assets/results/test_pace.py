"""Writes to a forge are spaced among all processes, and a long queue is left for later."""

import pytest

from assets.results.pace import LONGEST_WAIT, wait_for_turn
from core.database import Database
from core.forge.protocol import ForgeUnavailable


def test_writes_of_one_account_are_spaced_and_those_of_others_are_not(database: Database) -> None:
    waits: list[float] = []
    for account in ("a", "a", "b", "a"):
        wait_for_turn(database, account, 5.0, sleep=waits.append)
    assert len(waits) == 2, "the first write of each account waits for nothing"
    assert 0 < waits[0] <= 5.0 < waits[1] <= 10.0


def test_a_turn_that_has_passed_is_not_waited_for(database: Database) -> None:
    wait_for_turn(database, "a", 5.0, sleep=lambda seconds: None)
    with database.system() as connection:
        connection.execute("UPDATE forge_writes SET next_at = now() - interval '1 hour'")
    waits: list[float] = []
    wait_for_turn(database, "a", 5.0, sleep=waits.append)
    assert waits == []


def test_a_long_queue_is_left_for_later_and_does_not_grow(database: Database) -> None:
    for _ in range(20):
        try:
            wait_for_turn(database, "a", 5.0, sleep=lambda seconds: None)
        except ForgeUnavailable as trouble:
            assert trouble.pause == LONGEST_WAIT
            break
    else:
        pytest.fail("the queue has no end")
    with database.system() as connection:
        before = connection.execute("SELECT next_at FROM forge_writes").fetchone()
    with pytest.raises(ForgeUnavailable):
        wait_for_turn(database, "a", 5.0)
    with database.system() as connection:
        assert connection.execute("SELECT next_at FROM forge_writes").fetchone() == before


def test_no_pause_means_no_waiting(database: Database) -> None:
    waits: list[float] = []
    for _ in range(3):
        wait_for_turn(database, "a", 0.0, sleep=waits.append)
    assert waits == []

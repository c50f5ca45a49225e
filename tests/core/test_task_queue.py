"""Whose turn it is."""

import uuid
from collections import Counter
from collections.abc import Callable

import pytest

from core import tasks
from core.database import Database
from core.eventlog.postgres import PostgresLog
from core.events import DEFAULT_TEAM
from core.task_queue import Turn, mark_due, take_turns

OTHER_TEAM = uuid.UUID("018f0000-0000-7000-8000-000000000002")


@pytest.fixture
def add(database: Database) -> Callable[..., list[uuid.UUID]]:
    """Adds tasks that wait for their turn, and returns them."""
    with database.system() as connection:
        connection.execute("INSERT INTO teams (id, name) VALUES (%s, 'other')", (OTHER_TEAM,))
    log = PostgresLog(database)

    def add(count: int, source: str = "shop", team: uuid.UUID = DEFAULT_TEAM) -> list[uuid.UUID]:
        made = []
        for _ in range(count):
            event = tasks.request_event(team, f"api:{uuid.uuid4()}", "/api", source, title="t")
            with database.team(team) as connection:
                made.append(tasks.create_task(connection, log, event=event, source=source, title="t"))
        mark_due(database, [(task, 1) for task in made])
        return made

    return add


def run(database: Database, turns: list[Turn]) -> None:
    _move(database, turns, "running")


def end(database: Database, turns: list[Turn]) -> None:
    _move(database, turns, "running", "resolved")


def _move(database: Database, turns: list[Turn], *states: str) -> None:
    with database.system() as connection:
        for state in states:
            connection.execute(
                "UPDATE tasks SET state = %s WHERE id = ANY(%s) AND state <> %s",
                (state, [turn.task_id for turn in turns], state),
            )


def test_tasks_of_one_source_start_in_the_order_in_which_they_came(
    database: Database, add: Callable[..., list[uuid.UUID]]
) -> None:
    made = add(5)
    assert [turn.task_id for turn in take_turns(database, 2)] == made[:2]
    assert [turn.task_id for turn in take_turns(database, 9)] == made[2:]
    assert take_turns(database, 9) == []


def test_without_a_free_slot_nobody_starts(database: Database, add: Callable[..., list[uuid.UUID]]) -> None:
    add(1)
    assert take_turns(database, 0) == []


def test_a_task_whose_event_was_not_read_does_not_start(
    database: Database, add: Callable[..., list[uuid.UUID]]
) -> None:
    log = PostgresLog(database)
    event = tasks.request_event(DEFAULT_TEAM, "api:1", "/api", "shop", title="t")
    with database.team(DEFAULT_TEAM) as connection:
        task = tasks.create_task(connection, log, event=event, source="shop", title="t")
    assert take_turns(database, 1) == []
    assert mark_due(database, [(task, 2), (uuid.uuid4(), 1)]) == 0
    assert mark_due(database, [(task, 1), (task, 1)]) == 1
    assert mark_due(database, [(task, 1)]) == 0
    assert len(take_turns(database, 1)) == 1


def test_with_one_slot_a_noisy_source_delays_a_quiet_one_by_one_task(
    database: Database, add: Callable[..., list[uuid.UUID]]
) -> None:
    add(20, "noisy")
    served = []
    for n in range(12):
        if n == 3:
            add(4, "quiet")
        turns = take_turns(database, 1)
        served.append(turns[0].source)
        end(database, turns)
    assert served[:3] == ["noisy"] * 3
    assert served[3:11] == ["quiet", "noisy"] * 4


def test_slots_are_shared_between_teams_however_many_sources_they_have(
    database: Database, add: Callable[..., list[uuid.UUID]]
) -> None:
    for source in ("a", "b", "c", "d"):
        add(6, source)
    add(12, "only", OTHER_TEAM)
    turns = take_turns(database, 8)
    assert Counter(turn.team_id for turn in turns) == {DEFAULT_TEAM: 4, OTHER_TEAM: 4}
    assert Counter(turn.source for turn in turns) == {"a": 1, "b": 1, "c": 1, "d": 1, "only": 4}
    run(database, turns)
    one = [turn for turn in turns if turn.source == "only"][:1]
    end(database, one)
    assert [turn.source for turn in take_turns(database, 1)] == ["only"], "the team with fewer runs is next"


def test_a_team_with_fewer_runs_is_next_although_it_was_served_last(
    database: Database, add: Callable[..., list[uuid.UUID]]
) -> None:
    add(3, "a")
    run(database, take_turns(database, 3))
    add(1, "b", OTHER_TEAM)
    end(database, take_turns(database, 1))
    add(1, "c")
    add(1, "b", OTHER_TEAM)
    assert [turn.source for turn in take_turns(database, 1)] == ["b"]


def test_teams_take_turns_however_many_sources_one_has(database: Database, add: Callable[..., list[uuid.UUID]]) -> None:
    for source in ("a", "b", "c", "d"):
        add(1, source)
    add(4, "only", OTHER_TEAM)
    served = []
    for _ in range(6):
        turns = take_turns(database, 1)
        served.append(turns[0].team_id)
        end(database, turns)
    assert served == [DEFAULT_TEAM, OTHER_TEAM] * 3


def test_runs_under_way_count(database: Database, add: Callable[..., list[uuid.UUID]]) -> None:
    add(3, "long")
    run(database, take_turns(database, 3))
    add(3, "long")
    add(2, "new")
    assert [turn.source for turn in take_turns(database, 2)] == ["new", "new"]


def test_every_waiting_task_starts_in_the_end_and_none_twice(
    database: Database, add: Callable[..., list[uuid.UUID]]
) -> None:
    made = add(17, "a") + add(3, "b") + add(5, "c", OTHER_TEAM)
    seen: list[uuid.UUID] = []
    for _ in range(40):
        turns = take_turns(database, 3)
        seen += [turn.task_id for turn in turns]
        end(database, turns)
    assert sorted(seen) == sorted(made)


def test_a_cancelled_task_loses_its_turn_and_a_retried_one_gets_another(
    database: Database, add: Callable[..., list[uuid.UUID]]
) -> None:
    log = PostgresLog(database)
    [cancelled] = add(1)
    with database.team(DEFAULT_TEAM) as connection:
        tasks.cancel(connection, log, cancelled)
    assert take_turns(database, 1) == []
    with database.team(DEFAULT_TEAM) as connection:
        again = tasks.retry(connection, log, cancelled)
    assert take_turns(database, 1) == []
    mark_due(database, [(cancelled, again.attempt)])
    assert [(turn.task_id, turn.attempt) for turn in take_turns(database, 1)] == [(cancelled, 2)]

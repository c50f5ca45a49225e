"""The ledger counts each delivery once, in each state that it can be in, and notices what is lost."""

import uuid
from datetime import timedelta

import pytest

from core import tasks
from core.attempts import Attempt
from core.database import Database
from core.eventlog.postgres import PostgresLog
from core.events import DEFAULT_TEAM, Event
from core.health.ledger import Ledger, read_ledger
from core.intake import ChangeIntent, Delivery, NoIntent, Target, TaskIntent, receive
from core.states import TaskState

OUTCOMES = (TaskState.UNRESOLVED, TaskState.FAILED, TaskState.CANCELLED)


def _ledger(database: Database, within: timedelta | None = None) -> Ledger:
    with database.team(DEFAULT_TEAM) as connection:
        return read_ledger(connection, within)


@pytest.fixture
def accepted(database: Database) -> dict[str, uuid.UUID | None]:
    """Deliveries by id: tasks a to e, a change, an ignored one; `a` was repeated twice."""
    with database.team(DEFAULT_TEAM) as connection:
        connection.execute("INSERT INTO sources (team_id, name, location) VALUES (%s, 'shop', '/x')", (DEFAULT_TEAM,))
    log = PostgresLog(database)
    found: dict[str, uuid.UUID | None] = {}
    wanted = [(name, TaskIntent(Target(name="shop"), "It fails")) for name in "abcdeaa"]
    others = [("push", ChangeIntent(Target(name="shop"))), ("star", NoIntent("a star starts nothing"))]
    for name, intent in (*wanted, *others):
        with database.team(DEFAULT_TEAM) as connection:
            receipt = receive(connection, log, DEFAULT_TEAM, Delivery("github", name, "issues", b"0" * 32), intent)
        found[name] = receipt.task_id
    return found


def _close(database: Database, identity: uuid.UUID | None, state: TaskState) -> None:
    assert identity is not None
    attempt = Attempt.claim(database, DEFAULT_TEAM, identity, 1, holder="run", seconds=60, max_claims=3)
    with attempt.fenced() as connection:
        attempt.close(connection, state, "over", {})


def test_every_delivery_is_in_the_ledger_once(database: Database, accepted: dict[str, uuid.UUID | None]) -> None:
    for name, state in zip("abc", OUTCOMES, strict=True):
        _close(database, accepted[name], state)
    found = _ledger(database)
    assert found.outcomes == {
        "cancelled": 1, "changes": 1, "failed": 1, "ignored": 1, "in progress": 2, "unresolved": 1,
    }  # fmt: skip
    assert (found.accepted, found.duplicates, found.balanced) == (7, 2, True)
    assert {sender for sender, _ in found.entries} == {"github"}


@pytest.mark.parametrize(
    ("state", "outcome"),
    [
        ("pending", "in progress"),
        ("held", "in progress"),
        ("published", "published"),
        ("refused", "refused"),
        ("dead-lettered", "dead-lettered"),
        (None, "lost"),
    ],
)
def test_a_resolved_task_is_where_its_publication_is(
    database: Database, accepted: dict[str, uuid.UUID | None], state: str | None, outcome: str
) -> None:
    _close(database, accepted["a"], TaskState.RESOLVED)
    with database.system() as connection:
        if state is not None:
            connection.execute(
                "INSERT INTO publications (team_id, task_id, attempt, target, body) "
                "VALUES (%s, %s, 1, 'git:shop', '{}')",
                (DEFAULT_TEAM, accepted["a"]),
            )
            if state != "pending":
                connection.execute("UPDATE publications SET state = %s", (state,))
    found = _ledger(database)
    assert found.outcomes[outcome] == (5 if outcome == "in progress" else 1)
    assert found.balanced == (state is not None)


def test_a_delivery_whose_task_is_gone_is_lost(database: Database, accepted: dict[str, uuid.UUID | None]) -> None:
    with database.system() as connection:
        connection.execute("DELETE FROM tasks WHERE id = %s", (accepted["d"],))
    found = _ledger(database)
    assert (found.lost, found.balanced, found.accepted) == (1, False, 7)


def test_an_attempt_without_an_outcome_event_is_noticed(
    database: Database, accepted: dict[str, uuid.UUID | None]
) -> None:
    _close(database, accepted["a"], TaskState.UNRESOLVED)
    assert _ledger(database).balanced
    with database.system() as connection:
        connection.execute("DELETE FROM event_log WHERE topic = 'penstock.outcomes'")
    found = _ledger(database)
    assert (found.without_outcome, found.balanced) == (1, False)


def test_only_recent_deliveries_are_counted_when_asked(
    database: Database, accepted: dict[str, uuid.UUID | None]
) -> None:
    with database.system() as connection:
        connection.execute("UPDATE deliveries SET received_at = now() - interval '2 days' WHERE id LIKE '%:push'")
    assert _ledger(database, timedelta(days=1)).accepted == 6
    assert _ledger(database, timedelta(days=3)).accepted == 7


def test_the_same_event_by_another_webhook_is_a_duplicate(
    database: Database, accepted: dict[str, uuid.UUID | None]
) -> None:
    with database.system() as connection:
        connection.execute(
            "INSERT INTO deliveries (team_id, id, kind, state, task_id, body_sha256) "
            "VALUES (%s, 'github:again', 'issues', 'duplicate', %s, '')",
            (DEFAULT_TEAM, accepted["a"]),
        )
    found = _ledger(database)
    assert (found.accepted, found.duplicates, found.balanced) == (7, 3, True)


def test_another_teams_deliveries_are_not_counted(database: Database, accepted: dict[str, uuid.UUID | None]) -> None:
    other = uuid.uuid4()
    with database.system() as connection:
        connection.execute("INSERT INTO teams (id, name) VALUES (%s, 'other')", (other,))
    with database.team(other) as connection:
        assert read_ledger(connection).accepted == 0
    with database.system() as connection:
        assert read_ledger(connection).accepted == 7


def test_the_events_of_tasks_are_the_ones_that_are_looked_for(
    database: Database, accepted: dict[str, uuid.UUID | None]
) -> None:
    """The query names the outcome's id itself: it must be what `tasks.close` writes."""
    log = PostgresLog(database)
    with database.team(DEFAULT_TEAM) as connection:
        event: Event = tasks.close(
            connection, log, tasks.get_task(connection, accepted["a"]), TaskState.CANCELLED, "over"  # type: ignore[arg-type]
        )  # fmt: skip
    assert event.id == f"penstock:outcome:{accepted['a']}:1"

"""What the Postgres log promises beyond the conformance suite: transactions, tenants, lost hints, pruning."""

import os
import threading
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime

import psycopg
import pytest

from core.database import Database
from core.eventlog import postgres
from core.eventlog.postgres import PostgresLog
from core.eventlog.protocol import EventLogUnavailable, EventRefused, UnknownTopic
from core.events import CHANGES, DEFAULT_TEAM, TASKS, Event

OTHER_TEAM = uuid.UUID("00000000-0000-0000-0000-000000000002")


def event(name: str, team: uuid.UUID = DEFAULT_TEAM, **data: object) -> Event:
    return Event(id=name, source="/test", type="test", subject="source", teamid=team, data=data)


@pytest.fixture
def log(database: Database) -> Iterator[PostgresLog]:
    log = PostgresLog(database)
    yield log
    log.close()


@pytest.fixture
def other_team(database: Database) -> uuid.UUID:
    with database.system() as connection:
        connection.execute("INSERT INTO teams (id, name) VALUES (%s, 'other')", (OTHER_TEAM,))
    return OTHER_TEAM


def ids(log: PostgresLog, topic: str = TASKS, start: int = 0) -> list[str]:
    return [record.event.id for record in log.read(topic, {0: start}).records]


def test_a_transaction_that_commits_late_is_neither_skipped_nor_holds_up_others(
    database: Database, log: PostgresLog
) -> None:
    with database.team(DEFAULT_TEAM) as late:
        log.append_in(late, TASKS, [event("late")])
        with database.team(DEFAULT_TEAM) as early:
            log.append_in(early, TASKS, [event("early")])
        first = log.read(TASKS, {}, wait=5)
        assert [r.event.id for r in first.records] == ["early"]
        assert log.read(TASKS, first.next_offsets).records == ()
    second = log.read(TASKS, first.next_offsets)
    assert [(r.event.id, r.offset) for r in second.records] == [("late", 1)]


def test_a_rolled_back_append_leaves_no_event_and_no_gap(database: Database, log: PostgresLog) -> None:
    log.append([(TASKS, event("before"))])
    with pytest.raises(RuntimeError), database.team(DEFAULT_TEAM) as connection:
        log.append_in(connection, TASKS, [event("never")])
        raise RuntimeError
    log.append([(TASKS, event("after"))])
    assert [(r.event.id, r.offset) for r in log.read(TASKS, {}).records] == [("before", 0), ("after", 1)]


def test_appends_of_the_same_events_in_opposite_orders_do_not_deadlock(log: PostgresLog) -> None:
    problems: list[BaseException] = []

    def append(reverse: bool) -> None:
        try:
            for number in range(20):
                events = [(topic, event(f"{number}-{k}")) for topic in (TASKS, CHANGES) for k in range(200)]
                log.append(events[::-1] if reverse else events)
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=append, args=(reverse,)) for reverse in (False, True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert log.end_offsets(TASKS) == {0: 4000}


@pytest.mark.parametrize("first_commits", [True, False])
def test_the_same_event_in_two_open_transactions_is_written_once(
    database: Database, log: PostgresLog, first_commits: bool
) -> None:
    new: list[int] = []

    def append_again() -> None:
        with database.team(DEFAULT_TEAM) as connection:
            new.append(log.append_in(connection, TASKS, [event("once")]))

    again = threading.Thread(target=append_again)
    with database.team(DEFAULT_TEAM) as connection:
        assert log.append_in(connection, TASKS, [event("once")]) == 1
        again.start()
        again.join(0.2)
        assert again.is_alive(), "the second transaction must wait for the first one's end"
        if not first_commits:
            raise psycopg.Rollback
    again.join()
    assert new == [0 if first_commits else 1]
    assert ids(log) == ["once"]


def test_order_within_an_append_is_kept_whatever_the_ids(log: PostgresLog) -> None:
    names = ["zebra", "ant", "mole", "bee"]
    log.append([(TASKS, event(name)) for name in names])
    assert ids(log) == names


def test_a_team_cannot_append_for_another_rewrite_or_choose_offsets(
    database: Database, log: PostgresLog, other_team: uuid.UUID
) -> None:
    log.append([(TASKS, event("mine")), (TASKS, event("mine", other_team))])
    forbidden = (
        "UPDATE event_log SET log_offset = 7",
        "DELETE FROM event_log",
        "SELECT log_sequence('penstock.tasks', 10)",
        "UPDATE log_topics SET next_offset = 0",
        "INSERT INTO event_log (topic, team_id, event_id, batch, position, size, body, log_offset) "
        "VALUES ('penstock.tasks', '00000000-0000-0000-0000-000000000001', 'x', 1, 1, 2, '{}', 99)",
    )
    for statement in forbidden:
        with pytest.raises(psycopg.errors.InsufficientPrivilege), database.team(DEFAULT_TEAM) as connection:
            log.append_in(connection, TASKS, [event("pending")])
            connection.execute(statement.encode())
    with pytest.raises(psycopg.errors.InsufficientPrivilege), database.team(DEFAULT_TEAM) as connection:
        log.append_in(connection, TASKS, [event("theirs", other_team)])
    with database.team(DEFAULT_TEAM) as connection:
        assert connection.execute("SELECT count(*) FROM event_log").fetchone() == (1,)
    assert [r.event.teamid for r in log.read(TASKS, {}).records] == [DEFAULT_TEAM, other_team]


def test_an_event_whose_announcement_is_lost_is_still_found_soon(database: Database, log: PostgresLog) -> None:
    def append_silently() -> None:
        time.sleep(0.3)
        with database.system() as connection:
            connection.execute(
                "INSERT INTO event_log (topic, team_id, event_id, batch, position, size, body) "
                "VALUES (%s, %s, 'quiet', 1, 0, 2, %s)",
                (TASKS, DEFAULT_TEAM, event("quiet").to_json().decode()),
            )

    thread = threading.Thread(target=append_silently)
    thread.start()
    began = time.monotonic()
    batch = log.read(TASKS, {}, wait=600)
    assert [r.event.id for r in batch.records] == ["quiet"]
    assert time.monotonic() - began < 300
    thread.join()


def test_an_announcement_wakes_a_reader_long_before_the_next_poll(
    log: PostgresLog, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "POLL_SECONDS", 600.0)
    thread = threading.Timer(0.3, lambda: log.append([(TASKS, event("loud"))]))
    thread.start()
    began = time.monotonic()
    assert [r.event.id for r in log.read(TASKS, {}, wait=600).records] == ["loud"]
    assert time.monotonic() - began < 300
    thread.join()


def test_a_read_after_the_server_dropped_its_connections_just_works(
    log: PostgresLog, postgres_server: object, database_name: str, database: Database
) -> None:
    log.append([(TASKS, event("kept"))])
    assert ids(log) == ["kept"]
    terminate(postgres_server, database_name)
    assert ids(log) == ["kept"]


def test_a_long_poll_whose_connection_dies_says_that_the_log_is_unavailable(
    log: PostgresLog, postgres_server: object, database_name: str
) -> None:
    killer = threading.Timer(0.3, terminate, (postgres_server, database_name))
    killer.start()
    with pytest.raises(EventLogUnavailable, match="does not answer"):
        log.read(TASKS, {}, wait=20)
    killer.join()
    assert log.read(TASKS, {}).records == ()


def terminate(server: object, name: str) -> None:
    url = server.url("postgres", owner=True)  # type: ignore[attr-defined]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))


def test_a_database_that_cannot_be_reached_raises_unavailable() -> None:
    gone = PostgresLog(Database("postgresql://nobody@127.0.0.1:9/none", timeout=0.2))
    for attempt in (
        lambda: gone.read(TASKS, {}),
        lambda: gone.append([(TASKS, event("x"))]),
        lambda: gone.end_offsets(TASKS),
        lambda: gone.commit_group("g", TASKS, {0: 1}),
    ):
        with pytest.raises(EventLogUnavailable):
            attempt()


def test_a_forked_child_reads_on_connections_of_its_own(log: PostgresLog) -> None:
    log.append([(TASKS, event("before the fork"))])
    assert ids(log) == ["before the fork"]
    with log._sessions.session() as session:
        parents = session.connection.info.backend_pid
    child = os.fork()
    if child == 0:
        try:
            with log._sessions.session() as session:
                own = session.connection.info.backend_pid != parents
            os._exit(0 if own and ids(log) == ["before the fork"] else 3)
        finally:
            os._exit(4)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    log.append([(TASKS, event("after"))])
    assert ids(log) == ["before the fork", "after"]


def test_pruning_removes_the_front_and_readers_behind_it_get_a_reset(database: Database, log: PostgresLog) -> None:
    log.append([(TASKS, event(f"old-{i}")) for i in range(3)])
    assert len(ids(log)) == 3
    time.sleep(0.01)
    boundary = datetime.now(UTC)
    log.append([(TASKS, event("new"))])
    assert log.prune(TASKS, boundary) == 3
    assert log.prune(TASKS, boundary) == 0
    batch = log.read(TASKS, {0: 1})
    assert [(r.event.id, r.offset) for r in batch.records] == [("new", 3)]
    assert batch.resets == {0: 3}
    assert log.read(TASKS, {}).resets == {}
    assert log.lag("late-group", TASKS) == {0: 1}


def test_pruning_keeps_what_the_relay_has_not_moved_and_what_has_no_offset_yet(
    database: Database, log: PostgresLog
) -> None:
    log.append([(TASKS, event(f"e{i}")) for i in range(4)])
    assert log.prune(TASKS, datetime.now(UTC)) == 0
    assert len(ids(log)) == 4
    with database.system() as connection:
        connection.execute("INSERT INTO relay_positions (topic, next_offset) VALUES (%s, 3)", (TASKS,))
    assert log.prune(TASKS, datetime.now(UTC)) == 3
    assert [r.event.id for r in log.read(TASKS, {}).records] == ["e3"]


def test_a_read_is_bounded_in_bytes_but_always_makes_progress(
    log: PostgresLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.append([(TASKS, event(f"e{i}", text="x" * 1_000)) for i in range(5)])
    monkeypatch.setattr(postgres, "MAX_BATCH_BYTES", 2_500)
    assert ids(log) == ["e0", "e1", "e2"]
    monkeypatch.setattr(postgres, "MAX_BATCH_BYTES", 10)
    assert ids(log, start=3) == ["e3"]


def test_a_large_append_goes_in_pieces_of_one_transaction(log: PostgresLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "_INSERTED_AT_ONCE", 1_000)
    names = [f"e{i}" for i in range(30)]
    log.append([(TASKS, event(name, text="x" * 200)) for name in names])
    assert ids(log) == names


def test_an_append_to_an_unknown_topic_writes_nothing(log: PostgresLog) -> None:
    with pytest.raises(UnknownTopic, match="nowhere"):
        log.append([(TASKS, event("a")), ("penstock.nowhere", event("b"))])
    assert ids(log) == []


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (Event(id="a\0b", source="s", type="t", subject="u"), "its id holds a NUL"),
        (Event(id="a", source="s", type="t", subject="u\0"), "its subject holds a NUL"),
        (Event(id="a", source="s", type="t", subject="u", data={"x": "\ud800"}), "cannot be written as JSON"),
    ],
)
def test_an_event_that_can_never_be_stored_is_refused_by_name(log: PostgresLog, bad: Event, reason: str) -> None:
    with pytest.raises(EventRefused, match=reason):
        log.append([(TASKS, event("good")), (TASKS, bad)])
    assert ids(log) == []


def test_a_row_that_is_not_an_event_is_reported_and_skipped(database: Database, log: PostgresLog) -> None:
    log.append([(TASKS, event("a"))])
    with database.system() as connection:
        connection.execute(
            "INSERT INTO event_log (topic, team_id, event_id, batch, position, size, body) "
            "VALUES (%s, %s, 'bad', nextval('log_batches'), 0, 2, '{}')",
            (TASKS, DEFAULT_TEAM),
        )
    log.append([(TASKS, event("b"))])
    batch = log.read(TASKS, {})
    assert [r.event.id for r in batch.records] == ["a", "b"]
    assert [(bad.offset, "specversion" in bad.reason or "id" in bad.reason) for bad in batch.unreadable] == [(1, True)]
    assert batch.next_offsets == {0: 3}

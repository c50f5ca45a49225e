"""Flaws that are put back on purpose, each of which a test must notice; a test that passes with one tests nothing."""

import inspect
import json
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from core.database.embedded import EmbeddedServer
from tests.gateway import test_threads as over_http
from tests.gateway.conftest import client, credentials, make_client, serve, settings, token_for
from tests.threads import test_client, test_push, test_rules
from tests.threads.test_client import make
from tests.threads.world import World
from threads.client import client as client_module
from threads.client import monitor, sync, timing, transport, writing
from threads.client.store import put
from threads.client.sync import Sync

__all__ = ["client", "credentials", "make", "make_client", "serve", "settings", "token_for"]

Apply = Callable[[pytest.MonkeyPatch, "Schema"], None]


class Schema:
    """Changes functions of a test's database."""

    def __init__(self, url: str) -> None:
        self._url = url

    def change(self, function: str, old: str, new: str) -> None:
        with psycopg.connect(self._url, autocommit=True, options="-c search_path=penstock,public") as connection:
            row = connection.execute("SELECT pg_get_functiondef(%s::regproc)", (function,)).fetchone()
            assert row and old in row[0], f"{function} has no {old!r}"
            connection.execute(row[0].replace(old, new))


@pytest.fixture
def schema(postgres_server: EmbeddedServer, database_name: str) -> Schema:
    return Schema(postgres_server.url(database_name, owner=True))


def late_commit(world: World) -> None:
    """A push commits after a later one was read."""
    reader = world.devices[0]
    reader.steps("pull", "")
    reader.steps(world.late_place, "")
    world.begin_late()
    world.create(world.devices[1], "team")
    world.devices[1].steps("push", "")
    reader.steps("pull", "")
    world.finish_late()
    world.settle()


def lost_answer(world: World) -> None:
    """Pushes whose answers and requests are lost, with a message between them."""
    writer = world.devices[0]
    world.create(writer, "team")
    for fate in ("answer", "request", "answer", ""):
        world.say(writer, world.threads[0])
        writer.steps("push", fate)
    world.settle()


def revocation(world: World) -> None:
    """A thread is taken from its readers while one of them is away."""
    world.create(world.devices[0], "team")
    world.say(world.devices[0], world.threads[0])
    world.devices[0].client.sync.sync()
    world.devices[2].steps("pull", "")
    world.devices[2].steps(world.threads[0], "")
    world.share(world.threads[0], "private", frozenset())
    world.settle()


def lost_holder(world: World) -> None:
    """The holder of a turn is lost in the middle of a tool use."""
    world.create(world.devices[0], "team")
    world.devices[0].client.sync.sync()
    thread = world.threads[0]
    world.turn(world.devices[0], thread, "claim")
    world.turn(world.devices[0], thread, "tool_use")
    world.devices[0].client.sync.sync()
    world.turn(world.devices[2], thread, "lose")
    world.turn(world.devices[2], thread, "claim")
    world.settle()


def _sequence_at_insert(patch: pytest.MonkeyPatch, schema: Schema) -> None:
    place = "INSERT INTO thread_feed (team_id, thread_id, from_seq) VALUES (team, t.id, feed_from)"
    numbered = (
        "INSERT INTO thread_feeds (team_id) VALUES (team) ON CONFLICT DO NOTHING; "
        "INSERT INTO thread_feed (team_id, thread_id, from_seq, feed_offset) VALUES (team, t.id, feed_from, "
        "currval(pg_get_serial_sequence('penstock.thread_feed', 'number')) + 1)"
    )
    schema.change("threads_push", place, numbered.replace("currval(", "nextval("))
    schema.change(
        "threads_sequence",
        "SELECT first_offset, next_offset INTO first_kept, next_free FROM thread_feeds WHERE team_id = team;",
        "SELECT 0, max(feed_offset) + 1 INTO first_kept, next_free FROM thread_feed WHERE team_id = team;",
    )


def _forget_before_sending(patch: pytest.MonkeyPatch, schema: Schema) -> None:
    take = Sync._next_batch

    def next_batch(self: Sync) -> list[dict[str, Any]]:
        batch = take(self)
        with self.store.writing() as db:
            db.executemany("DELETE FROM pending WHERE id = ?", [(one["id"],) for one in batch])
        return batch

    patch.setattr(Sync, "_next_batch", next_batch)


def _last_base(patch: pytest.MonkeyPatch, schema: Schema) -> None:
    enqueue = writing.enqueue

    def on_the_newest(store: Any, mutation: dict[str, Any], now: float) -> int:
        number = enqueue(store, mutation, now)
        with store.writing() as db:
            (text,) = db.execute("SELECT mutation FROM pending WHERE id = ?", (number,)).fetchone()
            kept = json.loads(text)
            if kept["kind"] == "edit" and "base" in mutation:
                kept.pop("base_mutation", None)
                kept["base"] = mutation["base"]
                db.execute("UPDATE pending SET mutation = ? WHERE id = ?", (json.dumps(kept), number))
        return number

    patch.setattr(client_module, "enqueue", on_the_newest)


def _newer_first(patch: pytest.MonkeyPatch, schema: Schema) -> None:
    def enqueue(store: Any, mutation: dict[str, Any], now: float) -> int:
        with store.writing() as db:
            number = int(store.get("next") or 1)
            if mutation["kind"] == "edit":
                row = db.execute(
                    "SELECT id, mutation FROM pending WHERE mutation LIKE '%\"edit\"%' AND NOT sent"
                ).fetchone()
                if row:
                    return int(row[0])
            db.execute(
                "INSERT INTO pending (id, thread, mutation, at) VALUES (?, ?, ?, ?)",
                (number, mutation["thread"], json.dumps(mutation), now),
            )
            put(db, "next", str(number + 1))
        return number

    patch.setattr(client_module, "enqueue", enqueue)


def _each_refreshes(patch: pytest.MonkeyPatch, schema: Schema) -> None:
    patch.setattr(transport.Tokens, "renewed", lambda self, refused: self._refresh())


def _debounce(patch: pytest.MonkeyPatch, schema: Schema) -> None:
    def wait(self: timing.Throttle, now: float) -> float:
        quiet = now - self._last >= self.seconds
        self._last = now
        return 0.0 if quiet else self.seconds

    patch.setattr(timing.Throttle, "wait", wait)


def _set(owner: Any, name: str, value: Any) -> Apply:
    return lambda patch, schema: patch.setattr(owner, name, value)


def _sql(function: str, old: str, new: str) -> Apply:
    return lambda patch, schema: schema.change(function, old, new)


FLAWS: dict[str, tuple[Apply, Callable[..., None]]] = {
    "offsets are given before the commit": (_sequence_at_insert, late_commit),
    "a repeated mutation takes effect again": (
        _sql("threads_push", "IF mid <= c.last_mutation_id THEN", "IF false THEN"),
        test_push.test_a_repeated_push_changes_nothing_and_has_the_same_answers,
    ),
    "a gap in a client's numbers is taken": (
        _sql("threads_push", "first_id > c.last_mutation_id + 1", "false"),
        test_push.test_a_gap_is_refused_with_the_number_that_comes_next,
    ),
    "anybody may use a client id": (
        _sql("threads_push", "c.principal <> me", "false"),
        test_push.test_a_client_id_of_another_person_or_team_is_refused,
    ),
    "a rejection does not advance the client": (
        _sql("threads_push", "last_id := mid;", "last_id := CASE WHEN op_body IS NULL THEN last_id ELSE mid END;"),
        test_push.test_a_repeated_push_changes_nothing_and_has_the_same_answers,
    ),
    "the last edit replaces all others": (
        _sql("threads_push", "plain AND base_seq = msg.revision", "true"),
        test_push.test_edits_that_do_not_meet_are_merged_and_others_are_kept_side_by_side,
    ),
    "an edit revives a deleted message": (
        _sql("threads_push", "ELSIF msg.deleted THEN", "ELSIF false THEN"),
        test_push.test_a_tombstone_wins_over_an_edit,
    ),
    "a truncation deletes what it never saw": (
        _sql("threads_push", "AND x.seq <= (m ->> 'upto')::bigint\n                    AND NOT", "AND NOT"),
        test_push.test_a_truncation_spares_what_it_never_saw,
    ),
    "anybody of a team may read a thread": (
        _sql("thread_role", "IF me IS NULL THEN", "IF true THEN\n RETURN 'writer';\n ELSIF me IS NULL THEN"),
        test_push.test_threads_of_others_are_as_if_they_did_not_exist,
    ),
    "a revoked reader is not told": (
        _sql("threads_share", "thread_readers(t));", "NULL);"),
        test_push.test_a_revoked_reader_is_told_to_purge_and_reads_nothing_more,
    ),
    "sharing is not compared": (
        _sql("threads_share", "t.acl_epoch <> epoch AND NOT narrower", "false"),
        test_push.test_a_revoked_reader_is_told_to_purge_and_reads_nothing_more,
    ),
    "a link does not expire": (
        _sql("thread_role", "g.expires_at > clock_timestamp()", "true"),
        test_push.test_a_link_opens_a_thread_until_it_expires,
    ),
    "a turn has no fence": (
        _sql(
            "threads_push",
            "(m ->> 'turn')::bigint IS DISTINCT FROM t.turn_epoch\n                    OR t.turn_until IS "
            "NULL OR t.turn_until <= clock_timestamp()) THEN\n                result",
            "false) THEN\n                result",
        ),
        test_push.test_only_the_holder_of_a_turn_writes_as_agent_and_a_lost_one_is_cleaned_up,
    ),
    "a lost holder's tool uses stay open": (_sql("threads_turn", "x.open ORDER BY", "false ORDER BY"), lost_holder),
    "a result may name no tool use": (
        _sql(
            "threads_push",
            "IF NOT EXISTS (SELECT FROM thread_messages x",
            "IF false AND EXISTS (SELECT FROM thread_messages x",
        ),
        test_push.test_only_the_holder_of_a_turn_writes_as_agent_and_a_lost_one_is_cleaned_up,
    ),
    "an attachment need not be there": (
        _sql("threads_push", "(m -> 'body') ? 'attachments'", "false"),
        over_http.test_an_attachment_is_served_to_readers_of_its_thread_only,
    ),
    "a batch is forgotten before it is sent": (_forget_before_sending, lost_answer),
    "of combined edits the last base is kept": (
        _last_base,
        test_client.test_edits_that_were_not_sent_are_combined_on_their_first_base,
    ),
    "of combined edits the older text is kept": (
        _newer_first,
        test_client.test_edits_that_were_not_sent_are_combined_on_their_first_base,
    ),
    "a client keeps what was taken away": (_set(sync, "purge", lambda db, thread: None), revocation),
    "an answer that was lost repeats a message": (
        _sql(
            "threads_push",
            "ON CONFLICT (thread_id, id) DO NOTHING",
            "ON CONFLICT (thread_id, id) DO UPDATE SET seq = excluded.seq",
        ),
        test_push.test_a_repeated_push_changes_nothing_and_has_the_same_answers,
    ),
    "each caller refreshes the token": (_each_refreshes, over_http.test_a_refused_token_is_refreshed_once_for_all),
    "autosave waits for a pause": (
        _debounce,
        test_rules.test_autosave_is_throttled_and_not_starved_by_a_text_that_keeps_growing,
    ),
    "activity slows polling": (
        _set(timing, "poll_interval", lambda activity, random, server=None: 5.0 * 12.0**activity),
        test_rules.test_a_busy_client_polls_often_and_an_idle_one_seldom,
    ),
    "retries end": (
        _set(timing, "retry_after", lambda failures, random: timing.RETRIES[failures - 1]),
        test_rules.test_retries_go_on_for_ever_with_full_jitter,
    ),
    "the smallest batch is best": (
        _set(monitor.Monitor, "best_batch", lambda self: 1),
        test_rules.test_the_best_batch_keeps_the_fixed_cost_under_a_tenth,
    ),
    "threads are spread by a hash modulo n": (
        _set(test_rules.affinity, "preferred", lambda key, all_: [list(all_)[sum(key.encode()) % len(list(all_))]]),
        test_rules.test_a_replica_more_moves_only_what_prefers_it,
    ),
    "touching edits are merged": (
        _set(test_rules.merge, "merge_text", lambda base, mine, theirs: mine),
        test_rules.test_edits_of_the_same_or_touching_lines_conflict,
    ),
    "a full thread just ends": (
        _set(test_push.ThreadService, "go_on", None),
        test_push.test_a_full_thread_goes_on_in_one_that_begins_with_a_summary,
    ),
}


@pytest.mark.parametrize("flaw", FLAWS)
def test_a_flaw_is_noticed(
    flaw: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, schema: Schema, database: Any
) -> None:
    apply, check = FLAWS[flaw]
    wanted = list(inspect.signature(check).parameters)
    if wanted == ["world"]:
        world = World(database, schema._url)
        try:
            apply(monkeypatch, schema)
            with pytest.raises((AssertionError, psycopg.Error)):
                check(world)
        finally:
            monkeypatch.undo()
            world.close()
        return
    given = {name: request.getfixturevalue(name) for name in wanted}
    apply(monkeypatch, schema)
    with pytest.raises((AssertionError, psycopg.Error, KeyError, IndexError, TypeError, pytest.fail.Exception)):
        check(**given)


@pytest.mark.parametrize("check", [late_commit, lost_answer, revocation, lost_holder], ids=lambda one: one.__name__)
def test_without_a_flaw_nothing_is_noticed(check: Callable[[World], None], schema: Schema, database: Any) -> None:
    world = World(database, schema._url)
    try:
        check(world)
    finally:
        world.close()

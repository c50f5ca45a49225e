"""The client on its file, against the real service: offline, with lost answers, a full disk, two processes."""

import multiprocessing
import os
import sqlite3
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from core.events import DEFAULT_TEAM
from tests.threads.conftest import ANN, BOB, Run
from tests.threads.transport import DirectTransport
from threads.affinity import preferred
from threads.client.client import ThreadClient
from threads.client.replicas import ReplicatedTransport
from threads.client.store import MOST_PENDING, ClientStore, QueueFull, StorageFull
from threads.client.transport import Offline
from threads.client.writing import enqueue
from threads.service import Member, ThreadService

MakeClient = Callable[..., ThreadClient]


@pytest.fixture
def make(service: ThreadService, run: Run[Any], tmp_path: Path) -> MakeClient:
    def made(who: Member = ANN, name: str | None = None) -> ThreadClient:
        return ThreadClient(tmp_path / f"{name or who.name}.db", DirectTransport(service, run, who))

    return made


def transport(client: ThreadClient) -> DirectTransport:
    found = client.sync.transport
    assert isinstance(found, DirectTransport)
    return found


def test_what_is_written_offline_is_shown_at_once_and_arrives_later(make: MakeClient) -> None:
    ann, bob = make(ANN), make(BOB)
    transport(ann).fate = lambda path: "request"
    thread = ann.create("On the train", visibility="team")
    message = ann.say(thread, "one")
    ann.say(thread, "two")
    ann.edit(thread, message, "ONE")
    assert ann.snapshot(thread).texts == ["ONE", "two"]
    with pytest.raises(Offline):
        ann.sync.sync()
    transport(ann).fate = lambda path: ""
    ann.sync.sync()
    assert ann.sync.waiting() == 0 and not any(one.pending for one in ann.snapshot(thread).messages)
    bob.sync.pull()
    assert [view["title"] for view in bob.listing()] == ["On the train"]
    bob.open(thread)
    assert bob.snapshot(thread).texts == ["ONE", "two"] == ann.snapshot(thread).texts


def test_a_lost_answer_repeats_nothing(make: MakeClient) -> None:
    ann = make(ANN)
    thread = ann.create("A thread")
    ann.say(thread, "once")
    transport(ann).fate = lambda path: "answer" if path == "/sync/push" else ""
    with pytest.raises(Offline):
        ann.sync.push()
    transport(ann).fate = lambda path: ""
    ann.say(thread, "twice")
    ann.sync.sync()
    ann.sync.catch_up(thread)
    assert ann.snapshot(thread).texts == ["once", "twice"] and ann.dead_letters() == []


def test_edits_that_were_not_sent_are_combined_on_their_first_base(make: MakeClient) -> None:
    ann, bob = make(ANN), make(BOB)
    thread = ann.create("A thread", visibility="team")
    message = ann.say(thread, "a\nb\nc\n")
    ann.sync.sync()
    bob.open(thread)
    bob.edit(thread, message, "A\nb\nc\n")
    bob.sync.sync()
    ann.edit(thread, message, "a\nb\nC1\n")
    ann.edit(thread, message, "a\nb\nC2\n")
    assert ann.sync.waiting() == 1
    ann.sync.push()
    ann.edit(thread, message, "a\nb\nC3\n")  # on top of its own text, which was merged meanwhile
    ann.sync.sync()
    bob.sync.sync()
    assert ann.snapshot(thread).texts == bob.snapshot(thread).texts == ["A\nb\nC3\n"]


def test_a_refused_change_is_rolled_back_and_stays_visible(make: MakeClient) -> None:
    ann, bob = make(ANN), make(BOB)
    thread = ann.create("A thread", visibility="team")
    message = ann.say(thread, "text")
    ann.sync.sync()
    bob.open(thread)
    ann.delete(thread, message)
    ann.sync.sync()
    bob.edit(thread, message, "new text")
    assert bob.snapshot(thread).texts == ["new text"]
    bob.sync.sync()
    assert bob.snapshot(thread).texts == []
    [letter] = bob.dead_letters()
    assert (letter.code, letter.mutation["text"]) == ("deleted", "new text")


def test_a_revoked_thread_is_purged(make: MakeClient) -> None:
    ann, bob = make(ANN), make(BOB)
    thread = ann.create("A thread", visibility="team")
    ann.say(thread, "for the team")
    ann.sync.sync()
    bob.sync.pull()
    bob.open(thread)
    ann.share(thread, "private")
    bob.say(thread, "mine")
    bob.sync.sync()
    assert bob.listing() == [] and bob.snapshot(thread).texts == []
    assert [one.code for one in bob.dead_letters()] == ["no-thread"]
    assert b"for the team" not in b"".join(one.read_bytes() for one in bob.store.path.parent.glob("bob.db*"))


def test_a_thread_that_a_pull_names_while_it_is_made_is_kept(make: MakeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    ann = make(ANN)

    def pulled_at_once(*given: Any) -> int:
        number = enqueue(*given)
        ann.sync.sync()
        return number

    monkeypatch.setattr("threads.client.client.enqueue", pulled_at_once)
    thread = ann.create("A thread")
    monkeypatch.undo()
    ann.say(thread, "is kept")
    ann.sync.sync()
    assert ann.snapshot(thread).texts == ["is kept"] and not ann.snapshot(thread).messages[0].pending


def test_what_was_sent_to_a_purged_thread_waits_no_more(make: MakeClient) -> None:
    ann, bob = make(ANN), make(BOB)
    thread = ann.create("A thread", visibility="team")
    ann.sync.sync()
    bob.sync.pull()
    bob.open(thread)
    bob.say(thread, "sent, and its op not read")
    bob.sync.push()
    ann.share(thread, "private")
    bob.sync.pull()
    with bob.store.reading() as db:
        assert db.execute("SELECT count(*) FROM pending").fetchone() == (0,)


def test_a_client_whose_id_or_cursor_the_server_does_not_know_goes_on(make: MakeClient, database: Any) -> None:
    ann = make(ANN)
    thread = ann.create("A thread")
    ann.sync.sync()
    with database.team(DEFAULT_TEAM) as connection:
        connection.execute("DELETE FROM sync_outcomes")
        connection.execute("DELETE FROM sync_clients")
    with ann.store.writing() as db:
        db.execute("UPDATE meta SET value = '99999' WHERE name = 'cursor'")
    ann.say(thread, "after 30 days")
    message = ann.say(thread, "and")
    ann.edit(thread, message, "and more")
    ann.sync.sync()
    assert ann.snapshot(thread).texts == ["after 30 days", "and more"] and ann.sync.waiting() == 0


def test_a_full_disk_is_said_and_loses_nothing(make: MakeClient) -> None:
    ann = make(ANN)
    thread = ann.create("A thread")
    ann.say(thread, "kept")
    ann.store._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    pages = ann.store._db.execute("PRAGMA page_count").fetchone()[0]
    ann.store._db.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StorageFull, match="nothing was changed"):
        for _ in range(50):
            ann.say(thread, "x" * 200_000)
    ann.store._db.execute("PRAGMA max_page_count = 1000000")
    assert ann.snapshot(thread).texts[0] == "kept"
    ann.sync.sync()
    assert ann.sync.waiting() == 0


def test_what_is_malformed_or_too_much_is_refused_before_it_is_kept(make: MakeClient) -> None:
    ann = make(ANN)
    thread = ann.create("A thread")
    for text in ("x" * (256 << 10) + "y", "\x00"):
        with pytest.raises(ValidationError):
            ann.say(thread, text)
    with ann.store.writing() as db:
        db.executemany(
            "INSERT INTO pending (id, thread, mutation, at) VALUES (?, 't', '{}', 0)",
            [(number,) for number in range(2, MOST_PENDING + 2)],
        )
    with pytest.raises(QueueFull):
        ann.say(thread, "one too many")


def test_a_replica_that_dies_costs_one_retry(make: MakeClient, service: ThreadService, run: Run[Any]) -> None:
    replicas = {name: DirectTransport(service, run, ANN) for name in ("a", "b", "c")}
    ann = make(ANN)
    ann.sync.transport = ReplicatedTransport(replicas)
    thread = ann.create("A thread")
    ann.sync.sync()
    first, second, _ = preferred(thread, replicas)
    ann.sync.catch_up(thread)
    replicas[first].fate = lambda path: "request"
    ann.say(thread, "one replica is dead")
    ann.sync.sync()
    ann.sync.catch_up(thread)
    assert ann.snapshot(thread).texts == ["one replica is dead"]
    replicas[second].fate = lambda path: "request"
    with pytest.raises(Offline):
        ann.sync.catch_up(thread)


def _write(path: Path, thread: str, name: str) -> None:
    store = ClientStore(path)
    for number in range(50):
        mutation = {"thread": thread, "kind": "append", "message": str(uuid.uuid4()), "role": "user"}
        enqueue(store, {**mutation, "text": f"{name} {number}"}, 0.0)
        if name == "killed" and number == 30:
            os.kill(os.getpid(), 9)


def test_processes_share_one_file_and_a_killed_one_loses_nothing(make: MakeClient) -> None:
    ann = make(ANN)
    thread = ann.create("A thread")
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_write, args=(ann.store.path, thread, name)) for name in ("a", "b", "killed")]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    with ann.store.syncing() as first, ClientStore(ann.store.path).syncing() as second:
        assert (first, second) == (True, False)
    ann.sync.sync()
    texts = ann.snapshot(thread).texts
    for name, count in (("a", 50), ("b", 50), ("killed", 31)):
        assert [text for text in texts if text.startswith(f"{name} ")] == [f"{name} {n}" for n in range(count)]
    rows = sqlite3.connect(ann.store.path).execute("SELECT count(*) FROM pending").fetchone()
    assert rows == (0,)

"""Pushes: order, idempotence, merges, rights and turns, on a real database."""

import asyncio
import json
import threading
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from core.database import Database
from core.events import DEFAULT_TEAM
from tests.threads.conftest import ANN, BOB, EVE, Pusher, Run, member
from threads.model import Push, Sharing, Turn
from threads.replica import Replica
from threads.retention import DAYS, look, prune
from threads.service import Member, ThreadError, ThreadService
from threads.summary import Said, summarise, summary_by

MakePusher = Callable[[Member], Pusher]


def _ops(service: ThreadService, run: Run[Any], who: Member, thread: str) -> list[dict[str, Any]]:
    ops: list[dict[str, Any]] = json.loads(run(service.ops(who, uuid.UUID(thread), None, 0, 1000)))["ops"]
    return ops


def _texts(service: ThreadService, run: Run[Any], who: Member, thread: str) -> list[str]:
    found = json.loads(run(service.messages(who, uuid.UUID(thread), 10**9, 200)))["messages"]
    return [one["text"] for one in found if not one["deleted"]]


def test_a_repeated_push_changes_nothing_and_has_the_same_answers(
    service: ThreadService, run: Run[Any], pusher: MakePusher
) -> None:
    ann = pusher(ANN)
    thread = ann.create()
    message = str(uuid.uuid4())
    batch = [
        {"thread": thread, "kind": "append", "message": message, "role": "user", "text": "one"},
        {"thread": thread, "kind": "append", "message": message, "role": "user", "text": "again"},
        {"thread": thread, "kind": "title", "title": "A thread", "base": "A thread"},
    ]
    first = ann.push(*batch)
    assert [one["status"] for one in first] == ["applied", "rejected", "applied"]
    again = ann.push(*batch, first=2)
    assert [one["status"] for one in again] == ["duplicate"] * 3
    assert [one["was"] for one in again] == ["applied", "rejected", "applied"]
    assert (again[0]["seq"], again[1]["code"]) == (2, "exists")
    assert [op["seq"] for op in _ops(service, run, ANN, thread)] == [1, 2]


def test_a_gap_is_refused_with_the_number_that_comes_next(pusher: MakePusher) -> None:
    ann = pusher(ANN)
    thread = ann.create()
    with pytest.raises(ThreadError) as refused:
        ann.push({"thread": thread, "kind": "delete", "message": str(uuid.uuid4())}, first=4)
    assert (refused.value.code, refused.value.more) == ("gap", {"expected": 2})


def test_a_client_id_of_another_person_or_team_is_refused(pusher: MakePusher, service: ThreadService) -> None:
    ann, bob = pusher(ANN), pusher(BOB)
    thread = ann.create()
    bob.client = ann.client
    with pytest.raises(ThreadError, match="somebody else"):
        bob.say(thread, "I am Ann")


def test_edits_that_do_not_meet_are_merged_and_others_are_kept_side_by_side(
    service: ThreadService, run: Run[Any], pusher: MakePusher
) -> None:
    ann, bob = pusher(ANN), pusher(BOB)
    thread = ann.create(visibility="team")
    message, said = ann.say(thread, "a\nb\nc\nd\n")
    base = said["seq"]
    edit = {"thread": thread, "kind": "edit", "message": message, "base": base}
    assert ann.push({**edit, "text": "A\nb\nc\nd\n"})[0]["status"] == "applied"
    assert bob.push({**edit, "text": "a\nb\nc\nD\n"})[0]["status"] == "applied"
    assert _texts(service, run, ANN, thread) == ["A\nb\nc\nD\n"]
    [third] = bob.push({**edit, "text": "x\nb\nc\nd\n"})
    assert (third["status"], third["code"]) == ("conflict", "siblings")
    found = json.loads(run(service.messages(ANN, uuid.UUID(thread), 10**9, 10)))["messages"][0]
    assert found["text"] == "A\nb\nc\nD\n"
    assert [(one["author"], one["text"]) for one in found["siblings"]] == [("bob", "x\nb\nc\nd\n")]
    resolved = {**edit, "base": found["revision"], "text": "x\nb\nc\nD\n", "resolves": [third["seq"]]}
    assert ann.push(resolved)[0]["status"] == "applied"
    found = json.loads(run(service.messages(ANN, uuid.UUID(thread), 10**9, 10)))["messages"][0]
    assert (found["text"], found["siblings"]) == ("x\nb\nc\nD\n", [])


def test_a_copy_drops_the_versions_that_a_merged_edit_resolves(
    service: ThreadService, run: Run[Any], pusher: MakePusher
) -> None:
    ann, bob = pusher(ANN), pusher(BOB)
    thread = ann.create(visibility="team")
    message, said = ann.say(thread, "a\nb\nc\nd\n")
    edit = {"thread": thread, "kind": "edit", "message": message, "base": said["seq"]}
    ann.push({**edit, "text": "A\nb\nc\nd\n"})
    [beside] = bob.push({**edit, "text": "x\nb\nc\nd\n"})
    ann.push({**edit, "base": beside["seq"], "text": "A\nb\nc\nD\n"})
    chosen = {**edit, "base": beside["seq"], "text": "x\nb\nc\nd\n", "resolves": [beside["seq"]]}
    assert bob.push(chosen)[0]["status"] == "applied"
    copy = Replica()
    for op in _ops(service, run, ANN, thread):
        copy.fold(op)
    found = json.loads(run(service.messages(ANN, uuid.UUID(thread), 10**9, 10)))["messages"][0]
    folded = copy.messages[message]
    assert (found["text"], found["siblings"]) == ("x\nb\nc\nD\n", [])
    assert (folded.text, folded.siblings) == (found["text"], ())


def test_an_edit_that_others_always_overtake_is_set_beside_the_message(
    service: ThreadService, database: Database, pusher: MakePusher, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann, bob = pusher(ANN), pusher(BOB)
    thread = ann.create(visibility="team")
    message, said = ann.say(thread, "a\nb\nc\n")
    edit = {"thread": thread, "kind": "edit", "message": message, "base": said["seq"]}
    real, rounds = service.store.call, 0

    async def overtaken(query: str, values: Any) -> Any:
        nonlocal rounds
        rounds += 1
        assert rounds < 100, "the push never ends"
        row = await real(query, values)
        if isinstance(row[0], dict) and row[0].get("merge"):  # somebody else is quicker, each time
            with database.team(DEFAULT_TEAM) as connection:
                connection.execute("UPDATE thread_messages SET revision = revision + 1000 WHERE id = %s", (message,))
        return row

    ann.push({**edit, "text": "A\nb\nc\n"})
    monkeypatch.setattr(service.store, "call", overtaken)
    assert bob.push({**edit, "text": "a\nb\nC\n"})[0]["code"] == "siblings"


def test_a_tombstone_wins_over_an_edit(service: ThreadService, run: Run[Any], pusher: MakePusher) -> None:
    ann = pusher(ANN)
    thread = ann.create()
    message, said = ann.say(thread, "text")
    ann.push({"thread": thread, "kind": "delete", "message": message})
    [edit] = ann.push({"thread": thread, "kind": "edit", "message": message, "text": "new", "base": said["seq"]})
    assert (edit["status"], edit["code"]) == ("conflict", "deleted")
    assert _texts(service, run, ANN, thread) == []


def test_a_truncation_spares_what_it_never_saw(service: ThreadService, run: Run[Any], pusher: MakePusher) -> None:
    ann, bob = pusher(ANN), pusher(BOB)
    thread = ann.create(visibility="team")
    for text in ("one", "two", "three"):
        ann.say(thread, text)
    bob.say(thread, "meanwhile")
    ann.push({"thread": thread, "kind": "truncate", "after": 2, "upto": 4})
    assert _texts(service, run, ANN, thread) == ["one", "meanwhile"]


def test_threads_of_others_are_as_if_they_did_not_exist(
    service: ThreadService, run: Run[Any], pusher: MakePusher
) -> None:
    thread = pusher(ANN).create()
    bob = pusher(BOB)
    assert bob.say(thread, "hello")[1]["code"] == "no-thread"
    assert bob.push({"thread": thread, "kind": "create", "title": "mine"})[0]["code"] == "exists"
    other = member("ann", team=uuid.UUID(int=2))
    for who in (BOB, other):
        with pytest.raises(ThreadError, match="no such thread"):
            run(service.show(who, uuid.UUID(thread)))
        assert json.loads(run(service.pull(who, None, None)))["threads"] == []


def test_a_revoked_reader_is_told_to_purge_and_reads_nothing_more(
    service: ThreadService, run: Run[Any], pusher: MakePusher
) -> None:
    ann = pusher(ANN)
    thread = ann.create()
    identity = uuid.UUID(thread)
    grant = Sharing(acl_epoch=1, visibility="listed", grants={"user:bob": "writer", "user:eve": "writer"})
    assert run(service.share(ANN, identity, grant)) == {"acl_epoch": 2}
    bob, eve = pusher(BOB), pusher(EVE)
    start = json.loads(run(service.pull(BOB, bob.client, None)))
    assert [one["id"] for one in start["threads"]] == [thread]
    assert bob.say(thread, "hello")[1]["status"] == "applied"
    assert eve.push({"thread": thread, "kind": "title", "title": "x", "base": "A thread"})[0]["code"] == "role"
    with pytest.raises(ThreadError) as stale:
        run(service.share(ANN, identity, Sharing(acl_epoch=1, visibility="team")))
    assert (stale.value.code, stale.value.more["acl_epoch"]) == ("acl", 2)
    narrower = Sharing(acl_epoch=1, visibility="listed", grants={"user:eve": "reader"})
    assert run(service.share(ANN, identity, narrower)) == {"acl_epoch": 3}
    pulled = json.loads(run(service.pull(BOB, bob.client, start["cursor"])))
    assert (pulled["purge"], pulled["threads"]) == ([thread], [])
    assert bob.say(thread, "still here?")[1]["code"] == "no-thread"
    seen = json.loads(run(service.pull(EVE, eve.client, start["cursor"])))
    assert seen["purge"] == [] and seen["threads"][0]["role"] == "reader"
    assert eve.say(thread, "may I?")[1]["code"] == "role"


def test_a_link_opens_a_thread_until_it_expires(service: ThreadService, run: Run[Any], pusher: MakePusher) -> None:
    thread = uuid.UUID(pusher(ANN).create())
    sharing = Sharing.model_validate(
        {"acl_epoch": 1, "visibility": "link", "link": {"role": "commenter", "hours": 1e-4}}
    )
    secret = run(service.share(ANN, thread, sharing))["link"]
    assert run(service.join(BOB, secret)) == thread
    start = json.loads(run(service.pull(BOB, None, None)))
    assert start["threads"][0]["role"] == "commenter"
    time.sleep(0.5)
    with pytest.raises(ThreadError):
        run(service.show(BOB, thread))
    assert json.loads(run(service.pull(BOB, None, start["cursor"])))["purge"] == [str(thread)]
    with pytest.raises(ThreadError, match="expired"):
        run(service.join(BOB, secret))


def test_only_the_holder_of_a_turn_writes_as_agent_and_a_lost_one_is_cleaned_up(
    service: ThreadService, run: Run[Any], pusher: MakePusher
) -> None:
    ann = pusher(ANN)
    thread = ann.create()
    identity = uuid.UUID(thread)
    tool = {"tool": {"name": "search"}}
    assert ann.say(thread, "x", "assistant", turn=0)[1]["code"] == "turn"
    first = run(service.turn(ANN, identity, Turn(action="claim", holder="one", seconds=1)))
    use, said = ann.say(thread, "", "tool_use", turn=first["epoch"], body=tool)
    assert said["status"] == "applied"
    with pytest.raises(ThreadError, match="somebody else"):
        run(service.turn(ANN, identity, Turn(action="claim", holder="two")))
    time.sleep(1.1)
    second = run(service.turn(ANN, identity, Turn(action="claim", holder="two")))
    assert second["epoch"] == first["epoch"] + 1
    late = {"turn": first["epoch"], "body": {"tool_use": use}}
    assert ann.say(thread, "found", "tool_result", **late)[1]["code"] == "turn"
    assert (
        ann.say(thread, "found", "tool_result", turn=second["epoch"], body={"tool_use": use})[1]["code"] == "tool-use"
    )
    last = _ops(service, run, ANN, thread)[-1]["body"]
    assert (last["role"], last["body"]["tool_use"]) == ("tool_result", use) and last["body"]["error"]


def test_a_long_poll_answers_when_something_changes(service: ThreadService, run: Run[Any], pusher: MakePusher) -> None:
    ann, bob = pusher(ANN), pusher(BOB)
    thread = ann.create(visibility="team")

    async def wait() -> tuple[dict[str, Any], float]:
        start = json.loads(await service.pull(BOB, bob.client, None))
        waiting = asyncio.create_task(service.pull(BOB, bob.client, start["cursor"], 20))
        await asyncio.sleep(0.3)
        began = time.monotonic()
        mutation = {"id": 2, "thread": thread, "kind": "append", "message": uuid.uuid4(), "role": "user", "text": "now"}
        await service.push(ANN, Push.model_validate({"protocol": 1, "client": ann.client, "mutations": [mutation]}))
        return json.loads(await waiting), time.monotonic() - began

    answer, took = run(wait())
    assert [op["body"]["text"] for op in answer["threads"][0]["ops"]] == ["now"] and took < 1
    assert json.loads(run(service.pull(BOB, None, "99999")))["reset"] is True


def test_a_full_thread_goes_on_in_one_that_begins_with_a_summary(
    database: Any, run: Run[Any], pusher: MakePusher
) -> None:
    small = ThreadService(database, most_messages=3)
    ann = Pusher(small, run, ANN)
    thread = ann.create()
    for text in ("The invoice total is wrong.", "It adds the tax twice.", "Fixed in the cart module."):
        ann.say(thread, text)
    full = ann.say(thread, "One more thing.")[1]
    assert full["code"] == "full"
    following = full["continues_in"]
    assert ann.say(thread, "And another.")[1]["continues_in"] == following
    said = _texts(small, run, ANN, following)
    assert "The invoice total is wrong." in said[0] and "Fixed in the cart module." in said[0]
    assert ann.say(following, "Here then.")[1]["status"] == "applied"
    assert _ops(small, run, ANN, thread)[-1]["kind"] == "continued"
    assert _ops(small, run, ANN, following)[0]["body"]["summary_of"] == thread
    run(small.close())


def test_a_client_that_was_away_for_30_days_begins_again_and_keeps_what_it_wrote(
    database: Any, service: ThreadService, run: Run[Any], pusher: MakePusher
) -> None:
    ann, bob = pusher(ANN), pusher(BOB)
    thread = ann.create(visibility="team")
    start = json.loads(run(service.pull(BOB, bob.client, None)))["cursor"]
    ann.say(thread, "one")
    middle = json.loads(run(service.pull(BOB, bob.client, start)))
    with database.system() as connection:
        connection.execute("UPDATE thread_feed SET at = now() - interval '31 days'")
    ann.say(thread, "two")
    month = datetime.now(UTC) - timedelta(days=DAYS)
    assert look(database, month).count == prune(database, month) == 2
    assert json.loads(run(service.pull(BOB, bob.client, start)))["reset"] is True
    followed = json.loads(run(service.pull(BOB, bob.client, middle["cursor"])))
    with database.system() as connection:
        connection.execute("UPDATE thread_feed SET at = now() - interval '2 days'")
    ann.say(thread, "three")
    run(service.pull(BOB, None, followed["cursor"]))
    assert look(database, month).count == prune(database, month) == 1  # what a later change tells as well
    late = json.loads(run(service.pull(BOB, bob.client, middle["cursor"])))
    assert (late["reset"], late["threads"][0]["head"]) == (False, 4)
    assert [op["body"]["text"] for op in followed["threads"][0]["ops"]] == ["two"]


def test_a_cached_page_is_current_and_only_for_readers(
    service: ThreadService, run: Run[Any], pusher: MakePusher
) -> None:
    ann, bob = pusher(ANN), pusher(BOB)
    thread = ann.create(visibility="team")
    identity = uuid.UUID(thread)
    for number in range(6):
        ann.say(thread, f"{number}" * 2000)
    bob_reads = [json.loads(run(service.ops(BOB, identity, bob.client, after, 4)))["ops"] for after in (0, 4, 0, 4)]
    assert bob_reads[:2] == bob_reads[2:] and [op["seq"] for op in bob_reads[0]] == [1, 2, 3, 4]
    assert run(service.cache.get(thread, "0:4")).whole and not run(service.cache.get(thread, "4:4")).whole
    ann.say(thread, "more")
    assert [op["seq"] for op in json.loads(run(service.ops(BOB, identity, None, 4, 4)))["ops"]] == [5, 6, 7, 8]
    run(service.share(ANN, identity, Sharing(acl_epoch=1, visibility="private")))
    json.loads(run(service.ops(ANN, identity, None, 0, 4)))
    with pytest.raises(ThreadError, match="no such thread"):
        run(service.ops(BOB, identity, bob.client, 0, 4))


def test_hundreds_wait_in_one_process_and_all_are_woken(
    service: ThreadService, run: Run[Any], pusher: MakePusher
) -> None:
    ann = pusher(ANN)
    thread = ann.create(visibility="team")

    async def course() -> list[str]:
        start = json.loads(await service.pull(BOB, None, None))["cursor"]
        before = threading.active_count()
        waiting = [asyncio.create_task(service.pull(BOB, uuid.uuid4(), start, 25)) for _ in range(300)]
        await asyncio.sleep(1)
        threads = threading.active_count()
        append = {"kind": "append", "message": uuid.uuid4(), "role": "user", "text": "wake up"}
        mutation = {"id": 2, "thread": thread, **append}
        await service.push(ANN, Push.model_validate({"protocol": 1, "client": ann.client, "mutations": [mutation]}))
        answers = await asyncio.wait_for(asyncio.gather(*waiting), 10)
        assert threads - before < 20
        return answers

    answers = run(course())
    assert all("wake up" in answer for answer in answers)


def test_a_mentioned_file_is_found_in_the_context_index(
    service: ThreadService, run: Run[Any], pusher: MakePusher, database: Any
) -> None:
    with database.team(DEFAULT_TEAM) as connection:
        for name, commit in (("shop", "a" * 40), ("till", "b" * 40)):
            connection.execute(
                "INSERT INTO sources (team_id, name, location) VALUES (%s, %s, '/x')", (DEFAULT_TEAM, name)
            )
            connection.execute(
                "INSERT INTO index_versions (team_id, source, version, commit, branch, config, files, chunks, skipped) "
                "VALUES (%s, %s, 1, %s, 'main', '', 2, 0, 2)",
                (DEFAULT_TEAM, name, commit),
            )
            connection.execute("INSERT INTO source_indexes VALUES (%s, %s, 1)", (DEFAULT_TEAM, name))
            for path in ("both.py", f"{name}.py"):
                connection.execute(
                    "INSERT INTO source_files (team_id, source, path, since, mode, blob, skipped) "
                    "VALUES (%s, %s, %s, 1, '100644', '', 'test')",
                    (DEFAULT_TEAM, name, path),
                )
    ann = pusher(ANN)
    thread = ann.create()
    paths = [{"path": "shop.py", "lines": [3, 9]}, {"path": "both.py"}, {"path": "both.py", "source": "till"}]
    mentions = [*paths, {"path": "gone.py"}, {"path": "shop.py", "commit": "c" * 40}]
    ann.say(thread, "look here", body={"mentions": mentions})
    stored = _ops(service, run, ANN, thread)[-1]["body"]["body"]["mentions"]
    assert [one.get("commit", "")[:1] for one in stored] == ["a", "", "b", "", "c"]
    assert stored[0] == {"path": "shop.py", "source": "shop", "commit": "a" * 40, "lines": [3, 9]}


def test_a_chat_model_summarises_what_it_can_and_is_done_without(chat_server: Any, tmp_path: Path) -> None:
    folder = tmp_path / "scripted"
    folder.mkdir()
    (folder / "chat.toml").write_text(
        f'provider = "openai"\nurl = "{chat_server.url}/v1"\nmodel = "scripted"\nretries = 0\n'
    )
    said = [Said("ann", "user", "The total is wrong."), Said("bob", "assistant", "It adds the tax twice.")]
    chat_server.script = lambda asked: chat_server.reply("The tax was added twice.")
    text = summary_by("scripted", tmp_path)(said)
    assert text.startswith("The tax was added twice.") and "bob: It adds the tax twice." in text
    chat_server.always = "503"
    assert summary_by("scripted", tmp_path)(said) == summary_by(None, tmp_path)(said) == summarise(said)

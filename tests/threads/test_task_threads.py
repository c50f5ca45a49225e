"""A task's thread: what its attempts do appears in it once, and what people write in it reaches the task."""

import json
import threading
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from core.attempts import Attempt
from core.database import Database
from core.eventlog.postgres import PostgresLog
from core.events import DEFAULT_TEAM
from core.remarks import find_remarks
from core.tasks import create_task, request_event
from tests.threads.conftest import ANN, BOB, EVE, Pusher, Run
from threads.service import Member, ThreadService
from threads.tasks import copy_trajectory, deliver_remarks


def _task(database: Database) -> uuid.UUID:
    with database.team(DEFAULT_TEAM) as connection:
        event = request_event(DEFAULT_TEAM, f"test:{uuid.uuid4()}", "/test", "shop", title="Total is wrong")
        return create_task(
            connection,
            PostgresLog(database),
            event=event,
            source="shop",
            title="Total is wrong",
            body="It is 3.",
            author="zoe",
        )


def _claim(database: Database, task: uuid.UUID) -> Attempt:
    return Attempt.claim(database, DEFAULT_TEAM, task, 1, holder="run", seconds=60, max_claims=3)


def _messages(service: ThreadService, run: Run[Any], thread: uuid.UUID, who: Member = ANN) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(run(service.messages(who, thread, 10**9, 1000)))["messages"]
    return found


def test_a_trajectory_appears_once_whoever_copies_it(service: ThreadService, run: Run[Any], database: Database) -> None:
    task = _task(database)
    thread = run(service.of_task(ANN, task))
    attempt = _claim(database, task)
    for number in range(40):
        attempt.record("judge", {"candidate": f"edit {number}"})
    copiers = [threading.Thread(target=copy_trajectory, args=(database, DEFAULT_TEAM, task)) for _ in range(4)]
    for copier in copiers:
        copier.start()
    for copier in copiers:
        copier.join()
    attempt.record("judge", {"candidate": "the last"})
    copy_trajectory(database, DEFAULT_TEAM, task)
    found = _messages(service, run, thread, EVE)
    assert (found[0]["role"], found[0]["author"], found[0]["text"]) == ("user", "zoe", "Total is wrong\n\nIt is 3.")
    entries = [one["body"]["entry"]["seq"] for one in found if one["body"].get("entry", {}).get("seq")]
    assert entries == list(range(1, 42))
    assert [op["seq"] for op in json.loads(run(service.ops(ANN, thread, None, 0, 1000)))["ops"]] == list(
        range(1, len(found) + 2)
    )


def test_what_a_model_cost_is_in_the_thread_once(service: ThreadService, run: Run[Any], database: Database) -> None:
    task = _task(database)
    thread = run(service.of_task(ANN, task))
    _claim(database, task)
    use = {
        "model": "small-1",
        "prompts": {},
        "steps": 3,
        "prompt_tokens": 1200,
        "completion_tokens": 80,
        "money": 0.0125,
    }
    with database.team(DEFAULT_TEAM) as connection:
        for stage, model in (("context", None), ("execution", use)):
            connection.execute(
                "INSERT INTO stage_outputs (team_id, task_id, attempt, stage, epoch, body, seconds) "
                "VALUES (%s, %s, 1, %s, 1, %s, 1)",
                (DEFAULT_TEAM, task, stage, Jsonb({"model": model})),
            )
    for _ in range(2):
        copy_trajectory(database, DEFAULT_TEAM, task)
    [told] = [one for one in _messages(service, run, thread) if one["body"].get("model")]
    assert told["text"] == "the model small-1 took 3 steps: 1,200 tokens in, 80 out, 0.0125 US dollars"
    assert (told["body"]["tokens"], told["body"]["cost"]) == ({"in": 1200, "out": 80}, 0.0125)
    assert json.loads(run(service.show(ANN, thread)))["sums"] == {"cost": 0.0125, "tokens_in": 1200, "tokens_out": 80}


def test_what_a_run_does_reaches_a_waiting_reader(service: ThreadService, run: Run[Any], database: Database) -> None:
    import asyncio

    task = _task(database)
    attempt = _claim(database, task)

    async def follow() -> list[str]:
        await service.of_task(ANN, task)
        cursor = json.loads(await service.pull(ANN, None, None))["cursor"]
        waiting = asyncio.create_task(service.pull(ANN, None, cursor, 20))
        await asyncio.sleep(0.3)
        await asyncio.to_thread(attempt.record, "judge", {"candidate": "an edit"})
        answer = json.loads(await asyncio.wait_for(waiting, 5))
        return [op["body"]["text"] for one in answer["threads"] for op in one["ops"]]

    assert any("judges an edit" in text for text in run(follow()))


def test_a_task_whose_thread_cannot_be_brought_up_to_date_holds_up_no_other(
    service: ThreadService, run: Run[Any], database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    import asyncio

    broken, whole = uuid.uuid4(), uuid.uuid4()
    brought = asyncio.Event()

    async def follow() -> None:
        loop = asyncio.get_running_loop()

        def bring(team: uuid.UUID, task: uuid.UUID) -> None:
            if task == broken:
                raise ValueError("a plan of another version")
            loop.call_soon_threadsafe(brought.set)

        monkeypatch.setattr(service.copier, "_bring", bring)
        monkeypatch.setattr(service.copier, "_sweep", lambda: None)
        for task in (broken, whole):
            service.copier.ask(DEFAULT_TEAM, task)
        await asyncio.wait_for(brought.wait(), 20)

    run(follow())


def test_what_a_person_writes_becomes_a_remark_of_the_task_once(
    service: ThreadService, run: Run[Any], database: Database, pusher: Callable[[Member], Pusher]
) -> None:
    task = _task(database)
    thread = str(run(service.of_task(ANN, task)))
    _claim(database, task)
    message = {"thread": thread, "kind": "append", "message": str(uuid.uuid4()), "role": "user", "text": "Mind the tax"}
    bob = pusher(BOB)
    assert bob.push(message)[0]["status"] == "applied"
    assert bob.push(message, first=1)[0]["status"] == "duplicate"
    assert pusher(EVE).say(thread, "As a viewer I only read")[1]["code"] == "role"
    for _ in range(2):
        deliver_remarks(database, DEFAULT_TEAM, task)
    with database.team(DEFAULT_TEAM) as connection:
        assert [(one.author, one.text) for one in find_remarks(connection, task)] == [("bob", "Mind the tax")]

"""`penstock dead-letters` and the nightly pruning of events, on a real database."""

import contextlib
import json
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from dagster import DagsterInstance
from typer.testing import CliRunner

from assets.platform import Platform
from core import tasks
from core.events import CHANGES, DEFAULT_TEAM, OUTCOMES, TASKS, Event
from core.settings import Settings
from dagster_project.cli import dead_letters
from dagster_project.cli.app import app
from dagster_project.cli.output import CommandFailed
from dagster_project.jobs.events import READ_BY, prune_events
from sensors.dead_letters import send_to_dead_letters

Run = Callable[..., str]


@pytest.fixture
def platform(database_url: str, tmp_path: Path) -> Iterator[Platform]:
    made = Platform(Settings(home=tmp_path), database_url)
    yield made
    made.close()


@pytest.fixture
def penstock(platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(dead_letters, "opened", lambda: contextlib.nullcontext(platform.database))
    monkeypatch.setenv("PENSTOCK_HOME", str(tmp_path))

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(app, ["dead-letters", *arguments])
        if isinstance(result.exception, CommandFailed):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result.stdout

    return run


def change(name: str) -> Event:
    return Event(id=name, source="/github", type="push", subject="shop")


def rewrite(platform: Platform, name: str, body: bytes) -> None:
    with platform.database.system() as connection:
        connection.execute("UPDATE event_log SET body = %s::json WHERE event_id = %s", (body.decode(), name))


def make_unreadable(platform: Platform, name: str) -> str:
    """Puts a change into the log that cannot be read, and aside as the sensor does; the dead letter's id."""
    platform.log.append([(CHANGES, change(name))])
    rewrite(platform, name, b'{"id": 3}')
    offset = platform.log.end_offsets(CHANGES)[0] - 1
    send_to_dead_letters(platform, platform.log.read(CHANGES, {0: offset}).unreadable)
    return f"penstock:unreadable:{CHANGES}:0:{offset}"


def make_unpublished(platform: Platform) -> uuid.UUID:
    with platform.database.team(DEFAULT_TEAM) as connection:
        connection.execute("INSERT INTO sources (team_id, name, location) VALUES (%s, 'shop', '/')", (DEFAULT_TEAM,))
        event = tasks.request_event(DEFAULT_TEAM, "github:1", "/github", "shop", title="t")
        task = tasks.create_task(connection, platform.log, event=event, source="shop", title="t")
    tasks_attempt(platform, task)
    return task


def tasks_attempt(platform: Platform, task: uuid.UUID) -> None:
    from core.attempts import Attempt

    Attempt.claim(platform.database, DEFAULT_TEAM, task, 1, holder="run", seconds=30, max_claims=5)
    with platform.database.team(DEFAULT_TEAM) as connection:
        connection.execute(
            "INSERT INTO publications (team_id, task_id, attempt, target, body) VALUES (%s, %s, 1, 'git:shop', %s)",
            (DEFAULT_TEAM, task, json.dumps({"source": "shop"})),
        )
        connection.execute(
            "UPDATE publications SET state = 'dead-lettered', tries = 9, last_error = 'the line is dead'"
        )


def test_a_record_is_listed_with_its_reason_and_replayed_once_it_can_be_read(platform: Platform, penstock: Run) -> None:
    assert json.loads(penstock("list", "--json")) == []
    letter = make_unreadable(platform, "github:1")
    [shown] = json.loads(penstock("list", "--json"))
    assert (shown["id"], shown["kind"], shown["about"]) == (letter, "record", f"{CHANGES} 0:0")
    assert "reason  " in penstock("show", letter)
    with pytest.raises(CommandFailed, match="1 of 1 could not be replayed"):
        penstock("replay", letter)
    rewrite(platform, "github:1", change("github:1").to_json())
    assert penstock("replay", letter) == "1 replayed, 0 not\n"
    assert [record.event.id for record in platform.log.read(CHANGES, {0: 1}).records] == ["github:1:replayed"]
    assert penstock("list") == ""
    with pytest.raises(CommandFailed, match="no dead letter"):
        penstock("replay", letter)


def test_a_publication_that_was_given_up_is_tried_again(platform: Platform, penstock: Run) -> None:
    task = make_unpublished(platform)
    [shown] = json.loads(penstock("list", "--json"))
    assert (shown["kind"], shown["reason"]) == ("publication", "the line is dead")
    assert penstock("show", shown["id"]).splitlines()[3] == f"about   task {task}, attempt 1, to git:shop"
    told = json.loads(penstock("replay", "--all", "--json"))
    assert told == {"replayed": [f"publication:{task}:1:git:shop"], "failed": {}}
    with platform.database.team(DEFAULT_TEAM) as connection:
        rows = connection.execute("SELECT state, tries, next_try_at <= now() FROM publications").fetchall()
    assert rows == [("pending", 0, True)]
    assert penstock("list") == ""


def test_a_record_that_is_gone_is_told_and_stays(platform: Platform, penstock: Run) -> None:
    letter = make_unreadable(platform, "github:1")
    platform.log.append([(CHANGES, change("github:2"))])
    platform.log.end_offsets(CHANGES)
    assert platform.log.prune(CHANGES, datetime.now(UTC) + timedelta(days=1)) == 2
    with pytest.raises(CommandFailed, match="could not be replayed"):
        penstock("replay", letter)
    assert letter in penstock("list")


def test_replaying_needs_an_id_or_all(penstock: Run) -> None:
    with pytest.raises(AssertionError, match="give one ID, or --all"):
        penstock("replay")
    with pytest.raises(AssertionError, match="give one ID, or --all"):
        penstock("replay", "x", "--all")


def prune(platform: Platform) -> str:
    with DagsterInstance.ephemeral() as dagster:
        result = prune_events.execute_in_process(instance=dagster, resources={"platform": platform})
        assert result.success
        return "\n".join(entry.user_message for entry in dagster.all_logs(result.run_id))


def ids(platform: Platform, topic: str) -> list[str]:
    return [record.event.id for record in platform.log.read(topic, {}).records]


def test_old_events_go_every_night_but_for_those_that_nobody_has_read(platform: Platform) -> None:
    for topic in (TASKS, CHANGES, OUTCOMES):
        platform.log.append([(topic, change(f"{topic}:{number}")) for number in range(4)])
        platform.log.end_offsets(topic)
    platform.log.commit_group(READ_BY[CHANGES], CHANGES, {0: 3})
    with platform.database.system() as connection:
        connection.execute(
            "UPDATE event_log SET appended_at = now() - interval '31 days' WHERE log_offset < 2 OR topic = %s",
            (CHANGES,),
        )
    text = prune(platform)
    assert f"{OUTCOMES}: 2 events older than 30 days deleted" in text
    assert ids(platform, OUTCOMES) == [f"{OUTCOMES}:2", f"{OUTCOMES}:3"]
    assert ids(platform, CHANGES) == [f"{CHANGES}:3"], "the sensor has read three"
    assert len(ids(platform, TASKS)) == 4, "no sensor has read any"


def test_dead_letters_stay_longer(platform: Platform, penstock: Run) -> None:
    letter = make_unreadable(platform, "github:1")
    with platform.database.system() as connection:
        connection.execute("UPDATE event_log SET appended_at = now() - interval '100 days'")
    prune(platform)
    assert letter in penstock("list")
    with platform.database.system() as connection:
        connection.execute("UPDATE event_log SET appended_at = now() - interval '366 days'")
    prune(platform)
    assert penstock("list") == ""

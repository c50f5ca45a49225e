"""What became of a task's patch is told wherever the task is: in lists, while watching, and in its report."""

import contextlib
import json
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import CliRunner

from assets.results.callback import Callback
from assets.results.conclude import conclude
from assets.results.mail import Mail
from assets.results.notices import Notice
from assets.results.publish import publish_due
from core import tasks
from core.attempts import Attempt
from core.database import Database
from core.endings import Ending, read_ending
from core.eventlog.postgres import PostgresLog
from core.events import DEFAULT_TEAM
from core.forge.protocol import Forge, ForgeUnavailable, Publication, PublicationRefused
from core.states import PublicationState, TaskState
from core.work import Evidence, Execution, Patch, Verdict, VerdictKind
from dagster_project.cli import task as commands
from dagster_project.cli.app import app

Run = Callable[..., Any]
WEAK = "The test was derived from the issue."


class Target:
    """A forge that takes a patch, refuses it, or is away."""

    target = "github:acme/shop"

    def __init__(self, answer: str | Exception) -> None:
        self._answer = answer

    def publish(self, publication: Publication) -> str:
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer

    comment = publish


REFUSED = Target(PublicationRefused("it may not write .github/workflows"))
TAKEN = Target("https://github.com/acme/shop/pull/3")
AWAY = Target(ForgeUnavailable("the line is dead"))


@pytest.fixture
def penstock(database: Database, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(commands, "opened", lambda: contextlib.nullcontext(database))
    monkeypatch.setattr(commands, "PUBLISHING_SECONDS", 0.3)
    monkeypatch.delenv("PENSTOCK_TEAM", raising=False)
    return lambda *arguments: CliRunner().invoke(app, ["task", *arguments])


@pytest.fixture
def close(database: Database) -> Callable[..., uuid.UUID]:
    def run(kind: VerdictKind = VerdictKind.PASS) -> uuid.UUID:
        log = PostgresLog(database)
        event = tasks.request_event(DEFAULT_TEAM, f"api:{uuid.uuid4()}", "/api", "shop", title="It fails")
        with database.team(DEFAULT_TEAM) as connection:
            identity = tasks.create_task(connection, log, event=event, source="shop", title="It fails")
        attempt = Attempt.claim(database, DEFAULT_TEAM, identity, 1, holder="run", seconds=30, max_claims=3)
        patch = Patch(base_commit="1" * 40, diff="a diff\n")
        reasons = (WEAK,) if kind is VerdictKind.DRAFT else ()
        verdict = Verdict(verdict=kind, patch_sha256=patch.sha256, checks=(), reasons=reasons)
        evidence = Evidence(sandbox="none")
        execution = Execution(engine="search", patch=patch, evidence=evidence, summary="Fixed.", seconds=1)
        conclude(attempt, execution, verdict, message="m", report="# It fails\n\nProven.", target=Target.target)
        return identity

    return run


def publish(database: Database, forge: Forge) -> None:
    publish_due(database, lambda team, source, place="": forge)


def test_a_patch_that_its_target_refused_is_called_published_nowhere(
    database: Database, penstock: Run, close: Callable[..., uuid.UUID]
) -> None:
    identity = close()
    publish(database, REFUSED)
    watched = penstock("watch", str(identity))
    assert watched.exit_code == 1
    last = watched.output.splitlines()[-1].strip()
    assert last == ("the patch is NOT published: github:acme/shop refused it: it may not write .github/workflows")
    assert penstock("list").output.splitlines()[1].split()[2] == "refused"
    shown = penstock("show", str(identity)).output
    assert shown.rstrip().endswith(f"## Publication\n\n{last[0].upper()}{last[1:]}.")
    [listed] = json.loads(penstock("list", "--json").output)
    assert (listed["state"], listed["publication"], listed["result"]) == ("resolved", "refused", last)


def test_a_draft_says_why_it_is_one(database: Database, penstock: Run, close: Callable[..., uuid.UUID]) -> None:
    identity = close(VerdictKind.DRAFT)
    publish(database, TAKEN)
    watched = penstock("watch", str(identity))
    said = f"the draft is at https://github.com/acme/shop/pull/3. It is a draft because: {WEAK.removesuffix('.')}"
    assert (watched.exit_code, watched.output.splitlines()[-1].strip()) == (0, said)
    assert penstock("list").output.splitlines()[1].split()[2] == "draft"
    assert said[1:] in penstock("show", str(identity)).output


def test_watching_goes_on_until_the_patch_is_published(
    database: Database, penstock: Run, close: Callable[..., uuid.UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "PUBLISHING_SECONDS", 60.0)
    identity = close()
    later = threading.Timer(1.0, publish, (database, TAKEN))
    later.start()
    watched = penstock("watch", str(identity))
    later.join()
    assert (watched.exit_code, "the patch is at https://" in watched.output) == (0, True)


def test_watching_does_not_wait_for_a_target_that_is_away_or_while_publishing_is_off(
    database: Database, penstock: Run, close: Callable[..., uuid.UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = close()
    publish(database, AWAY)
    assert "the patch is not published yet: the line is dead" in penstock("watch", str(identity)).output
    monkeypatch.setattr(commands, "PUBLISHING_SECONDS", 60.0)
    monkeypatch.setenv("PENSTOCK_PUBLISHING", "false")
    began = time.monotonic()
    assert "the patch is not published yet" in penstock("watch", str(identity)).output
    assert time.monotonic() - began < 30


def test_an_ending_is_that_of_the_last_attempt(database: Database, close: Callable[..., uuid.UUID]) -> None:
    identity = close(VerdictKind.FAIL)
    publish(database, Target(f"task:{identity}"))
    with database.team(DEFAULT_TEAM) as connection:
        first = read_ending(connection, identity)
        tasks.retry(connection, PostgresLog(database), identity)
        again = read_ending(connection, identity)
    assert first is not None and again is not None
    assert (first.word, first.sentence(), first.settled) == ("report", "the report stays with the task", True)
    assert (again.word, again.sentence(), again.settled) == ("", "", False)


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (PublicationState.HELD, "the patch is not published: it waits for approval (it is large)"),
        (PublicationState.DEAD_LETTERED, "the patch is NOT published: git:shop could not take it: it is large"),
    ],
)
def test_what_waits_for_a_person_says_so(state: PublicationState, said: str) -> None:
    ending = Ending(TaskState.RESOLVED, "pass", (), "git:shop", state, has_patch=True, error="it is large.")
    assert ending.sentence() == said
    assert ending.settled
    assert ending.unpublished is (state is PublicationState.DEAD_LETTERED)


def test_a_follow_up_that_adds_nothing_says_so() -> None:
    published = PublicationState.PUBLISHED
    ending = Ending(TaskState.RESOLVED, "fail", (), "git:shop", published, location="u", pull="https://x/pull/3")
    assert ending.sentence() == "nothing was added to https://x/pull/3"


def test_notices_say_why_a_patch_is_a_draft_and_why_it_is_not_published(
    database: Database, close: Callable[..., uuid.UUID]
) -> None:
    close(VerdictKind.DRAFT)
    publish(database, REFUSED)
    with database.system() as connection:
        row = connection.execute(
            "SELECT e.body -> 'data', to_jsonb(p), e.appended_at, p.task_id FROM event_log e, publications p "
            "WHERE e.topic = 'penstock.outcomes'"
        ).fetchone()
    assert row is not None
    event, publication, at, task = row
    notice = Notice("1", at, task, 1, event, None, publication, later=False)
    told = Callback("https://hooks.example.org", ["whsec_" + "a" * 32]).body(notice)["data"]
    assert told["draft_because"] == [WEAK]
    assert (told["publication"]["state"], told["publication"]["reason"]) == (
        "refused",
        "it may not write .github/workflows",
    )
    mail = Mail("smtp://localhost", "a@example.org", ("b@example.org",)).body(notice)
    assert mail is not None
    assert "it could not be published." in mail["text"] and f"It is a draft because: {WEAK}" in mail["text"]

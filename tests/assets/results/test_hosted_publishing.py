"""From a concluded attempt to a pull request and a status comment, with a real database and the fake forge."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from assets.results.deliver import deliver
from assets.results.forges import open_forge_for
from assets.results.status_comments import Written, write_due_comments
from core import tasks
from core.approvals import approve
from core.attempts import Attempt
from core.eventlog.postgres import PostgresLog
from core.events import DEFAULT_TEAM
from core.forge.protocol import Forge
from core.git import GitError, Repository
from core.states import PublicationState, TaskState
from core.work import VerdictKind
from tests.assets.results.conftest import CI_DIFF, DIFF, World
from tests.forge_arena import REPOSITORY, git

MOVED_DIFF = "diff --git a/m.py b/other.py\nsimilarity index 100%\nrename from m.py\nrename to other.py\n"


def test_a_patch_becomes_a_pull_request_and_the_ticket_says_where(world: World) -> None:
    attempt = world.start()
    world.conclude(attempt)
    [published] = world.deliver()
    [pull] = world.branch_pulls(attempt)
    assert (published.state, published.location) == (PublicationState.PUBLISHED, pull.url)
    assert world.comments(attempt) == [f"Penstock proposes a patch: {pull.url}"]
    assert world.deliver() == []
    assert len(world.comments(attempt)) == 1


def test_while_it_works_there_is_one_comment_which_is_edited_later(world: World) -> None:
    attempt = world.start()
    world.deliver()
    assert world.comments(attempt) == ["Penstock is working on this issue."]
    world.conclude(attempt)
    world.deliver()
    assert [text.partition(":")[0] for text in world.comments(attempt)] == ["Penstock proposes a patch"]


def test_a_report_is_one_comment(world: World) -> None:
    attempt = world.start()
    world.conclude(attempt, VerdictKind.FAIL)
    world.deliver()
    world.deliver()
    assert world.comments(attempt) == ["# It"]


def test_a_report_after_a_status_comment_is_a_second_comment(world: World) -> None:
    attempt = world.start()
    world.deliver()
    world.conclude(attempt, VerdictKind.FAIL)
    world.deliver()
    assert world.comments(attempt) == ["Penstock has not resolved this issue.", "# It"]


def test_a_task_without_a_ticket_says_nothing_anywhere(world: World) -> None:
    attempt = world.start(ticket=None)
    world.conclude(attempt, VerdictKind.FAIL)
    [published] = world.deliver()
    assert (published.state, published.location) == (PublicationState.PUBLISHED, f"task:{attempt.task.id}")
    assert [w for w in world.arena.forge.writes if w.dialect == world.arena.dialect] == []


@pytest.mark.parametrize(
    ("fields", "kind", "diff", "why"),
    [
        ({"approval": "all"}, VerdictKind.PASS, DIFF, "every patch"),
        ({"approval": "drafts"}, VerdictKind.DRAFT, DIFF, "drafts"),
        ({}, VerdictKind.PASS, CI_DIFF, ".github/workflows/t.yml"),
        ({"protected_paths": ("*.PY",)}, VerdictKind.PASS, DIFF, "m.py"),
        ({"protected_paths": ("m.py",)}, VerdictKind.PASS, MOVED_DIFF, "m.py"),
    ],
)
def test_what_needs_approval_waits_for_it(
    world: World, fields: dict[str, Any], kind: VerdictKind, diff: str, why: str
) -> None:
    world.settings(**fields)
    attempt = world.start()
    world.conclude(attempt, kind, diff)
    [held] = world.deliver()
    assert held.state == PublicationState.HELD
    assert why in (held.error or "")
    assert world.branch_pulls(attempt) == []
    [comment] = world.comments(attempt)
    assert "waits for approval" in comment
    assert world.deliver() == [], "it is not tried again"
    with world.platform.database.team(DEFAULT_TEAM) as connection:
        assert approve(connection, attempt.task.id, "ada") == 1
    [published] = world.deliver()
    assert published.state == PublicationState.PUBLISHED
    assert len(world.branch_pulls(attempt)) == 1
    with world.platform.database.team(DEFAULT_TEAM) as connection, pytest.raises(tasks.IllegalMove, match="waits for"):
        approve(connection, attempt.task.id, "ada")


def test_drafts_alone_are_held_when_drafts_need_approval(world: World) -> None:
    world.settings(approval="drafts")
    attempt = world.start()
    world.conclude(attempt)
    assert [one.state for one in world.deliver()] == [PublicationState.PUBLISHED]


def test_somebody_elses_pull_request_for_the_ticket_comes_first(world: World) -> None:
    attempt = world.start()
    with world.platform.database.team(DEFAULT_TEAM) as connection:
        connection.execute(
            "INSERT INTO tickets (team_id, source, service, project, key, kind, title, state, closes, url, updated_at) "
            "VALUES (%s, 'shop', %s, %s, '#99', 'pull request', 'Mine', 'open', %s, "
            "'https://example.org/99', now())",
            (DEFAULT_TEAM, world.arena.dialect, REPOSITORY, [attempt.task.ticket_key]),
        )
    world.conclude(attempt)
    [held] = world.deliver()
    assert held.state == PublicationState.HELD
    assert "#99 (https://example.org/99)" in (held.error or "")


def test_permission_that_is_withdrawn_before_publishing_holds_the_patch(world: World) -> None:
    attempt = world.start()
    assert world.platform.distrust(attempt.task) is None
    world.conclude(attempt)
    world.arena.forge.grant(REPOSITORY, "ada", "read")
    [held] = world.deliver()
    assert held.state == PublicationState.HELD
    assert "ada may not write" in (held.error or "")
    assert world.branch_pulls(attempt) == []


def test_its_own_pull_request_whose_answer_was_lost_is_nobody_elses(world: World) -> None:
    attempt = world.start()
    world.conclude(attempt)
    world.arena.forge.add_fault("drop_after", method="POST", path=r"/(pulls|merge_requests|pullrequests)$")
    [waiting] = world.deliver()
    assert waiting.state == PublicationState.PENDING
    [pull] = world.branch_pulls(attempt)
    with world.platform.database.team(DEFAULT_TEAM) as connection:  # as its webhook does
        connection.execute(
            "INSERT INTO tickets (team_id, source, service, project, key, kind, title, state, closes, url, updated_at) "
            "VALUES (%s, 'shop', %s, %s, '#99', 'pull request', 'Fix', 'open', %s, %s, now())",
            (DEFAULT_TEAM, world.arena.dialect, REPOSITORY, [attempt.task.ticket_key], pull.url),
        )
    [published] = world.deliver()
    assert (published.state, published.location) == (PublicationState.PUBLISHED, pull.url)


def test_reasons_that_name_the_operators_machine_are_not_shown(world: World) -> None:
    attempt = world.start()
    world.deliver()
    attempt.fail("GitError: /home/op/secrets/git-credentials can be read by others")
    world.deliver()
    assert world.comments(attempt) == ["Penstock could not work on this issue; its operators see why."]


def test_the_forges_token_is_sent_to_its_own_server_alone(world: World) -> None:
    elsewhere = world.arena.location.replace("127.0.0.1", "localhost")  # as another server, by its name
    with world.platform.database.team(DEFAULT_TEAM) as connection:
        connection.execute("UPDATE sources SET location = %s", (elsewhere,))
    attempt = world.start()
    world.conclude(attempt)
    world.arena.forge.requests.clear()
    [waiting] = world.deliver()
    assert waiting.state == PublicationState.PENDING
    by_git = {one.token for one in world.arena.forge.requests if one.dialect == "git"}
    assert by_git == {""}
    assert world.branch_pulls(attempt) == []


def test_one_switch_stops_publishing(world: World) -> None:
    attempt = world.start()
    world.conclude(attempt)
    world.settings(publishing=False)
    assert world.deliver() == []
    assert world.arena.forge.requests == [] or world.branch_pulls(attempt) == []
    world.settings(publishing=True)
    assert [one.state for one in world.deliver()] == [PublicationState.PUBLISHED]


def test_without_a_token_it_waits_and_says_which(world: World) -> None:
    world.settings(**{f"{world.arena.dialect}_token": None})
    attempt = world.start()
    world.conclude(attempt)
    [waiting] = world.deliver()
    assert waiting.state == PublicationState.PENDING
    assert f"PENSTOCK_{world.arena.dialect.upper()}_TOKEN" in (waiting.error or "")


def test_a_forge_that_asks_for_a_pause_gets_it(world: World) -> None:
    attempt = world.start()
    world.conclude(attempt)
    world.arena.forge.add_fault(
        "status",
        method="POST",
        path=r"/(pulls|merge_requests|pullrequests)$",
        status=429,
        headers={"Retry-After": "900"},
    )
    [waiting] = world.deliver()
    assert waiting.state == PublicationState.PENDING
    with world.platform.database.system() as connection:
        row = connection.execute("SELECT next_try_at > now() + interval '890 seconds' FROM publications").fetchone()
    assert row == (True,)


def test_a_task_of_another_forge_is_not_commented_here(world: World) -> None:
    """A Jira issue starts a task of the same source."""
    log = PostgresLog(world.platform.database)
    event = tasks.request_event(DEFAULT_TEAM, "jira:1", "/jira", "shop", title="It fails")
    with world.platform.database.team(DEFAULT_TEAM) as connection:
        task = tasks.create_task(
            connection, log, event=event, source="shop", title="It fails", ticket=("jira", "SHOP", "SHOP-1")
        )
    attempt = Attempt.claim(world.platform.database, DEFAULT_TEAM, task, 1, holder="run", seconds=300, max_claims=3)
    world.conclude(attempt)
    assert [one.state for one in world.deliver()] == [PublicationState.PUBLISHED]
    assert len(world.branch_pulls(attempt)) == 1
    with world.platform.database.system() as connection:
        assert connection.execute("SELECT count(*) FROM status_comments").fetchone() == (0,)


def test_processes_that_deliver_at_once_write_one_of_each(world: World) -> None:
    attempt = world.start()
    world.deliver()
    world.conclude(attempt)
    with ThreadPoolExecutor(6) as pool:
        for _ in range(3):
            list(pool.map(lambda _: deliver(world.platform), range(6)))
    assert len(world.branch_pulls(attempt)) == 1
    assert len(world.comments(attempt)) == 1


def test_a_change_while_the_comment_is_written_starts_no_second_writer(world: World) -> None:
    attempt = world.start()
    database = world.platform.database
    with database.system() as connection:
        connection.execute("UPDATE status_comments SET next_try_at = now()")
    seen: list[list[Written]] = []

    def forge(team: uuid.UUID, source: str, place: str = "") -> Forge:
        if not seen:  # another process is here, while this one writes
            seen.append([])
            with attempt.fenced() as connection:
                attempt.close(connection, TaskState.CANCELLED, "stopped", {})
            seen.append(write_due_comments(database, forge))
        return open_forge_for(world.platform, team, source)

    write_due_comments(database, forge)
    assert seen[1] == []
    assert len(world.comments(attempt)) == 1
    write_due_comments(database, forge)
    assert world.comments(attempt) == ["Penstock's work on this issue was stopped: stopped"]


def test_a_mirror_that_is_gone_delays_and_one_that_is_behind_is_filled(world: World) -> None:
    attempt = world.start()
    world.conclude(attempt)

    def gone(team: uuid.UUID, source: str) -> Repository:
        raise GitError("there is no mirror here yet")

    empty = world.arena.folder / "empty"
    empty.mkdir()
    git(empty, "init", "-q", "--bare")
    world.platform.mirror = gone  # type: ignore[method-assign]
    [waiting] = world.deliver()
    assert waiting.state == PublicationState.PENDING
    assert "no mirror here" in (waiting.error or "")
    world.platform.mirror = lambda team, source: Repository(empty)  # type: ignore[method-assign]
    assert [one.state for one in world.deliver()] == [PublicationState.PUBLISHED]

"""A patch whose branch has moved since: said in the pull request, or worked on again at the new head."""

from pathlib import Path

from assets.results.moved_base import MOST_AGAIN
from core import tasks
from core.attempts import Attempt
from core.events import DEFAULT_TEAM
from core.states import TaskState
from tests.assets.results.conftest import World
from tests.forge_arena import REPOSITORY, git


def _push(world: World, name: str, text: str) -> str:
    """A person changes a file of `main`."""
    work = world.arena.folder / f"push-{len(list(world.arena.folder.glob('push-*')))}"
    path: Path = world.arena.forge.repository(REPOSITORY).path
    git(world.arena.folder, "clone", "-q", "-b", "main", str(path), str(work))
    (work / name).write_text(text)
    git(work, "add", ".")
    git(work, "commit", "-q", "-m", "Theirs")
    git(work, "push", "-q", "origin", "main")
    return git(work, "rev-parse", "HEAD").strip()


def _task(world: World, attempt: Attempt) -> tasks.Task:
    with world.platform.database.team(DEFAULT_TEAM) as connection:
        return tasks.get_task(connection, attempt.task.id)


def _next(world: World, attempt: Attempt) -> Attempt:
    task = _task(world, attempt)
    return Attempt.claim(
        world.platform.database, DEFAULT_TEAM, task.id, task.attempt, holder="run", seconds=300, max_claims=3
    )


def test_commits_to_other_files_are_said(world: World) -> None:
    attempt = world.start()
    head = _push(world, "other.py", "y = 1\n")
    world.conclude(attempt)
    assert [one.state for one in world.deliver()] == ["published"]
    [pull] = world.branch_pulls(attempt)
    assert f"The branch is at `{head[:12]}` by now; the commits since change none of its files." in pull.body
    assert "It is fixed." in pull.body
    assert _task(world, attempt).attempt == 1


def test_commits_to_the_same_files_begin_the_work_again(world: World) -> None:
    attempt = world.start()
    head = _push(world, "m.py", "x = 1\ny = 1\n")
    world.conclude(attempt)
    [done] = world.deliver()
    assert done.state == "refused"
    assert head[:12] in str(done.error)
    task = _task(world, attempt)
    assert (task.state, task.attempt, task.starter, task.trusted) == (TaskState.QUEUED, 2, "ada", False)
    assert world.arena.pulls(f"penstock/{task.id}") == []
    assert world.comments(attempt)[-1:] != ["Penstock has a patch, but could not publish it; its operators see why."]


def test_a_killed_process_begins_it_again_once(world: World) -> None:
    attempt = world.start()
    _push(world, "m.py", "x = 1\ny = 1\n")
    world.conclude(attempt)
    world.deliver()
    with world.platform.database.system() as connection:  # as if the outcome had not been stored
        connection.execute("DELETE FROM publications")
    _conclude_anew(world, attempt)
    assert [one.state for one in world.deliver()] == ["refused"]
    assert _task(world, attempt).attempt == 2


def test_a_publication_of_an_earlier_attempt_begins_nothing(world: World) -> None:
    attempt = world.start()
    head = _push(world, "m.py", "x = 1\ny = 1\n")
    world.conclude(attempt)
    world.deliver()
    again = _next(world, attempt)
    diff = "diff --git a/m.py b/m.py\n--- a/m.py\n+++ b/m.py\n@@ -1,2 +1,2 @@\n-x = 1\n+x = 2\n y = 1\n"
    world.conclude(again, diff=diff, base=head)
    with world.platform.database.system() as connection:  # as if the first outcome had not been stored
        connection.execute("DELETE FROM publications WHERE attempt = 1")
    _conclude_anew(world, attempt)
    assert sorted(one.state for one in world.deliver()) == ["published", "refused"]
    task = _task(world, attempt)
    assert (task.state, task.attempt) == (TaskState.RESOLVED, 2)


def _conclude_anew(world: World, attempt: Attempt) -> None:
    """The publication of an attempt that has ended, as it was before the first try."""
    with world.platform.database.system() as connection:
        connection.execute(
            "INSERT INTO publications (team_id, task_id, attempt, target, patch_sha256, body) "
            "SELECT team_id, task_id, attempt, %s, patch_sha256, %s::jsonb FROM verdicts WHERE attempt = 1",
            (world.arena.target, '{"title": "t", "message": "Fix: it\\n", "report": "r", "source": "shop"}'),
        )


def test_a_branch_that_keeps_moving_gets_the_pull_request_with_a_remark(world: World) -> None:
    attempt = world.start()
    _push(world, "m.py", "x = 1\ny = 1\n")
    world.conclude(attempt)
    for _ in range(MOST_AGAIN):
        assert [one.state for one in world.deliver()] == ["refused"]
        attempt = _next(world, attempt)
        world.conclude(attempt)  # on the first commit still: the branch has moved each time
    assert [one.state for one in world.deliver()] == ["published"]
    [pull] = world.arena.pulls(f"penstock/{attempt.task.id}-{attempt.task.attempt}")
    assert "the commits since change `m.py` too." in pull.body


def test_what_is_published_is_not_begun_again(world: World) -> None:
    attempt = world.start()
    world.conclude(attempt)
    [done] = world.deliver()
    _push(world, "m.py", "x = 1\ny = 1\n")
    with world.platform.database.system() as connection:  # as if the answer had been lost
        connection.execute("DELETE FROM publications")
    _conclude_anew(world, attempt)
    assert [(one.state, one.location) for one in world.deliver()] == [("published", done.location)]
    assert _task(world, attempt).attempt == 1

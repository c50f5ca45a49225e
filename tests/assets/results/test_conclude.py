"""Concluding and publishing, on a real database and a real repository."""

import uuid
from pathlib import Path

import pytest

from assets.results.conclude import conclude
from assets.results.publish import MAX_TRIES, publish_due
from core import tasks
from core.attempts import Attempt, LeaseLost
from core.database import Database
from core.eventlog.postgres import PostgresLog
from core.events import DEFAULT_TEAM, OUTCOMES
from core.forge.local_git import LocalGit
from core.forge.protocol import Forge, ForgeUnavailable, Publication
from core.states import PublicationState, TaskState
from core.work import Evidence, Execution, GateCheck, Patch, Verdict, VerdictKind
from tests.forge_arena import git as _git
from tests.forge_arena import seed

DIFF = "diff --git a/m.py b/m.py\n--- a/m.py\n+++ b/m.py\n@@ -1 +1 @@\n-x = 1\n+x = 2\n"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return seed(tmp_path / "repo")


@pytest.fixture
def attempt(database: Database) -> Attempt:
    log = PostgresLog(database)
    event = tasks.request_event(DEFAULT_TEAM, "github:1", "/github", "shop", title="It fails")
    with database.team(DEFAULT_TEAM) as connection:
        task = tasks.create_task(connection, log, event=event, source="shop", title="It fails")
    return Attempt.claim(database, DEFAULT_TEAM, task, 1, holder="run", seconds=30, max_claims=3)


def _conclude(attempt: Attempt, repository: Path, kind: VerdictKind = VerdictKind.PASS, sha: str | None = None) -> None:
    patch = Patch(base_commit=_git(repository, "rev-parse", "HEAD").strip(), diff=DIFF)
    verdict = Verdict(
        verdict=kind,
        patch_sha256=sha or patch.sha256,
        checks=(GateCheck(name="applies", passed=kind is not VerdictKind.FAIL, detail=""),),
    )
    execution = Execution(engine="search", patch=patch, evidence=Evidence(sandbox="none"), summary="s", seconds=1.0)
    conclude(attempt, execution, verdict, message="Fix: it\n", report="# It\n", target="git:shop")


def _publish(database: Database, forge: Forge) -> list[PublicationState]:
    return [one.state for one in publish_due(database, lambda team, source, place="": forge)]


def _branches(repository: Path) -> list[str]:
    return _git(repository, "for-each-ref", "--format=%(refname:short)", "refs/heads/penstock/").split()


def _due_now(database: Database) -> None:
    with database.system() as connection:
        connection.execute("UPDATE publications SET next_try_at = now() - interval '1 second'")


class Absent:
    """A forge that is never available."""

    target = "git:shop"

    def publish(self, publication: Publication) -> str:
        raise ForgeUnavailable("the line is dead")

    comment = publish


def test_a_passed_patch_becomes_one_branch_and_is_not_published_again(
    database: Database, attempt: Attempt, repository: Path
) -> None:
    _conclude(attempt, repository)
    forge = LocalGit(repository, "shop")
    assert _publish(database, forge) == [PublicationState.PUBLISHED]
    assert _branches(repository) == [f"penstock/{attempt.task.id}"]
    assert _git(repository, "show", f"penstock/{attempt.task.id}:m.py") == "x = 2\n"
    assert (repository / "m.py").read_text() == "x = 1\n"
    _due_now(database)
    assert _publish(database, forge) == []


def test_a_process_that_died_after_publishing_publishes_the_same_commit_again(
    database: Database, attempt: Attempt, repository: Path
) -> None:
    _conclude(attempt, repository)
    forge = LocalGit(repository, "shop")
    assert _publish(database, forge) == [PublicationState.PUBLISHED]
    commit = _git(repository, "rev-parse", f"penstock/{attempt.task.id}")
    with database.system() as connection:  # as if the process had died before it could say so
        connection.execute("DELETE FROM publications")
        connection.execute(
            "INSERT INTO publications (team_id, task_id, attempt, target, patch_sha256, body) "
            "SELECT v.team_id, v.task_id, v.attempt, 'git:shop', v.patch_sha256, "
            """'{"title": "It fails", "message": "Fix: it\\n", "report": "", "source": "shop"}' FROM verdicts v"""
        )
    assert _publish(database, forge) == [PublicationState.PUBLISHED]
    assert _git(repository, "rev-parse", f"penstock/{attempt.task.id}") == commit


def test_an_unavailable_forge_delays_and_finally_dead_letters(
    database: Database, attempt: Attempt, repository: Path
) -> None:
    _conclude(attempt, repository)
    assert _publish(database, Absent()) == [PublicationState.PENDING]
    assert _publish(database, Absent()) == [], "not due again at once"
    for _ in range(MAX_TRIES - 2):
        _due_now(database)
        assert _publish(database, Absent()) == [PublicationState.PENDING]
    _due_now(database)
    assert _publish(database, Absent()) == [PublicationState.DEAD_LETTERED]
    with database.system() as connection:
        assert connection.execute("SELECT last_error FROM publications").fetchone() == ("the line is dead",)


def test_an_absent_forge_that_comes_back_gets_the_patch_once(
    database: Database, attempt: Attempt, repository: Path
) -> None:
    _conclude(attempt, repository)
    _publish(database, Absent())
    _due_now(database)
    assert _publish(database, LocalGit(repository, "shop")) == [PublicationState.PUBLISHED]
    assert len(_branches(repository)) == 1


def test_a_failed_verdict_publishes_a_report_and_no_branch(
    database: Database, attempt: Attempt, repository: Path
) -> None:
    _conclude(attempt, repository, VerdictKind.FAIL)
    assert _publish(database, LocalGit(repository, "shop")) == [PublicationState.PUBLISHED]
    assert _branches(repository) == []
    assert _git(repository, "show", f"refs/penstock/reports/{attempt.task.id}-1:report.md") == "# It\n"
    with database.team(DEFAULT_TEAM) as connection:
        assert tasks.get_task(connection, attempt.task.id).state == TaskState.UNRESOLVED


def test_a_verdict_for_another_patch_is_refused(database: Database, attempt: Attempt, repository: Path) -> None:
    other = Patch(base_commit="0" * 40, diff="other")
    with database.team(DEFAULT_TEAM) as connection:
        connection.execute(
            "INSERT INTO patches (team_id, sha256, base_commit, diff) VALUES (%s, %s, %s, %s)",
            (DEFAULT_TEAM, other.sha256, other.base_commit, other.diff),
        )
    _conclude(attempt, repository, sha=other.sha256)
    assert _publish(database, LocalGit(repository, "shop")) == [PublicationState.REFUSED]
    assert _branches(repository) == []


def test_a_branch_that_is_not_ours_is_never_overwritten(database: Database, attempt: Attempt, repository: Path) -> None:
    _git(repository, "branch", f"penstock/{attempt.task.id}")
    before = _git(repository, "rev-parse", f"penstock/{attempt.task.id}")
    _conclude(attempt, repository)
    assert _publish(database, LocalGit(repository, "shop")) == [PublicationState.REFUSED]
    assert _git(repository, "rev-parse", f"penstock/{attempt.task.id}") == before


def test_a_run_that_lost_its_lease_concludes_nothing(database: Database, attempt: Attempt, repository: Path) -> None:
    with database.system() as connection:
        connection.execute("UPDATE attempts SET lease_until = now() - interval '1 minute'")
    Attempt.claim(database, DEFAULT_TEAM, attempt.task.id, 1, holder="another", seconds=30, max_claims=3)
    with pytest.raises(LeaseLost):
        _conclude(attempt, repository)
    with database.system() as connection:
        counts = connection.execute(
            "SELECT (SELECT count(*) FROM verdicts), (SELECT count(*) FROM publications), "
            "(SELECT count(*) FROM patches)"
        ).fetchone()
    assert counts == (0, 0, 0)
    assert PostgresLog(database).read(OUTCOMES, {}, limit=10).records == ()


def test_publications_of_one_task_can_be_tried_alone(database: Database, attempt: Attempt, repository: Path) -> None:
    _conclude(attempt, repository)
    forge = LocalGit(repository, "shop")
    assert publish_due(database, lambda team, source, place="": forge, task_id=uuid.uuid4()) == []
    assert len(publish_due(database, lambda team, source, place="": forge, task_id=attempt.task.id)) == 1

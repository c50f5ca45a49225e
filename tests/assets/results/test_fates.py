"""Published patches are followed in the store: each is looked up once for each new head, and rates are kept."""

import uuid
from pathlib import Path

import pytest

from assets.results.conclude import conclude
from assets.results.fates import note_fates
from assets.results.publish import publish_due
from core import tasks
from core.attempts import Attempt
from core.database import Database
from core.eventlog import PostgresLog
from core.forge.local_git import LocalGit
from core.git import GitError, Repository
from core.git.fates import Fate
from core.health.fate_rates import read_fates
from core.teams import DEFAULT_TEAM
from core.work import Evidence, Execution, GateCheck, Patch, Verdict, VerdictKind
from tests.forge_arena import git as _git
from tests.forge_arena import seed

from .test_conclude import DIFF


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return seed(tmp_path / "repo")


def _published(database: Database, repository: Path) -> uuid.UUID:
    log = PostgresLog(database)
    event = tasks.request_event(DEFAULT_TEAM, f"github:{uuid.uuid4()}", "/github", "shop", title="It fails")
    with database.team(DEFAULT_TEAM) as connection:
        task = tasks.create_task(connection, log, event=event, source="shop", title="It fails")
    attempt = Attempt.claim(database, DEFAULT_TEAM, task, 1, holder="run", seconds=30, max_claims=3)
    patch = Patch(base_commit=_git(repository, "rev-parse", "main").strip(), diff=DIFF)
    checks = (GateCheck(name="applies", passed=True, detail=""),)
    verdict = Verdict(verdict=VerdictKind.PASS, patch_sha256=patch.sha256, checks=checks)
    execution = Execution(engine="search", patch=patch, evidence=Evidence(sandbox="none"), summary="s", seconds=1.0)
    attempt.put_output("execution", execution, 1.0)
    message = f"Fix: it\n\nPenstock-Task: {task}\n"
    conclude(attempt, execution, verdict, message=message, report="# It\n", target="git:shop")
    publish_due(database, lambda team, source, place="": LocalGit(repository, source))
    return task


def test_a_merge_and_its_revert_are_noted_once_and_counted(database: Database, repository: Path) -> None:
    task = _published(database, repository)
    looked = []

    def mirror(team: uuid.UUID, source: str) -> tuple[Repository, str]:
        looked.append(source)
        return Repository(repository), _git(repository, "rev-parse", "main").strip()

    def rates() -> list[tuple[str, str, str, int]]:
        with database.team(DEFAULT_TEAM) as connection:
            return [(one.engine, one.verdict, one.fate, one.patches) for one in read_fates(connection)]

    assert note_fates(database, mirror) == []
    assert rates() == [("search", "pass", "open", 1)]
    _git(repository, "merge", "-q", "--no-ff", "-m", "Merge it", f"penstock/{task}")
    (change,) = note_fates(database, mirror)
    assert (change.task_id, change.fate) == (task, Fate.UNCHANGED)
    assert note_fates(database, mirror) == [], "the same head tells nothing new"
    assert rates() == [("search", "pass", "merged unchanged", 1)]
    _git(repository, "revert", "--no-edit", "-m", "1", "HEAD")
    assert [change.fate for change in note_fates(database, mirror)] == [Fate.REVERTED]
    assert rates() == [("search", "pass", "reverted", 1)]


def test_a_source_that_cannot_be_read_is_left_for_the_next_time(database: Database, repository: Path) -> None:
    _published(database, repository)

    def gone(team: uuid.UUID, source: str) -> tuple[Repository, str]:
        raise GitError("no mirror")

    assert note_fates(database, gone) == []

"""Published patches are followed in the store: each is looked up once for each new head, and rates are kept."""

import uuid
from pathlib import Path

import pytest
from dagster import RunRequest, SkipReason, build_schedule_context

from assets.platform import Platform
from assets.results.conclude import conclude
from assets.results.fates import anything_to_follow, note_fates
from assets.results.publish import publish_due
from core import tasks
from core.attempts import Attempt
from core.database import Database
from core.eventlog import PostgresLog
from core.forge.local_git import LocalGit
from core.git import GitError, Repository
from core.git.fates import Fate
from core.health.fate_rates import read_fates
from core.settings import Settings
from core.teams import DEFAULT_TEAM
from core.work import Evidence, Execution, GateCheck, Patch, Verdict, VerdictKind
from dagster_project.jobs.tasks import follow_patches_schedule
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


def _index_at(database: Database, version: int, commit: str) -> None:
    with database.system() as connection:
        connection.execute(
            "INSERT INTO sources (team_id, name, location) VALUES (%s, 'shop', 'x') ON CONFLICT DO NOTHING",
            (DEFAULT_TEAM,),
        )
        connection.execute(
            "INSERT INTO index_versions (team_id, source, version, commit, branch, config, files, chunks, skipped) "
            "VALUES (%s, 'shop', %s, %s, 'main', 'x', 1, 1, 0)",
            (DEFAULT_TEAM, version, commit),
        )
        connection.execute(
            "INSERT INTO source_indexes (team_id, source, version) VALUES (%s, 'shop', %s) "
            "ON CONFLICT (team_id, source) DO UPDATE SET version = excluded.version",
            (DEFAULT_TEAM, version),
        )


def test_there_is_something_to_follow_only_where_a_source_has_moved_on(database: Database, repository: Path) -> None:
    def due() -> bool:
        with database.system() as connection:
            return anything_to_follow(connection)

    def head() -> str:
        return _git(repository, "rev-parse", "main").strip()

    task = _published(database, repository)
    assert not due(), "the source is not indexed"
    _index_at(database, 1, head())
    assert due()
    note_fates(database, lambda team, source: (Repository(repository), head()))
    assert not due()
    _git(repository, "merge", "-q", "--no-ff", "-m", "Merge it", f"penstock/{task}")
    assert not due(), "the index has not moved on yet"
    _index_at(database, 2, head())
    assert due()
    assert note_fates(database, lambda team, source: (Repository(repository), head())) != []
    assert not due()


def test_a_schedule_without_work_starts_no_run(database_url: str, database: Database, repository: Path) -> None:
    platform = Platform(Settings(home=repository / "home"), database_url)

    def tick() -> object:
        return follow_patches_schedule(build_schedule_context(), platform=platform)

    assert isinstance(tick(), SkipReason)
    _published(database, repository)
    _index_at(database, 1, _git(repository, "rev-parse", "main").strip())
    assert isinstance(tick(), RunRequest)
    platform.close()

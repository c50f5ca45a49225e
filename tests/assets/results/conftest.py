"""A platform whose source is at the fake forge, and tasks on it."""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from assets.context.source.sources import Forge, add_source
from assets.platform import Platform
from assets.results.conclude import conclude
from assets.results.deliver import deliver
from assets.results.publish import Published
from core import tasks
from core.attempts import Attempt
from core.database import Database
from core.eventlog.postgres import PostgresLog
from core.events import DEFAULT_TEAM
from core.settings import Settings
from core.work import Evidence, Execution, GateCheck, Patch, Verdict, VerdictKind
from tests.forge_arena import DIALECTS, REPOSITORY, FakeArena
from tests.smtp_server import SmtpServer

DIFF = "diff --git a/m.py b/m.py\n--- a/m.py\n+++ b/m.py\n@@ -1 +1 @@\n-x = 1\n+x = 2\n"
CI_DIFF = (
    "diff --git a/.github/workflows/t.yml b/.github/workflows/t.yml\nnew file mode 100644\n--- /dev/null\n"
    "+++ b/.github/workflows/t.yml\n@@ -0,0 +1 @@\n+on: push\n"
)


@dataclass
class World:
    """A platform with the source `shop` at the fake forge. `start` makes a task for a new ticket."""

    arena: FakeArena
    platform: Platform
    settings: Callable[..., None]

    def ask(self, *, ticket: str | None = "new", starter: str = "ada") -> uuid.UUID:
        """Makes a task that no run has claimed."""
        user = self.arena.forge.add_user(starter)
        key = self.arena.new_ticket() if ticket == "new" else ticket
        log = PostgresLog(self.platform.database)
        event = tasks.request_event(DEFAULT_TEAM, f"github:{uuid.uuid4()}", "/github", "shop", title="It fails")
        with self.platform.database.team(DEFAULT_TEAM) as connection:
            return tasks.create_task(
                connection,
                log,
                event=event,
                source="shop",
                title="It fails",
                ticket=(self.arena.dialect, REPOSITORY, key) if key else None,
                starter=(user.login, self.arena.user_id(user)),
            )

    def start(self, *, ticket: str | None = "new", starter: str = "ada") -> Attempt:
        task = self.ask(ticket=ticket, starter=starter)
        return Attempt.claim(self.platform.database, DEFAULT_TEAM, task, 1, holder="run", seconds=300, max_claims=3)

    def conclude(
        self,
        attempt: Attempt,
        kind: VerdictKind = VerdictKind.PASS,
        diff: str = DIFF,
        base: str | None = None,
        target: str | None = None,
    ) -> None:
        patch = Patch(base_commit=base or self.arena.base_commit(), diff=diff)
        verdict = Verdict(
            verdict=kind,
            patch_sha256=patch.sha256,
            checks=(GateCheck(name="applies", passed=kind is not VerdictKind.FAIL, detail=""),),
        )
        execution = Execution(engine="search", patch=patch, evidence=Evidence(sandbox="none"), summary="s", seconds=1.0)
        conclude(
            attempt,
            execution,
            verdict,
            message="Fix: it\n",
            report="# It\n\nWhat was tried.\n",
            target=target or self.arena.target,
            description="It is fixed.\n",
            headline="Proven.",
        )

    def deliver(self) -> list[Published]:
        with self.platform.database.system() as connection:  # nothing is waited for
            connection.execute("UPDATE publications SET next_try_at = now() WHERE state = 'pending'")
            connection.execute("UPDATE status_comments SET next_try_at = now()")
        return deliver(self.platform).published

    def branch_pulls(self, attempt: Attempt) -> list[Any]:
        return self.arena.pulls(f"penstock/{attempt.task.id}")

    def comments(self, attempt: Attempt) -> list[str]:
        assert attempt.task.ticket_key is not None
        return [text.partition("\n")[0] for _, text in self.arena.comments(attempt.task.ticket_key)]


@pytest.fixture(params=DIALECTS)
def world(request: pytest.FixtureRequest, tmp_path: Path, database: Database, database_url: str) -> Iterator[World]:
    arena = FakeArena(tmp_path / "arena", request.param)
    made = Platform(Settings(home=tmp_path / "home", forge_write_seconds=0), database_url)

    def change(**fields: Any) -> None:
        made.settings = made.settings.model_copy(update=fields)

    change(**{f"{arena.dialect}_token": SecretStr(arena.token)})
    add_source(
        database,
        DEFAULT_TEAM,
        "shop",
        arena.location,
        repository=REPOSITORY,
        forge=Forge(arena.dialect, arena.forge.url),
    )
    made.mirror = lambda team, source: arena._mirror  # type: ignore[method-assign]
    arena.forge.grant(REPOSITORY, "ada", "write")
    arena.forge.grant(REPOSITORY, "eve", "read")
    yield World(arena, made, change)
    made.database.close()
    arena.stop()


@pytest.fixture
def server() -> Iterator[SmtpServer]:
    made = SmtpServer()
    yield made
    made.stop()

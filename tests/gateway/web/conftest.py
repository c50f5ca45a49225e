"""A browser without scripts, and tasks to look at."""

import re
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import unescape
from typing import Any

import httpx
import pytest
from psycopg.types.json import Jsonb
from starlette.testclient import TestClient

from core.access.links import make_link
from core.access.roles import Role
from core.access.users import find_user
from core.database import Database
from core.events import DEFAULT_TEAM

OWN = {"Origin": "http://testserver", "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate"}
OPENED = {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"}


@dataclass
class Browser:
    """What a browser without scripts does: follows redirects, keeps cookies, sends forms of pages."""

    client: TestClient

    def get(self, path: str, **headers: str) -> httpx.Response:
        return self.client.get(path, headers={**OWN, **headers})

    def send(self, path: str, fields: dict[str, str], **headers: str) -> httpx.Response:
        return self.client.post(path, data=fields, headers={**OWN, **headers})

    def form_token(self) -> str:
        found = re.search(r'<meta name="penstock-form" content="([^"]+)"', self.get("/web").text)
        assert found is not None
        return unescape(found[1])

    def cookies(self) -> dict[str, str]:
        return {one.name: str(one.value) for one in self.client.cookies.jar}


@pytest.fixture
def link(database: Database) -> Callable[..., str]:
    """The path of a one-time link."""

    def make(role: str = "operator", person: str = "ada", team: uuid.UUID = DEFAULT_TEAM, user: bool = False) -> str:
        with database.team(team) as connection:
            known = find_user(connection, person) if user else None
            code, _ = make_link(connection, team, person, Role(role), known)
        return f"/web/sign-in?code={code}"

    return make


@pytest.fixture
def enter(make_client: Callable[..., TestClient], link: Callable[..., str]) -> Iterator[Callable[..., Browser]]:
    """Browsers that have signed in, each with cookies of its own."""
    first = make_client()
    opened = []

    def make(**who: Any) -> Browser:
        client = TestClient(first.app, raise_server_exceptions=False)
        client.portal = first.portal  # one event loop, as one process has
        opened.append(client)
        answer = client.get(link(**who), headers=OPENED)
        assert answer.status_code == 200, answer.text
        assert answer.url.path == "/web"
        return Browser(client)

    yield make
    for client in opened:
        client.close()


PATCH = """diff --git a/shop/total.py b/shop/total.py
--- a/shop/total.py
+++ b/shop/total.py
@@ -1,3 +1,3 @@ def total(prices):
 def total(prices):
-    return sum(prices[1:])
+    return sum(prices)
 # <script>alert(1)</script>
"""


@pytest.fixture
def add_task(database: Database) -> Callable[..., str]:
    """A task with everything that its page shows."""

    def add(title: str = "Total is wrong", team: uuid.UUID = DEFAULT_TEAM, state: str = "queued", **more: Any) -> str:
        identity = uuid.uuid4()
        values = {"source": "shop", "body": "It should be **3**.", "url": None, **more}
        with database.team(team) as connection:
            connection.execute(
                "INSERT INTO tasks (team_id, id, event_id, source, title, body, url, author) "
                "VALUES (%s, %s, %s, %s, %s, %s, %s, 'grace')",
                (team, identity, str(identity), values["source"], title, values["body"], values["url"]),
            )
            for step in {"running": ["running"], "waiting": ["running", "waiting"]}.get(state, []):
                connection.execute("UPDATE tasks SET state = %s WHERE id = %s", (step, identity))
            if state in ("resolved", "unresolved", "failed"):
                connection.execute("UPDATE tasks SET state = 'running' WHERE id = %s", (identity,))
                connection.execute("UPDATE tasks SET state = %s, reason = 'why' WHERE id = %s", (state, identity))
        return str(identity)

    return add


@pytest.fixture
def add_attempt(database: Database) -> Callable[..., None]:
    """An attempt with a patch that has passed the gate, whose publication has `publication` as its state."""

    def add(task: str, publication: str | None = None, body: Any = None) -> None:
        with database.team(DEFAULT_TEAM) as connection:
            own = (DEFAULT_TEAM, task)
            connection.execute("INSERT INTO attempts (team_id, task_id, attempt) VALUES (%s, %s, 1)", own)
            connection.execute(
                "INSERT INTO trajectory (team_id, task_id, attempt, seq, epoch, kind, body) "
                "VALUES (%s, %s, 1, 1, 1, 'retrieve', %s)",
                (*own, Jsonb({"source": "<b>shop</b>"})),
            )
            connection.execute(
                "INSERT INTO patches (team_id, sha256, base_commit, diff) VALUES (%s, 'aa', 'bb', %s)",
                (DEFAULT_TEAM, PATCH),
            )
            verdict = {
                "verdict": "pass",
                "patch_sha256": "aa",
                "checks": [{"name": "applies", "passed": True, "detail": "It applies to `shop`."}],
                "proof": "Proven <i>well</i>.",
            }
            connection.execute(
                "INSERT INTO verdicts (team_id, task_id, attempt, verdict, patch_sha256, body) "
                "VALUES (%s, %s, 1, 'pass', 'aa', %s)",
                (*own, Jsonb(verdict)),
            )
            if publication is not None:
                connection.execute(
                    "INSERT INTO publications (team_id, task_id, attempt, target, patch_sha256, body) "
                    "VALUES (%s, %s, 1, 'git', 'aa', '{}')",
                    own,
                )
                connection.execute("UPDATE publications SET state = %s", (publication,))

    return add

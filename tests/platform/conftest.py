"""A whole platform in processes of its own: `penstock up` on a home folder in the test's temporary directory."""

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from core.settings import Settings
from core.signatures import sign_github
from dagster_project.records import platform_file, running_platform

PENSTOCK = str(Path(sys.executable).with_name("penstock"))

MODULE = '''"""Prices of a small shop."""


def discount(quantity):
    """One percent for each full ten items, at most twenty."""
    return min(quantity // 10, 20)


def total(prices, quantity):
    """The sum to pay, in cents, after the discount."""
    gross = sum(prices) {operator} quantity
    return gross - gross * discount(quantity) // 100
'''

TESTS = """from shop import discount, total


def test_a_single_item_has_no_discount():
    assert total([250], 1) == 250


def test_ten_items_get_one_percent():
    assert total([100], 10) == 990


def test_the_discount_is_capped():
    assert discount(1000) == 20
"""


def make_repository(folder: Path, more: str = "") -> Path:
    """A git repository with one module, which ends with `more`, three tests and one bug."""
    folder.mkdir(parents=True)
    (folder / "shop.py").write_text(MODULE.format(operator="+") + more)
    (folder / "test_shop.py").write_text(TESTS)
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    for role in ("AUTHOR", "COMMITTER"):
        environment |= {f"GIT_{role}_NAME": "Ada", f"GIT_{role}_EMAIL": "ada@example.org"}
    for arguments in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-q", "-m", "A shop"]):
        subprocess.run(["git", "-C", str(folder), *arguments], env=environment, check=True, timeout=600)
    return folder


def issue(repository: str, number: int) -> dict[str, Any]:
    return {
        "action": "opened",
        "issue": {
            "number": number,
            "title": f"Total is wrong for several items ({number})",
            "body": "`total([100], 10)` should be 990 but it is 109: the quantity is added to the price.",
            "html_url": f"https://example.org/{repository}/issues/{number}",
            "user": {"login": "ada"},
            "labels": [],
        },
        "repository": {"full_name": repository, "name": repository.split("/")[1], "owner": {"login": "acme"}},
        "sender": {"login": "ada"},
    }


@dataclass
class RunningPlatform:
    home: Path
    environment: dict[str, str]
    log: Path
    arguments: tuple[str, ...] = ()
    state: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.process = self._up()

    def _up(self) -> "subprocess.Popen[bytes]":
        with self.log.open("ab") as output:
            return subprocess.Popen(
                [PENSTOCK, "up", *self.arguments],
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def up_again(self) -> None:
        """Starts `penstock up` anew, which must have ended."""
        assert self.process.poll() is not None
        self.process = self._up()
        self.wait_until_up()

    def wait_until_up(self, timeout: float = 300) -> None:
        deadline = time.monotonic() + timeout
        while (state := running_platform(Settings(home=self.home))) is None or state["pid"] != self.process.pid:
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)
        self.state = state

    def cli(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [PENSTOCK, *arguments], env=self.environment, capture_output=True, text=True, timeout=600, check=False
        )
        assert not check or done.returncode == 0, done.stderr
        return done

    def deliver(self, payload: dict[str, Any], delivery: str, event: str = "issues") -> httpx.Response:
        """Delivers as GitHub's users do: again with the same id until some answer comes."""
        body = json.dumps(payload).encode()
        secret = (self.home / "secrets" / "github-webhook-secret").read_text().strip()
        headers = {
            "X-GitHub-Event": event,
            "X-GitHub-Delivery": delivery,
            "X-Hub-Signature-256": sign_github(secret, body),
            "Content-Type": "application/json",
        }
        deadline = time.monotonic() + 300
        while True:
            try:
                answer = httpx.post(
                    f"{self.state['gateway']}/webhooks/github", content=body, headers=headers, timeout=15
                )
                if answer.status_code != 503:
                    return answer
            except httpx.TransportError:
                pass
            assert time.monotonic() < deadline, "the gateway gave no answer for five minutes"
            time.sleep(0.2)

    def rows(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.state["database"], options="-c search_path=penstock,public") as connection:
            connection.execute("SET ROLE penstock_system")
            return connection.execute(query.encode(), parameters).fetchall()

    def execute(self, *statements: str) -> None:
        with psycopg.connect(self.state["database"], options="-c search_path=penstock,public") as connection:
            connection.execute("SET ROLE penstock_system")
            for statement in statements:
                connection.execute(statement.encode())

    def wait_for(self, what: str, condition: Callable[[], bool], timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while not condition():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, f"{what}: not within {timeout:.0f} s\n{self.log.read_text()}"
            time.sleep(0.1)

    def tasks(self) -> dict[str, str]:
        return {str(row[0]): row[1] for row in self.rows("SELECT id, state FROM tasks")}

    def processes(self) -> dict[str, int]:
        """The present process id of each part that `penstock up` keeps alive."""
        return dict(json.loads(platform_file(Settings(home=self.home)).read_text())["processes"])


@pytest.fixture
def start_platform(tmp_path: Path) -> Iterator[Callable[..., RunningPlatform]]:
    """Starts platforms, and stops each at the end of the test."""
    started: list[RunningPlatform] = []

    def start(webserver: bool = True, **settings: str) -> RunningPlatform:
        for parent in tmp_path.parents[:3]:
            if parent.stat().st_uid == os.getuid() and parent != Path("/"):
                parent.chmod(parent.stat().st_mode | 0o011)
        home = tmp_path / f"home{len(started)}"
        environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("PENSTOCK_", "DAGSTER_"))},
            "PENSTOCK_HOME": str(home),
            "PENSTOCK_ALLOWED_ROOTS": str(tmp_path),
            "PENSTOCK_GATEWAY_PORT": "0",
            "PENSTOCK_DAGSTER_PORT": "0",
            "PENSTOCK_LEASE_SECONDS": "5",
            **settings,
        }
        if cache := os.environ.get("PENSTOCK_CACHE"):
            environment["PENSTOCK_CACHE"] = cache
        log = tmp_path / f"up{len(started)}.log"
        platform = RunningPlatform(home, environment, log, () if webserver else ("--no-webserver",))
        started.append(platform)
        platform.wait_until_up()
        return platform

    yield start
    for platform in started:
        if platform.process.poll() is None:
            platform.process.terminate()
            try:
                platform.process.wait(300)
            except subprocess.TimeoutExpired:
                os.killpg(platform.process.pid, signal.SIGKILL)
                platform.process.wait(300)


@pytest.fixture
def new_delivery() -> Callable[[], str]:
    return lambda: str(uuid.uuid4())

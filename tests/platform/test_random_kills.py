"""The promise that an accepted event is neither lost nor published twice, whatever is killed and whenever.

Processes are killed in a random order while deliveries arrive: gateway, database, daemon, launcher, code server, runs,
sandboxes and the forge, with Kafka the relay and the broker too. Each is killed only once it is seen to live and, where
it has something to do, to work. `PENSTOCK_TEST_KILLS` is the number of kills on both logs together, 20 by default;
`PENSTOCK_TEST_SEED` makes another plan. When each kill comes depends on the machine, so no run is like another.
"""

import json
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from .conftest import RunningPlatform, issue, make_repository
from .forge_process import ForgeProcess
from .victims import ALWAYS, WITH_KAFKA, Broker, Victims

KILLS = int(os.environ.get("PENSTOCK_TEST_KILLS", "20")) // 2
SEED = int(os.environ.get("PENSTOCK_TEST_SEED", "14"))
ISSUES = 20 + 3 * KILLS
KILLS_PER_ISSUE = 3
"""More issues come when there is no work left."""
REPOSITORY = "acme/shop"

pytestmark = [pytest.mark.services, pytest.mark.timeout(900 + 60 * KILLS)]

OPEN = "SELECT count(*) FROM tasks WHERE state NOT IN ('resolved', 'unresolved', 'failed', 'cancelled')"
UNPUBLISHED = """
SELECT (SELECT count(*) FROM publications WHERE state = 'pending')
    + (SELECT count(*) FROM status_comments WHERE written < wanted)
"""
# What waits, for a forge or for a killed try, as if it had waited long enough.
LATER = (
    "UPDATE publications SET next_try_at = now() WHERE state = 'pending' AND next_try_at > now()",
    "UPDATE status_comments SET next_try_at = now(), busy_until = now() WHERE written < wanted",
    "UPDATE attempts SET lease_until = now() WHERE ended_at IS NULL AND holder IS NULL AND lease_until > now()",
)


class Sender(threading.Thread):
    """Delivers all the while: issues when asked for, and between them repeats, the same events by a second webhook, and
    events that start nothing. `answers` holds the status codes of each delivery."""

    def __init__(self, platform: RunningPlatform, rng: random.Random) -> None:
        super().__init__(name="sender", daemon=True)
        self._platform, self._rng = platform, rng
        self._wanted, self._lock = 0, threading.Lock()
        self.issues = 0
        self.answers: dict[str, list[int]] = {}
        self.sending, self._ending = threading.Event(), threading.Event()
        self.error: BaseException | None = None

    def open_issue(self) -> None:
        with self._lock:
            self._wanted += 1
            assert self.issues + self._wanted <= ISSUES, "more issues than planned: tasks end before they can be killed"

    @property
    def idle(self) -> bool:
        """Whether every issue that was asked for was accepted."""
        with self._lock:
            return self._wanted == 0

    def run(self) -> None:
        try:
            while not self._ending.is_set():
                self._one()
                self._ending.wait(self._rng.uniform(0.05, 0.4))
        except BaseException as error:
            self.error = error

    def _one(self) -> None:
        with self._lock:
            fresh = self._wanted > 0
        kind = "issue" if fresh else self._rng.choice(["star", "repeat", "second webhook"])
        number = self.issues + 1 if fresh else self._rng.randint(1, max(1, self.issues))
        if kind == "star" or (not fresh and not self.issues):
            name = f"star-{len(self.answers)}"
            self._deliver({**issue(REPOSITORY, 1), "action": "created"}, name, "star")
        else:
            name = f"issue-{number}" + ("-again" if kind == "second webhook" else "")
            self._deliver(issue(REPOSITORY, number), name, "issues")
        if fresh:
            with self._lock:
                self._wanted, self.issues = self._wanted - 1, number

    def _deliver(self, payload: dict[str, Any], name: str, event: str) -> None:
        self.sending.set()
        try:
            answer = self._platform.deliver(payload, name, event)
        finally:
            self.sending.clear()
        assert answer.status_code in (200, 202), answer.text
        self.answers.setdefault(name, []).append(answer.status_code)

    def stop(self) -> None:
        self._ending.set()
        self.join(330)
        if self.error is not None:
            raise self.error
        assert not self.is_alive()


def _plan(rng: random.Random, kinds: tuple[str, ...]) -> list[str]:
    """Each kind once in a random order, then again in another, until there are enough."""
    plan: list[str] = []
    while len(plan) < KILLS:
        plan += rng.sample(kinds, len(kinds))
    return plan[:KILLS]


def _count(platform: RunningPlatform, query: str) -> int | None:
    """None while the database cannot be asked."""
    try:
        return int(platform.rows(query)[0][0])
    except psycopg.Error:
        return None


def _kill(kind: str, victims: Victims, sender: Sender, rng: random.Random) -> None:
    """Opens an issue whenever there is no work, and kills once there is evidence."""
    platform = victims.platform
    deadline = time.monotonic() + 180
    while True:
        assert platform.process.poll() is None, platform.log.read_text()
        assert sender.error is None, sender.error
        assert time.monotonic() < deadline, f"no evidence of {kind} within three minutes\n{platform.log.read_text()}"
        if sender.idle and _count(platform, OPEN) == 0:
            sender.open_issue()
        found = victims.find(kind)
        if found:
            pid = rng.choice(found)
            if kind == "gateway":
                sender.sending.wait(5)
            time.sleep(rng.choice([0.0, rng.uniform(0, 0.05), rng.uniform(0, 0.5)]))
            if victims.kill(kind, pid):
                return
        time.sleep(0.02)


def _settle(platform: RunningPlatform, victims: Victims) -> None:
    """Waits until nothing is under way any more. What waits by the clock does so no longer once no run is at work."""

    def settled() -> bool:
        left = [_count(platform, OPEN), _count(platform, UNPUBLISHED)]
        if victims.workers():
            return False
        if left != [0, 0]:
            with suppress(psycopg.Error):
                platform.execute(*LATER)
        return left == [0, 0]

    platform.wait_for("everything that was accepted has ended", settled, 400 + 5 * KILLS)


def _say(text: str) -> None:
    """For the report of a failure, or `pytest -s`."""
    print(text, flush=True)  # noqa: T201


@pytest.fixture
def broker(kafka_script: Any, tmp_path: Path) -> Iterator[Broker]:
    """A broker of this test's own, which it may kill."""
    try:
        broker = Broker(kafka_script, tmp_path / "broker")
    except kafka_script.KafkaMissing as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))
    yield broker
    broker.server.stop(grace=0)


@pytest.mark.parametrize("log", ["postgres", "kafka"])
def test_random_kills_lose_nothing_and_publish_nothing_twice(
    log: str, start_platform: Callable[..., RunningPlatform], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    _say(f"PENSTOCK_TEST_SEED={SEED} PENSTOCK_TEST_KILLS={2 * KILLS}")
    rng, other = (random.Random(f"{SEED} {log} {use}") for use in ("kills", "deliveries"))  # noqa: S311
    forge = ForgeProcess(
        tmp_path / "forge",
        REPOSITORY,
        make_repository(tmp_path / "seed"),
        [(issue(REPOSITORY, n)["issue"]["title"], issue(REPOSITORY, n)["issue"]["body"]) for n in range(1, ISSUES + 1)],
    )
    settings = {
        "PENSTOCK_GITHUB_TOKEN": forge.token,
        "PENSTOCK_FORGE_WRITE_SECONDS": "0",
        "PENSTOCK_MAX_CLAIMS": "100",
        "PENSTOCK_SWEEP_MINUTES": "0",  # it would find the issues that are yet to be delivered
    }
    broker = request.getfixturevalue("broker") if log == "kafka" else None
    if broker is not None:
        settings |= {"PENSTOCK_EVENT_LOG": "kafka", "PENSTOCK_KAFKA_BOOTSTRAP": broker.server.bootstrap}
    forge.start()
    platform = start_platform(webserver=False, **settings)
    assert platform.state["run_launcher"] == "warm"
    platform.cli("index", "add", "shop", forge.location, "--repository", REPOSITORY, "--forge", "github")
    victims = Victims(platform, forge, rng, broker)
    sender = Sender(platform, other)
    sender.start()
    killed: Counter[str] = Counter()
    try:
        for number, kind in enumerate(_plan(rng, WITH_KAFKA if broker else ALWAYS)):
            if number % KILLS_PER_ISSUE == 0:
                sender.open_issue()
            _kill(kind, victims, sender, rng)
            killed[kind] += 1
            _say(f"{time.monotonic():.1f} killed {kind}")
    finally:
        sender.stop()
    began = time.monotonic()
    _settle(platform, victims)
    _say(f"killed {dict(killed)}; settled after {time.monotonic() - began:.1f} s")
    _check_store(platform, sender)
    locations = {row[0] for row in platform.rows("SELECT location FROM publications WHERE state = 'published'")}
    _check_processes(platform, victims)
    forge.kill()
    held = forge.content()
    _say(str(held))
    assert len(locations) == len(held.pulls) == len(set(held.pulls.values())) == sender.issues
    assert held.pulls.keys() == locations
    assert held.branches == {"main", *held.pulls.values()}
    assert [len(comments) for comments in held.comments.values()] == [1] * sender.issues
    assert {text.split("\n")[0].rpartition(" ")[2] for [text] in held.comments.values()} == locations


def _check_store(platform: RunningPlatform, sender: Sender) -> None:
    """Each accepted delivery is stored once, with one outcome, and the ledger balances."""
    stored = dict(platform.rows("SELECT split_part(id, ':', 2), state FROM deliveries"))
    assert stored.keys() == sender.answers.keys()
    stars = {name for name in stored if name.startswith("star")}
    firsts = {f"issue-{n}" for n in range(1, sender.issues + 1)}
    assert {stored[name] for name in stars} <= {"ignored"}
    assert {stored[name] for name in firsts} == {"task"}
    assert {stored[name] for name in stored.keys() - stars - firsts} <= {"duplicate"}
    keys = Counter(key for (key,) in platform.rows("SELECT ticket_key FROM tasks"))
    assert keys == Counter(f"#{n}" for n in range(1, sender.issues + 1))
    others = [str(task) for task, state in platform.tasks().items() if state != "resolved"]
    assert others == [], "\n".join(platform.cli("task", "show", task).stdout for task in others[:3])
    ledger = json.loads(platform.cli("ledger", "--json").stdout)
    _say(str(ledger))
    assert ledger["balanced"]
    assert ledger["outcomes"] == {"ignored": len(stars), "published": sender.issues}
    assert ledger["accepted"] == len(stars) + sender.issues
    ended = "SELECT count(*), count(DISTINCT event_id) FROM event_log WHERE topic = 'penstock.outcomes'"
    assert platform.rows(ended) == [(sender.issues, sender.issues)]


def _check_processes(platform: RunningPlatform, victims: Victims) -> None:
    """No lease is held, nothing of a killed run is left, and nothing at all once the platform has stopped."""
    assert platform.rows("SELECT count(*) FROM attempts WHERE ended_at IS NULL") == [(0,)]
    platform.wait_for("sandboxes of killed runs are gone", lambda: not victims.sandboxes(), 60)
    platform.wait_for("one warm process is left", lambda: len(victims.warm()) == 1, 60)
    before = victims.descendants()
    platform.process.terminate()
    platform.process.wait(120)
    _, alive = psutil.wait_procs(before, timeout=30)
    assert not alive

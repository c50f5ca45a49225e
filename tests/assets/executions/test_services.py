"""Tests of a repository run with the database that it declares, and patches are verified on a database as at first."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from assets.executions.attempt.suite import run_suite
from assets.executions.repository.checkout import Checkout
from assets.executions.repository.services import services_of
from assets.executions.repository.test_command import detect
from assets.executions.trial.worker_client import PytestWorker
from core.work import Execution
from sandbox.environments.prepare import Options
from sandbox.environments.services import programs
from sandbox.environments.services.programs import Program
from sandbox.environments.wanted import EnvironmentRefused
from sandbox.protocol import Limits, Sandbox

STORE = """
import os
import psycopg

def connect():
    return psycopg.connect(os.environ["APP_DATABASE"], autocommit=True)

def paid(connection):
    query = "SELECT coalesce(sum(amount), 0) FROM orders WHERE paid"
    return connection.execute(query).fetchone()[0] + 1
"""
TESTS = """
import pytest
from store import connect, paid

@pytest.fixture
def connection():
    with connect() as one:
        one.execute("CREATE TABLE orders (amount int, paid bool)")
        yield one
        one.execute("DROP TABLE orders")

def test_paid(connection):
    connection.execute("INSERT INTO orders VALUES (3, true), (4, false)")
    assert paid(connection) == 3

def test_leaves_a_table_behind():
    with connect() as one:
        one.execute("CREATE TABLE left_behind (x int)")
"""
DECLARED = """
[environment.services.postgresql]
database = "app"
variables = { APP_DATABASE = "{url}" }
"""
FILES = {"store.py": STORE, "test_store.py": TESTS, "penstock.toml": DECLARED}
Make = Callable[[dict[str, str]], Checkout]


@pytest.fixture
def options(tmp_path: Path) -> Options:
    return Options(tmp_path / "cache", "team/source@main", offline=True)


@pytest.fixture
def worker(checkout: Make, bubblewrap: Sandbox, options: Options) -> Iterator[PytestWorker]:
    made = checkout(FILES)
    services = services_of(made, bubblewrap, options)
    limits = Limits(wall_seconds=600, cpu_seconds=600)
    opened = PytestWorker(bubblewrap, made.root, detect(made.root, None, None), limits, services=services)
    yield opened
    opened.close()
    services.close()


def test_each_fresh_run_has_the_database_as_it_was_at_first(worker: PytestWorker) -> None:
    allowance = {"seconds": 60.0, "cpu": 20.0, "wall": 20.0, "deferred": 0.0}
    wanted = {"test_store.py::test_paid": "failed", "test_store.py::test_leaves_a_table_behind": "passed"}
    worker.ask("open", 60.0, coverage=False, instrument_seconds=0)
    assert worker.ask("run", 60.0, select=None, **allowance)["outcomes"] == wanted
    # The same server for the same process: what a test leaves behind is there in its next run.
    assert "failed" in worker.ask("run", 60.0, select=list(wanted)[1:], **allowance)["outcomes"].values()
    for _ in range(2):
        assert worker.ask("fresh", 60.0, usual={}, ending=[], **allowance)["outcomes"] == wanted


def test_a_program_with_a_database_is_repaired(repair: Callable[..., Execution], options: Options) -> None:
    files = {**FILES, "test_store.py": TESTS.split("def test_leaves")[0]}
    done = repair(files, "paid gives one too many: 4 for a paid order of 3", environments=options)
    assert done.patch is not None, (done.summary, done.evidence.notes)
    assert done.evidence.after is not None
    assert done.evidence.after.outcomes == {"test_store.py::test_paid": "passed"}
    assert [text.split(" ")[0] for text in done.evidence.services] == ["PostgreSQL"]


def test_what_only_ci_starts_is_mentioned_and_not_started(
    checkout: Make, bubblewrap: Sandbox, options: Options
) -> None:
    made = checkout({
        "test_one.py": "import os\ndef test_one(): assert 'REDIS_URL' not in os.environ\n",
        ".github/workflows/ci.yml": "jobs: {test: {services: {cache: {image: 'redis:7'}}}}",
    })  # fmt: skip
    result = run_suite(made, bubblewrap, options, 120)
    assert result.services == ()
    assert result.baseline.run.outcomes == {"test_one.py::test_one": "passed"}
    assert result.notes == (
        '.github/workflows/ci.yml starts redis:7, which is not started here: if tests need it, write `services.redis = '
        '{ version = "7" }` under `[environment]` in penstock.toml.',
    )  # fmt: skip


def test_another_version_is_noted_with_the_results(checkout: Make, bubblewrap: Sandbox, options: Options) -> None:
    made = checkout({
        "test_one.py": "import os\ndef test_one(): assert os.environ['PGPORT'] == '5555'\n",
        "penstock.toml": "[environment]\nservices.postgresql = { version = 12, port = 5555 }\n",
    })  # fmt: skip
    result = run_suite(made, bubblewrap, options, 120)
    assert result.baseline.run.outcomes == {"test_one.py::test_one": "passed"}
    assert any(note.startswith("penstock.toml asks for PostgreSQL 12, which is not on") for note in result.notes)


def test_services_are_not_started_where_the_operator_wants_penstocks_own_packages(
    checkout: Make, bubblewrap: Sandbox
) -> None:
    made = checkout({
        "test_one.py": "import os\ndef test_one(): assert 'REDIS_URL' not in os.environ\n",
        "penstock.toml": "[environment]\nservices = ['redis']\n",
    })  # fmt: skip
    result = run_suite(made, bubblewrap, None, 120)
    assert result.baseline.run.outcomes == {"test_one.py::test_one": "passed"}
    assert any("were not started, since the setting `environments` is shared" in note for note in result.notes)


def test_a_server_that_cannot_start_is_refused_with_what_it_said(
    checkout: Make, bubblewrap: Sandbox, options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = checkout({"penstock.toml": "[environment]\nservices = ['redis']\n", "test_one.py": ""})
    false = Program(Path("/bin/false"), "7.0.15")
    monkeypatch.setattr(programs, "_redis_programs", lambda: [false])
    with pytest.raises(
        EnvironmentRefused, match=r"they could not be started \(Redis 7.0.15 ended with 1: it said nothi"
    ):
        services_of(made, bubblewrap, options)
    assert list(options.store.entries()) == []
    assert os.listdir(options.store.folder) != []  # noqa: PTH208 - only the lock

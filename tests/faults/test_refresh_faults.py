"""A refresh is killed at each of its steps, and at its statements from the first to the last. Afterwards the whole old
commit or the whole new one is searchable, and the next refresh gives the result of an undisturbed one."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from assets.context.indexing.refresh import refresh
from assets.context.source.sources import add_source
from assets.context.store.postgres import open_index
from core.database import Database
from core.embedding import Embedder, open_embedder
from core.events import CHANGES, DEFAULT_TEAM, Event
from core.health.freshness import read_freshness

ROOT = Path(__file__).parents[2]
STATEMENTS = 24
"""Kill points among the statements, spread evenly; each is a real process that dies by SIGKILL."""

# Imports once, then forks a child for each line that it reads: a child costs milliseconds, and is a process of its own.
HARNESS = """
import json, os, signal, sys
from pathlib import Path
import psycopg
from assets.context.indexing import ingest, refresh as module
from core.database import Database
from core.embedding import open_embedder
from core.events import DEFAULT_TEAM

url, home = sys.argv[1], Path(sys.argv[2])
ingest.BATCH_CHUNKS = 3
embedders = [open_embedder("hashing")]

def child(kind, point, report):
    count = {"step": 0, "statement": 0}
    def pass_by(what, name):
        count[what] += 1
        if what == kind and count[what] > point:
            os.write(report, json.dumps({"at": name}).encode())
            os.kill(os.getpid(), signal.SIGKILL)
    wait = psycopg.Connection.wait
    def counted(self, generator, *args, **options):  # everything that is sent to Postgres goes through here
        pass_by("statement", "statement %d" % (count["statement"] + 1))
        return wait(self, generator, *args, **options)
    psycopg.Connection.wait = counted
    module.refresh(Database(url), DEFAULT_TEAM, "demo", mirrors=home / "mirrors", roots=[home],
                   embedders=embedders, on_step=lambda step: pass_by("step", step))
    os.write(report, json.dumps(count).encode())

for line in sys.stdin:
    kind, point = line.split()
    readable, writable = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            child(kind, int(point), writable)
            os._exit(0)
        except BaseException as error:
            os.write(writable, json.dumps({"error": repr(error)[:2000]}).encode())
            os._exit(1)
    os.close(writable)
    with os.fdopen(readable, "rb") as told:
        said = told.read()
    _, status = os.waitpid(pid, 0)
    print(json.dumps({"code": os.waitstatus_to_exitcode(status), "said": said.decode()}), flush=True)
"""


class Killer:
    """Runs refreshes of source `demo` in processes that die where they are told to."""

    def __init__(self, database_url: str, home: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", HARNESS, database_url, str(home)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )

    def run(self, kind: str, point: int) -> dict[str, Any]:
        """`at` names where the process died; without it the process ended by itself, and the counts are there."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(f"{kind} {point}\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        assert answer["code"] in (0, -signal.SIGKILL), answer
        said: dict[str, Any] = json.loads(answer["said"])
        return said

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture
def killer(database_url: str, tmp_path: Path) -> Iterator[Killer]:
    made = Killer(database_url, tmp_path)
    yield made
    made.stop()


@pytest.fixture(scope="module")
def hashing() -> Embedder:
    return open_embedder("hashing")


@pytest.fixture
def work(tmp_path: Path) -> "Work":
    return Work(tmp_path / "repository")


class Work:
    """A repository whose every commit adds, changes, renames and removes files."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.number = 0
        path.mkdir()
        self._git("init", "-q", "-b", "main")
        self.commit()

    def _git(self, *arguments: str) -> None:
        settings = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "gc.auto=0"]
        subprocess.run(["git", "-C", str(self.path), *settings, *arguments], check=True, capture_output=True)

    def commit(self) -> None:
        self.number += 1
        n = self.number
        for name in range(4):
            (self.path / f"m{name}.py").write_text(
                f"def f{name}_{n}():\n    return mark{n}\n\n\ndef g{name}():\n    pass\n"
            )
        (self.path / f"new{n}.py").write_text(f"class New{n}:\n    pass\n")
        (self.path / f"blob{n}.bin").write_bytes(b"\0" + bytes([n % 256]))
        if n > 1:
            (self.path / f"new{n - 1}.py").rename(self.path / f"old{n - 1}.py")
            (self.path / f"blob{n - 1}.bin").unlink()
        if n > 2:
            (self.path / f"old{n - 2}.py").unlink()
        self._git("add", "-A")
        self._git("commit", "-q", "-m", f"change {n}")


Dump = Mapping[str, Any]


def dump(database: Database, source: str, embedder: Embedder) -> Dump:
    """All that a query can see of the visible version, and whether anything is left of another."""
    with (
        database.team(DEFAULT_TEAM) as connection,
        open_index(database, DEFAULT_TEAM, source, [embedder]) as index,
    ):
        files = connection.execute(
            "SELECT f.path, f.blob, f.mode, f.skipped, c.chunker FROM source_files f "
            "JOIN source_indexes s USING (team_id, source) LEFT JOIN contents c ON c.id = f.content_id "
            "WHERE source = %s AND since <= s.version AND (until IS NULL OR until > s.version) ORDER BY path",
            (source,),
        ).fetchall()
        staged = connection.execute(
            "SELECT count(*) FILTER (WHERE f.since > s.version OR f.until > s.version) FROM source_indexes s "
            "JOIN source_files f USING (team_id, source) WHERE source = %s",
            (source,),
        ).fetchone()
        documents = list(range(index.manifest.documents))
        terms = [row[0] for row in connection.execute("SELECT DISTINCT term FROM postings ORDER BY term").fetchall()]
        postings = {term: (d.tolist(), n.tolist()) for term, (d, n) in index.postings(terms).items()}
        near, similar = index.nearest(embedder.identity, "def f1 return", 50)
        return {
            "commit": index.commit,
            "models": index.models,
            "files": files,
            "chunks": index.chunks(documents),
            "lengths": index.manifest.lengths.tolist(),
            "history": [commit.commit for commit in index.history.commits],
            "postings": postings,
            "nearest": sorted(zip(near.tolist(), similar.tolist(), strict=True)),
            "staged": staged,
        }


def test_a_refresh_killed_anywhere_shows_one_whole_commit_and_the_next_repairs_it(
    database: Database, work: Work, killer: Killer, hashing: Embedder, tmp_path: Path
) -> None:
    for name in ("demo", "undisturbed"):
        add_source(database, DEFAULT_TEAM, name, str(work.path), roots=[tmp_path])

    def run(name: str) -> None:
        refresh(database, DEFAULT_TEAM, name, mirrors=tmp_path / "mirrors", roots=[tmp_path], embedders=[hashing])

    run("demo")
    run("undisturbed")
    work.commit()
    whole = killer.run("statement", 10_000)
    assert whole["statement"] > STATEMENTS
    points = [("step", n) for n in range(whole["step"])]
    points += [("statement", n * whole["statement"] // STATEMENTS) for n in range(STATEMENTS)]
    run("undisturbed")
    died = []
    for kind, point in points:
        old = dump(database, "demo", hashing)
        work.commit()
        said = killer.run(kind, point)
        assert "at" in said, f"{kind} {point} was not reached: {said}"
        died.append(said["at"])
        seen = dump(database, "demo", hashing)
        run("undisturbed")
        new = dump(database, "undisturbed", hashing)
        assert _without_rows(seen) in (_without_rows(old), _without_rows(new)), f"half visible after {said['at']}"
        run("demo")
        repaired = dump(database, "demo", hashing)
        assert repaired == new, f"not repaired after {said['at']}"
        assert repaired["staged"] == (0,)
    assert {"fetched", "cleared", "stored", "staged", "visible"} <= set(died)
    with database.team(DEFAULT_TEAM) as connection:
        assert [one.state for one in read_freshness(connection)] == ["fresh", "fresh"]


def _without_rows(found: Dump) -> Dump:
    # Terms of contents that nothing shows yet may be stored, and rows be staged: neither is visible.
    return {key: value for key, value in found.items() if key not in ("staged", "postings")} | {
        "postings": {term: hits for term, hits in found["postings"].items() if hits[0]}
    }


def test_a_change_stays_waiting_until_a_refresh_that_was_not_killed(
    database: Database, work: Work, killer: Killer, hashing: Embedder, tmp_path: Path
) -> None:
    from core.eventlog.postgres import PostgresLog

    add_source(database, DEFAULT_TEAM, "demo", str(work.path), roots=[tmp_path])
    PostgresLog(database).append([(CHANGES, Event(id="github:1", source="/github", type="x", subject="demo"))])
    assert killer.run("step", 3)["at"]
    with database.team(DEFAULT_TEAM) as connection:
        (found,) = read_freshness(connection, "demo")
    assert (found.waiting, found.version) == (1, None)
    assert found.waiting_seconds > 0
    assert "step" in killer.run("step", 100)
    with database.team(DEFAULT_TEAM) as connection:
        (found,) = read_freshness(connection, "demo")
    assert (found.waiting, found.state) == (0, "fresh")
    assert found.lag_seconds is not None and found.lag_seconds > 0


PROCESS = """
import sys
from pathlib import Path
from assets.context.indexing.refresh import refresh
from core.database import Database
from core.embedding import open_embedder
from core.events import DEFAULT_TEAM
home = Path(sys.argv[2])
report = refresh(Database(sys.argv[1]), DEFAULT_TEAM, "demo", mirrors=home / "mirrors", roots=[home],
                 embedders=[open_embedder("hashing")])
print(report.changed, report.index_version, report.commit)
"""


def test_processes_that_refresh_simultaneously_do_the_work_once(
    database: Database, database_url: str, work: Work, tmp_path: Path
) -> None:
    add_source(database, DEFAULT_TEAM, "demo", str(work.path), roots=[tmp_path])
    command = [sys.executable, "-c", PROCESS, database_url, str(tmp_path)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) for _ in range(3)]
    said = [process.communicate(timeout=600)[0].split() for process in running]
    assert sorted(words[0] for words in said) == ["False", "False", "True"]
    assert len({tuple(words[1:]) for words in said}) == 1
    with database.team(DEFAULT_TEAM) as connection:
        assert connection.execute("SELECT count(*) FROM index_versions").fetchone() == (1,)


def test_queries_during_refreshes_see_one_commit_and_never_a_mix(
    database: Database, database_url: str, hashing: Embedder, tmp_path: Path, work: Work
) -> None:
    """Each commit gives every file the same number; what one query finds must all have one number."""
    import threading

    from assets.context.search import search

    add_source(database, DEFAULT_TEAM, "demo", str(work.path), roots=[tmp_path])
    readers = Database(database_url)
    stop, seen, wrong = threading.Event(), set[int](), list[str]()

    def run() -> None:
        refresh(database, DEFAULT_TEAM, "demo", mirrors=tmp_path / "mirrors", roots=[tmp_path], embedders=[hashing])

    def numbers_of(symbols: Iterable[str]) -> set[int]:
        return {int(symbol.split("_")[1]) for symbol in symbols if symbol.startswith("f") and "_" in symbol}

    def look() -> None:
        while not stop.is_set():
            with open_index(readers, DEFAULT_TEAM, "demo", [hashing]) as index:
                chunks = index.chunks(list(range(index.manifest.documents)))
                near, _ = index.nearest(hashing.identity, "def f1 return", 30)
                again = index.chunks(near.tolist())
                newest = index.history.commits[0].message
                marks = {term: len(d) for n in range(30) for term, (d, _) in index.postings([f"mark{n}"]).items()}
            numbers = numbers_of(chunk.symbol for chunk in (*chunks, *again))
            if len(numbers) != 1 or newest != f"change {min(numbers)}" or marks != {f"mark{min(numbers)}": 4}:
                wrong.append(f"{numbers} {newest} {marks}")
            seen.update(numbers)
            places = search(readers, DEFAULT_TEAM, "demo", "f1 f2 f3", 8, embedders=[hashing])
            if len(numbers_of(place.symbol for place in places)) > 1:
                wrong.append(f"search: {[place.symbol for place in places]}")

    run()
    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    until = time.monotonic() + 300
    while time.monotonic() < until and (work.number < 10 or len(seen) < 4) and not wrong:
        work.commit()
        run()
    stop.set()
    for thread in threads:
        thread.join()
    readers.close()
    assert wrong == []
    assert len(seen) > 3, f"the readers saw {seen} of {work.number} commits"

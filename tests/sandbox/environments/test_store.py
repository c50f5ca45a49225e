"""The cache of environments: whole or not at all, made once, bounded."""

import fcntl
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from sandbox.environments.store import Entry, Store, StoreBusy

ROOT = Path(__file__).parents[3]


def fill(store: Store, key: str, size: int = 1000) -> None:
    with store.making(key, 5) as made:
        assert isinstance(made, Path)
        (made / "content").write_bytes(b"x" * size)
        store.publish(key, made, {"name": key})


def test_what_was_published_is_found_with_its_facts(tmp_path: Path) -> None:
    store = Store(tmp_path, 1 << 30)
    assert store.get("one") is None
    fill(store, "one")
    entry = store.get("one")
    assert entry is not None
    assert entry.facts["name"] == "one"
    assert (entry.folder / "content").read_bytes() == b"x" * 1000
    entry.release()


def test_what_fails_while_it_is_made_leaves_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path, 1 << 30)
    with pytest.raises(ZeroDivisionError), store.making("one", 5) as made:
        assert isinstance(made, Path)
        (made / "content").write_text("half")
        raise ZeroDivisionError
    assert store.get("one") is None
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


def _make(folder: Path, number: int, log: Path) -> None:
    store = Store(folder, 1 << 30)
    with store.making("one", 30) as made:
        if isinstance(made, Entry):
            made.release()
            return
        with log.open("a") as file:
            file.write(f"{number}\n")
        time.sleep(0.5)
        (made / "content").write_text(str(number))
        store.publish("one", made, {})


def test_ten_processes_make_it_once(tmp_path: Path) -> None:
    log = tmp_path / "log"
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_make, args=(tmp_path / "store", n, log)) for n in range(10)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    assert len(log.read_text().splitlines()) == 1


_KILLED = """
import os, sys, time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from sandbox.environments.store import Store
store = Store(Path(sys.argv[1]), 1 << 30)
with store.making("one", 30) as made:
    for number in range(2000):
        (made / str(number)).write_text("x" * 100)
        if number == 100:
            print("half", flush=True)
    store.publish("one", made, {})
print("whole", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("after", [0.0, 0.02, 0.05, 0.1, 0.2, 0.4])
def test_killed_at_any_instant_it_is_whole_or_absent_and_can_be_made_again(tmp_path: Path, after: float) -> None:
    store = Store(tmp_path / "store", 1 << 30)
    started = subprocess.Popen([sys.executable, "-c", _KILLED, str(store.folder)], stdout=subprocess.PIPE, cwd=ROOT)
    assert started.stdout is not None
    assert started.stdout.readline() == b"half\n"
    time.sleep(after)
    started.send_signal(signal.SIGKILL)
    started.wait(20)
    entry = store.get("one")
    if entry is not None:
        assert len(list(entry.folder.glob("[0-9]*"))) == 2000
        entry.release()
        return
    for folder in store.folder.glob(".making-*"):
        os.utime(folder, (0, 0))
    fill(store, "one")
    assert not list(store.folder.glob(".making-*")), "the next one removes what was left half made"


def test_one_that_is_being_made_is_not_taken_for_left_behind(tmp_path: Path) -> None:
    store = Store(tmp_path, 1 << 30)
    with store.making("one", 5) as made:
        assert isinstance(made, Path)
        os.utime(made, (0, 0))
        fill(store, "two")
        assert made.is_dir()


def test_one_that_was_made_and_is_in_use_is_not_waited_for(tmp_path: Path) -> None:
    store = Store(tmp_path, 1 << 30)
    waits = threading.Event()

    def want() -> Entry | Path:
        waits.set()
        with store.making("one", 60) as found:
            return found

    with ThreadPoolExecutor(1) as pool:
        with store.making("one", 5) as made:
            assert isinstance(made, Path)
            waiting = pool.submit(want)
            waits.wait()
            time.sleep(0.3)  # so that it has met the lock; less would only make the test weaker
            store.publish("one", made, {"name": "one"})
        used = store.get("one")
        assert used is not None
        found = waiting.result(50)
    assert isinstance(found, Entry)
    assert found.facts["name"] == "one"
    found.release()
    used.release()


def test_waiting_for_another_has_an_end(tmp_path: Path) -> None:
    store = Store(tmp_path, 1 << 30)
    with store.making("one", 5), pytest.raises(StoreBusy), store.making("one", 0.3):
        pass


def test_the_least_recently_used_are_evicted_and_none_in_use(tmp_path: Path) -> None:
    store = Store(tmp_path, 250_000)
    for key in ("first", "second"):
        fill(store, key, 100_000)
        time.sleep(0.02)
    held = store.get("first")
    assert held is not None
    os.utime(held.folder / "environment.json", (1, 1))  # the longest unused, but held
    fill(store, "third", 100_000)
    assert sorted(row["key"] for row in store.entries()) == ["first", "third"]
    held.release()
    assert store.evict(0) == ["first", "third"]
    assert store.entries() == []
    assert not list(tmp_path.iterdir())


def test_a_lock_that_was_removed_before_it_was_taken_locks_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path, 250_000)
    fill(store, "one")
    taken = []

    def flock(lock: int, how: int) -> None:
        if not taken:  # opened, and not yet locked: an eviction by another process comes between
            (tmp_path / ".one.lock").unlink()
        taken.append(how)
        fcntl.flock(lock, how)

    monkeypatch.setattr("sandbox.environments.store.fcntl", SimpleNamespace(**{**vars(fcntl), "flock": flock}))
    held = store.get("one")
    assert held is not None
    assert len(taken) == 2, "the lock of a file that nobody can find was given back"
    assert store.evict(0) == [], "it is in use, and its lock can be found"
    held.release()
    assert store.evict(0) == ["one"]

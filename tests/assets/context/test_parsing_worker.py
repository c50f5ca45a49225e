"""Hostile files are parsed in a separate process; this one survives."""

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from assets.context.chunking.chunks import cut, language_of
from assets.context.chunking.languages import isolated
from assets.context.chunking.languages.go import GO as GO_GRAMMAR
from assets.context.chunking.languages.isolated import MODULE
from assets.context.chunking.languages.worker import MEMORY
from core import syntax_trees as parsing
from core.worker import Worker, WorkerUnavailable

GO = b"package a\n\nfunc f() {}\n"


@pytest.mark.parametrize(
    ("path", "content"),
    [("bomb.c", b"a=>" * 60_000), ("bomb.java", b"a<" * 60_000), ("bomb.ts", b"a<b<c>>(d)" * 40_000)],
)
def test_a_file_made_to_take_all_memory_becomes_windows_and_costs_this_process_nothing(
    path: str, content: bytes
) -> None:
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert {chunk.kind for chunk in cut(content, language_of(path))} <= {"window", "module"}
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KiB
    assert time.monotonic() - began < 300
    assert [chunk.symbol for chunk in cut(GO, language_of("a.go"))] == ["", "f"]


def test_a_file_too_large_to_parse_becomes_windows() -> None:
    content = GO + b"func g() {}\n" * 100_000
    assert {chunk.kind for chunk in cut(content, language_of("a.go"))} == {"window"}


def test_a_worker_that_was_killed_is_replaced() -> None:
    assert cut(GO, language_of("a.go"))
    worker = isolated._shared._worker
    assert worker is not None
    os.kill(worker.pid, signal.SIGKILL)
    assert [chunk.symbol for chunk in cut(GO, language_of("a.go"))] == ["", "f"]


def test_a_worker_has_little_memory_and_sees_no_secret_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_TOKEN", "hush")
    worker = Worker(MODULE)
    try:
        seen = Path(f"/proc/{worker.pid}/environ").read_bytes()
        assert b"hush" not in seen
        assert b"PYTHONPATH" in seen
        limits = Path(f"/proc/{worker.pid}/limits").read_text()
        assert f"Max address space         {MEMORY}" in limits
        assert "Max core file size        0 " in limits
    finally:
        worker.end()


def test_a_worker_that_cannot_start_raises_unlike_a_file_that_cannot_be_parsed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(WorkerUnavailable, match="did not start"):
        Worker(MODULE)


def test_a_worker_ends_with_the_process_that_uses_it() -> None:
    code = (
        "import os, signal\n"
        "from assets.context.chunking.languages import isolated\n"
        "isolated.segments('go', ['package a'])\n"
        "print(isolated._shared._worker.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=600, check=False)
    pid = int(done.stdout)
    for _ in range(500):
        if not Path(f"/proc/{pid}").exists() or "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text():
            return
        time.sleep(0.02)
    pytest.fail(f"process {pid} is still there")


def test_a_forked_process_starts_a_worker_of_its_own() -> None:
    assert cut(GO, language_of("a.go"))
    mine = isolated._shared._worker
    child = os.fork()
    if not child:
        ok = bool(isolated.segments("go", ["package a"])) and isolated._shared._worker is not mine
        isolated._shared.end()
        os._exit(0 if ok else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert cut(GO, language_of("a.go"))
    assert isolated._shared._worker is mine


@pytest.mark.parametrize(("bound", "value"), [("MOST_BYTES", 1000), ("MOST_STEPS", -10_000), ("MOST_SECONDS", 0.0)])
def test_a_parse_ends_at_each_of_its_bounds(monkeypatch: pytest.MonkeyPatch, bound: str, value: float) -> None:
    text = GO + b"func g() { return 1 }\n" * 2000
    assert parsing.parse(GO_GRAMMAR.load, text)
    monkeypatch.setattr(parsing, bound, value)
    assert parsing.parse(GO_GRAMMAR.load, text) is None

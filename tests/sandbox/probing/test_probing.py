"""The sandbox withstands every probe, and without it every probe gets through."""

import errno
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from sandbox.conformance import Bench
from sandbox.gvisor import GvisorSandbox
from sandbox.probing import FETCH, Outcome, ProbeResult, isolated, limits, probe, probe_fetch_step
from sandbox.probing.inside import attempt, kernel, services
from sandbox.probing.matrix import _cell, markdown, summary
from sandbox.probing.record import FAMILIES
from sandbox.protocol import CommandResult, Limit, Sandbox, SandboxUnavailable
from tests.sandbox.conftest import usable

REPOSITORY = Path(__file__).parents[3]


def broken(results: list[ProbeResult]) -> list[str]:
    return [f"{one.family}, {one.probe}: {one.evidence}" for one in results if one.outcome is Outcome.BROKEN]


def unlike_here(results: list[ProbeResult]) -> list[str]:
    """Results that say "not applicable" where this machine has the mechanism."""
    lacking = {one.name for one in attempt.ATTEMPTS if one.lacking is not None and one.lacking() is not None}
    return [one.probe for one in results if (one.outcome is Outcome.NOT_APPLICABLE) != (one.probe in lacking)]


def test_a_backend_withstands_every_probe(backend: Sandbox) -> None:
    results = probe(backend)
    assert broken(results) == []
    assert unlike_here(results) == []
    assert {one.backend for one in results} == {backend.name}
    assert {one.family for one in results} == {*FAMILIES} - {FETCH}
    assert len({(one.family, one.probe) for one in results}) == len(results) >= 90
    assert all(one.evidence and one.attempt for one in results)


def test_the_fetch_step_withstands_every_probe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when started in a folder whose modules have the names of Penstock's, which must not be imported."""
    usable("bubblewrap")
    (tmp_path / "sandbox").mkdir()
    (tmp_path / "sandbox" / "__init__.py").write_text("raise SystemExit('a module of the working folder ran')")
    monkeypatch.chdir(tmp_path)
    results = probe_fetch_step()
    assert broken(results) == []
    assert {one.backend for one in results} == {one.family for one in results} == {FETCH}
    assert len(results) >= 15


def test_every_probe_gets_through_without_a_sandbox() -> None:
    """In namespaces that are thrown away, so that what gets through reaches nothing of this machine's."""
    unshare = shutil.which("unshare")
    if os.geteuid() != 0 or unshare is None:
        pytest.skip("needs root and unshare (Debian's package util-linux), to attack a machine that is thrown away")
    namespaces = ("--mount", "--net", "--ipc", "--uts", "--pid", "--fork", "--mount-proc", "--kill-child")
    tried = subprocess.run([unshare, *namespaces, "true"], capture_output=True, text=True, check=False)
    if tried.returncode != 0 and os.environ.get("CI") != "true":
        pytest.skip(f"this root may not make namespaces: {tried.stderr.strip()}")
    done = subprocess.run(
        [unshare, *namespaces, sys.executable, "-m", "tests.sandbox.probing.control"],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    results = [ProbeResult(**{**one, "outcome": Outcome(one["outcome"])}) for one in json.loads(done.stdout)]
    withstood = [f"{one.family}, {one.probe}: {one.evidence}" for one in results if one.outcome is Outcome.HELD]
    assert withstood == [], "these probes cannot fail, so they show nothing"
    assert unlike_here(results) == []
    assert [one.probe for one in results if one.evidence.startswith("the attempt failed")] == []
    assert {one.family for one in results} == {*FAMILIES}


def test_names_of_attempts_are_unique() -> None:
    names = [one.name for one in attempt.ATTEMPTS]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(("code", "through"), [(errno.ENOENT, True), (errno.EPERM, False)])
def test_permission_to_unload_modules_is_recognised(monkeypatch: pytest.MonkeyPatch, code: int, through: bool) -> None:
    """Also where the kernel has no modules, and so the control above cannot show it."""

    def call(name: str, *arguments: object) -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(kernel, "call", call)
    one = next(one for one in attempt.ATTEMPTS if one.action is kernel.modules)
    assert attempt.perform(one, {})["through"] is through


def test_a_mistake_in_an_attempt_does_not_pass_for_a_refusal() -> None:
    one = attempt.Attempt("x", "x", "x", lambda plan: str(plan["missing"]))
    assert attempt.perform(one, {}) == {"name": "x", "through": True, "said": "the attempt failed: KeyError('missing')"}


def test_an_attempt_that_is_killed_is_refused_and_says_so() -> None:
    one = attempt.Attempt("x", "x", "x", lambda plan: str(os.kill(os.getpid(), 10)))
    assert attempt.perform(one, {}) == {"name": "x", "through": False, "said": "killed by signal 10"}


def test_a_clock_that_is_behind_or_stands_still_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "s behind the host's" in services.clock({"now": time.time() + 3600})
    now = time.time()
    monkeypatch.setattr("sandbox.probing.inside.services.time.time", lambda: now)
    assert services.clock({"now": now}) == "the clock stands still"


def test_attempts_that_did_not_run_are_not_reported_as_held() -> None:
    with pytest.raises(SandboxUnavailable, match="before 'TCP to the host': no python"):
        isolated.answers(b"", b"no python", [one for one in attempt.ATTEMPTS if one.family == "network"])


def test_a_bomb_that_another_limit_ends_has_not_met_its_own() -> None:
    result = CommandResult(None, b"", b"", 1.0, Limit.WALL)
    bomb = next(one for one in limits._BOMBS if one.name == "memory bomb")
    assert limits._judged(bomb, result)[0] is False
    assert limits._judged(bomb, replace(result, limit=Limit.MEMORY))[0] is True
    counted = next(one for one in limits._BOMBS if one.name == "thread bomb")
    assert limits._judged(counted, CommandResult(0, b"128\n", b"", 1.0))[0] is True
    assert limits._judged(counted, CommandResult(0, b"129\n", b"", 1.0))[0] is False
    assert limits._judged(counted, CommandResult(1, b"", b"", 1.0))[0] is False


def test_a_backend_that_is_not_installed_cannot_be_probed() -> None:
    with pytest.raises(SandboxUnavailable):
        probe(GvisorSandbox(Path("/nonexistent/runsc")))


def test_files_in_memory_count_where_there_is_no_cgroup(
    bubblewrap: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sandbox.bubblewrap.memory_group", lambda size: None)
    bench = Bench(bubblewrap, tmp_path)
    bomb = next(one for one in limits._BOMBS if one.name == "inode bomb in memory")
    with bench.open(limits=replace(limits.SMALL, **bomb.changes)) as session:
        result = session.run([bench.runtime.executable, "-c", bomb.code, *bomb.arguments])
    assert result.limit is Limit.MEMORY, result


RESULTS = [
    ProbeResult("one", "network", "TCP", "connects", Outcome.HELD, "refused | really"),
    ProbeResult("one", "kernel", "modules", "loads", Outcome.NOT_APPLICABLE, "none"),
    ProbeResult("two", "network", "TCP", "connects", Outcome.BROKEN, "connected\x1b[31m"),
    ProbeResult("two", "kernel", "modules", "loads", Outcome.NOT_APPLICABLE, "none"),
]


def test_the_matrix_has_a_row_for_each_probe_and_a_column_for_each_backend() -> None:
    page = markdown(RESULTS, {"one": "1.2"}, "as root", date(2026, 1, 2)).splitlines()
    assert "| one | 1.2 | 1 of 1 probes held, 1 not applicable |" in page
    assert "| probe | what it tries | one | two |" in page
    assert r"| TCP | connects | **held**: refused \| really | **BROKEN**: connected \[31m |" in page
    assert "| modules | loads | **n/a**: none | **n/a**: none |" in page
    assert summary(RESULTS, "two") == "0 of 1 probes held, 1 not applicable"


def test_the_published_page_has_every_probe() -> None:
    page = (REPOSITORY / "docs" / "sandbox-probes.md").read_text()
    probes = [(one.name, one.what) for one in attempt.ATTEMPTS] + [(one.name, one.what) for one in limits._BOMBS]
    missing = [name for name, what in probes if f"| {_cell(name)} | {_cell(what)} |" not in page]
    assert missing == [], "run `penstock sandbox probe --markdown >docs/sandbox-probes.md`"


def test_the_result_of_a_probe_that_does_not_apply_is_neither_passed_nor_failed() -> None:
    assert [one.passed for one in RESULTS] == [True, None, False, None]

"""`penstock sandbox probe`: what it prints, and its exit codes."""

import json
import re

import pytest
from typer.testing import CliRunner

from dagster_project.cli.sandbox import sandboxes
from sandbox.probing import FETCH, Outcome, ProbeResult
from sandbox.protocol import SandboxUnavailable


def _probe(sandbox: object, patience: float = 1.0) -> list[ProbeResult]:
    name = sandbox.name  # type: ignore[attr-defined]
    return [
        ProbeResult(name, "network", "TCP", "connects", Outcome.HELD, "refused"),
        ProbeResult(name, "kernel", "modules", "loads one", Outcome.NOT_APPLICABLE, "no modules here"),
    ]


class _Sandbox:
    name = "gvisor"

    def available(self) -> None:
        return None


@pytest.fixture(autouse=True)
def _fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandbox.backends", lambda: (_Sandbox(),))
    monkeypatch.setattr("sandbox.open_sandbox", lambda name: _Sandbox())
    monkeypatch.setattr("sandbox.probing.probe", _probe)
    found = [ProbeResult(FETCH, FETCH, "redirect", "follows one", Outcome.BROKEN, "reached\tthe\nhost")]
    monkeypatch.setattr("sandbox.probing.probe_fetch_step", lambda: found)


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(sandboxes, [*arguments])
    return result.exit_code, result.stdout, result.stderr


def cells(out: str) -> list[list[str]]:
    return [re.split(r"  +", row) for row in out.splitlines()]


def test_json_has_every_result_and_a_broken_probe_is_exit_code_1() -> None:
    code, out, errors = run("--json")
    assert (code, errors) == (1, "")
    assert [(one["backend"], one["probe"], one["passed"], one["outcome"]) for one in json.loads(out)] == [
        ("gvisor", "TCP", True, "held"),
        ("gvisor", "modules", None, "not applicable"),
        (FETCH, "redirect", False, "broken"),
    ]


def test_what_does_not_apply_is_no_failure() -> None:
    code, out, errors = run("--backend", "gvisor")
    assert code == 0
    assert cells(out) == [
        ["BACKEND", "FAMILY", "PROBE", "RESULT", "TRIED", "EVIDENCE"],
        ["gvisor", "network", "TCP", "held", "connects", "refused"],
        ["gvisor", "kernel", "modules", "n/a", "loads one", "no modules here"],
    ]
    assert "gvisor: 1 of 1 probes held, 1 not applicable" in errors
    assert "not applicable: modules: no modules here" in errors


def test_a_broken_probe_is_named_with_its_evidence() -> None:
    code, out, errors = run("--backend", "fetch")
    assert code == 1
    assert cells(out)[1:] == [["fetch step", "fetch step", "redirect", "BROKEN", "follows one", "reached the host"]]
    assert "BROKEN on fetch step: fetch step, redirect (follows one)" in errors


def test_a_terminal_gets_a_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dagster_project.cli.sandbox.is_terminal", lambda: True)
    _, out, _ = run("--backend", "gvisor")
    assert cells(out) == [["FAMILY", "PROBE", "GVISOR"], ["network", "TCP", "held"], ["kernel", "modules", "n/a"]]


def test_markdown_is_a_page() -> None:
    code, out, _ = run("--markdown")
    assert code == 1
    assert out.startswith("# What the sandbox withstands\n")
    assert "| TCP | connects | **held**: refused |" in out


def test_wrong_use_is_exit_code_2() -> None:
    assert run("--backend", "docker")[0] == 2
    assert run("--json", "--markdown")[0] == 2


def test_without_bubblewrap_the_fetch_step_is_named_as_not_probed(monkeypatch: pytest.MonkeyPatch) -> None:
    def unavailable() -> list[ProbeResult]:
        raise SandboxUnavailable("bubblewrap does not work")

    monkeypatch.setattr("sandbox.probing.probe_fetch_step", unavailable)
    code, _, errors = run()
    assert code == 0
    assert "the fetch step is not probed: bubblewrap does not work" in errors

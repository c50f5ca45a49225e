"""The reports of JavaScript test runners."""

import json
import subprocess

import pytest

from sandbox.environments.languages.javascript.layout import PROGRAMS
from sandbox.environments.languages.javascript.node import installed_nodes
from sandbox.reports.javascript import jest_cases, own_cases, tap_cases
from sandbox.reports.results import is_test


def test_the_report_of_jest_and_vitest():
    report = {"testResults": [
        {"name": "/workspace/a.test.js", "status": "failed", "message": "boom", "assertionResults": [
            {"ancestorTitles": ["A", "b"], "title": "adds", "status": "failed", "duration": 12,
             "failureMessages": ["Error: no\n    at x (/workspace/node_modules/j/i.js:1:1)\n"
                                 "    at /workspace/src/a.js:7:3"]},
            {"ancestorTitles": [], "title": "later", "status": "todo"}]},
        {"name": "/workspace/b.test.js", "status": "failed", "message": "SyntaxError: x (/workspace/b.test.js:3:1)",
         "assertionResults": []}]}  # fmt: skip
    cases = {case.id: case for case in jest_cases(json.dumps(report).encode(), "/workspace")}
    failed = cases["a.test.js::A > b > adds"]
    assert (failed.outcome, failed.seconds, failed.path, failed.line) == ("failed", 0.012, "src/a.js", 7)
    assert cases["a.test.js::later"].outcome == "skipped"
    assert (cases["a.test.js::(load)"].outcome, cases["b.test.js::(load)"].outcome) == ("passed", "error")
    assert cases["b.test.js::(load)"].line == 3
    assert jest_cases(b"not json", "/workspace") is None


def test_tap_of_ava_and_tape():
    ava = b"TAP version 13\nok 1 - c > one\nnot ok 2 - c > two\n  ---\n    at: 'test/c.js:4:2'\n  ...\n"
    cases = {case.id: case for case in tap_cases(ava, "/workspace", lambda name: ("f", name))}
    assert [(case.outcome, case.path, case.line) for case in cases.values()] == [
        ("passed", "", 0),
        ("failed", "test/c.js", 4),
    ]
    tape = b"# adds\nok 1 is three\nnot ok 2 is four\n# other # SKIP\n# last\nok 3 # SKIP no\n# tests 3\n"
    found = {case.id: case.outcome for case in tap_cases(tape, "/workspace", lambda name: ("f", name))}
    assert found == {"f::adds": "failed", "f::last": "skipped"}


def test_what_mochas_reporter_writes(tmp_path):
    if not installed_nodes():
        pytest.skip("there is no node on this machine")
    script = """
      const { EventEmitter } = require('events');
      const Reporter = require(process.argv[1]);
      const runner = new EventEmitter();
      new Reporter(runner);
      const test = (...names) => ({ file: '/workspace/test/a.js', titlePath: () => names, duration: 2 });
      runner.emit('pass', test('A', 'one'));
      runner.emit('fail', test('A', 'two'), new Error('no'));
      runner.emit('pending', test('A', 'three'));
    """
    report = tmp_path / "report.json"
    subprocess.run([installed_nodes()[0].program, "-e", script, str(PROGRAMS / "mocha_reporter.cjs")], check=True,
                   timeout=60, env={"PENSTOCK_REPORT": str(report)})  # fmt: skip
    cases = {case.id: case for case in own_cases(report.read_bytes(), "/workspace", "package.json")}
    assert {name: case.outcome for name, case in cases.items()} == {
        "test/a.js::(load)": "passed", "test/a.js::A > one": "passed", "test/a.js::A > two": "failed",
        "test/a.js::A > three": "skipped",
    }  # fmt: skip
    assert "Error: no" in cases["test/a.js::A > two"].message


def test_both_values_of_a_matcher_come_first() -> None:
    message = (
        "Error: \x1b[2mexpect(\x1b[22mreceived).toBe(expected) // Object.is equality\n\nExpected: \x1b[32m6\x1b[39m\n"
        "Received: 3\n    at Object.toBe (/workspace/test/sum.test.js:2:56)"
    )
    entry = {"ancestorTitles": [], "title": "sums", "status": "failed", "failureMessages": [message]}
    report = {"testResults": [{"name": "/workspace/test/sum.test.js", "status": "failed", "assertionResults": [entry]}]}
    cases = {case.id: case for case in jest_cases(json.dumps(report).encode(), "/workspace")}
    found = cases["test/sum.test.js::sums"]
    assert found.message.startswith("expected 6, received 3: expect(received).toBe(expected)\n")
    assert (found.path, found.line) == ("test/sum.test.js", 2)
    entry["failureMessages"] = ["TypeError: x is not a function\n    at f (/workspace/a.js:1:2)"]
    (case,) = [case for case in jest_cases(json.dumps(report).encode(), "/workspace") if case.id.endswith("sums")]
    assert case.message.startswith("TypeError: x is not a function")


@pytest.mark.parametrize(
    ("name", "counts"),
    [("a.test.js::adds", True), ("a.test.js::(load)", False), ("package.json::(run)", False),
     ("Cargo.toml::(build)", False), ("tests/own.rs::(run)", True), ("test_a.py::test_(load)", True)],
)  # fmt: skip
def test_steps_of_a_run_are_no_tests(name: str, counts: bool) -> None:
    assert is_test(name) is counts

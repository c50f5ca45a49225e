"""How many candidates a second the engine `search` tries in Go and JavaScript, beside runs of the failing test alone.

No edit repairs these programs, so the search goes on until its budget is spent. Languages whose tools are not installed
are left out. Environments are made before anything is measured.
"""

import json
import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from assets.executions.attempt.execute import execute
from assets.executions.attempt.state import AttemptInput, Callbacks
from assets.executions.engines.search.engine import Search
from assets.executions.repository.checkout import Checkout, open_checkout
from assets.executions.repository.languages import chosen_language, open_language
from core.work import Budget, Plan, TaskContext, TaskText
from sandbox import backends
from sandbox.environments.languages.suite import open_session, run_tests
from sandbox.environments.prepare import Options
from sandbox.environments.wanted import EnvironmentRefused
from sandbox.protocol import Limits, Sandbox

SECONDS = 60.0
RUNS = 5
GO = {
    "go.mod": "module example.com/words\n\ngo 1.18\n",
    "words.go": """\
package words

import "strings"

// Count gives how often each word of a text occurs, and the longest one.
func Count(text string, least int) (map[string]int, string) {
	counts := map[string]int{}
	longest := ""
	for _, word := range strings.Fields(text) {
		if len(word) < least {
			continue
		}
		counts[word]++
		if len(word) > len(longest) {
			longest = word
		}
	}
	return counts, longest
}
""",
    "words_test.go": """\
package words

import "testing"

func TestCountOfWords(t *testing.T) {
	counts, longest := Count("a bb bb ccc", 2)
	if counts["bb"] != 2 || longest != "ccc and more" {
		t.Fatalf("%v %q", counts, longest)
	}
}

func TestNothing(t *testing.T) {
	if counts, longest := Count("", 1); len(counts) != 0 || longest != "" {
		t.Fatal(counts, longest)
	}
}
""",
}
JAVASCRIPT = {
    "package.json": json.dumps({"name": "words", "version": "1.0.0", "scripts": {"test": "node --test"}}),
    "words.js": """\
'use strict';

// How often each word of a text occurs, and the longest one.
function count(text, least) {
  const counts = new Map();
  let longest = '';
  for (const word of text.split(' ')) {
    if (word.length < least) continue;
    counts.set(word, (counts.get(word) || 0) + 1);
    if (word.length > longest.length) longest = word;
  }
  return { counts, longest };
}

module.exports = { count };
""",
    "test/words.test.js": """\
const { test } = require('node:test');
const assert = require('node:assert');
const { count } = require('../words.js');

test('count of words', () => {
  const { counts, longest } = count('a bb bb ccc', 2);
  assert.strictEqual(counts.get('bb'), 2);
  assert.strictEqual(longest + longest, 'ccc and more');
});

test('nothing', () => assert.strictEqual(count('', 1).longest, ''));
""",
}
PROGRAMS = {"Go": GO, "JavaScript": JAVASCRIPT}
TASK = TaskText(title="Count of words is wrong", body="The count of words gives a wrong longest word.")


def measure() -> list[dict[str, Any]]:
    rows = []
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as scratch:
        for sandbox in backends():
            if sandbox.available() is not None:
                continue
            for name, files in PROGRAMS.items():
                folder = Path(scratch) / f"{sandbox.name}-{name}"
                try:
                    rows.append(_row(name, sandbox, *_measured(files, folder, Path(scratch) / "cache", sandbox)))
                except EnvironmentRefused as refused:
                    print(f"{name}: {refused}")  # noqa: T201
    return rows


def _measured(files: dict[str, str], folder: Path, cache: Path, sandbox: Sandbox) -> tuple[float, int, float]:
    """Candidates a second in the search itself, how many were tried, and runs of the failing test a second."""
    checkout = _checkout(files, folder)
    options = Options(cache=cache, scope="bench")
    against = _runs(checkout, options, sandbox)
    budget = Budget(seconds=SECONDS)
    plan = Plan(goal=TASK.title, hypotheses=(), steps=(), acceptance=(), budget=budget)
    context = TaskContext(source="bench", commit=checkout.commit, index_version="1", models=(), locations=())
    given = AttemptInput(TASK, context, plan, checkout, environments=options)
    done = execute(given, Search(), sandbox, Callbacks())
    if done.patch is not None or "search" not in done.evidence.timings:
        raise RuntimeError(f"this program was to be searched for a repair in vain: {done.summary}")
    tried = done.evidence.candidates.tried
    return tried / done.evidence.timings["search"], tried, against


def _checkout(files: dict[str, str], folder: Path) -> Checkout:
    root = folder / "repository"
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    who = {f"GIT_{role}_{what}": "bench@localhost" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "All"]):
        subprocess.run(["git", *arguments], cwd=root, env={**os.environ, **who}, check=True)
    return open_checkout(root, "HEAD", folder / "clean")


def _runs(checkout: Checkout, options: Options, sandbox: Sandbox) -> float:
    """Runs of the failing test a second, of a program that does not change."""
    chosen, _ = chosen_language(checkout)
    if chosen is None:
        raise EnvironmentRefused("tests that are found", "")
    environment = open_language(chosen, sandbox, options)
    limits = Limits(wall_seconds=120, cpu_seconds=600)
    try:
        with open_session(environment, checkout.root, sandbox, limits, {}) as session:
            failing = [case.id for case in run_tests(environment, session, limits).cases if case.outcome == "failed"]
            began = time.perf_counter()
            for _ in range(RUNS):
                run_tests(environment, session, limits, failing)
            return RUNS / (time.perf_counter() - began)
    finally:
        environment.close()


def _row(name: str, sandbox: Sandbox, rate: float, tried: int, against: float) -> dict[str, Any]:
    return {
        "name": f"candidates, {name}, {sandbox.name} ({tried} tried)",
        "value": round(rate, 2),
        "unit": "per second",
        "against": "runs of the failing test, of a program that does not change",
        "against_value": round(against, 2),
        "ratio": round(rate / against, 2),
    }

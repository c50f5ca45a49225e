"""The engine `search` on repositories in Go and JavaScript, from failing test to draft, with real toolchains."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from assets.executions.judging.gate import judge
from core.work import Execution, Outcome, VerdictKind
from sandbox.environments.languages.javascript.node import choose_node
from sandbox.environments.prepare import Options
from sandbox.environments.wanted import EnvironmentRefused

from .conftest import needs_go

GO = {
    "go.mod": "module example.com/shop\n\ngo 1.18\n",
    "stock/stock.go": """\
package stock

type Item struct {
	Name  string
	Count int
}

// Low gives the names of items of which there are at most `limit`.
func Low(items []Item, limit int) []string {
	found := []string{}
	for _, item := range items {
		if item.Count < limit {
			found = append(found, item.Name)
		}
	}
	return found
}

func Total(items []Item) int {
	sum := 0
	for _, item := range items {
		sum += item.Count
	}
	return sum
}
""",
    "stock/stock_test.go": """\
package stock

import (
	"reflect"
	"testing"
)

var items = []Item{{"nail", 2}, {"screw", 3}, {"bolt", 9}}

func TestLowIncludesTheLimit(t *testing.T) {
	if got := Low(items, 3); !reflect.DeepEqual(got, []string{"nail", "screw"}) {
		t.Fatalf("Low = %v, want [nail screw]", got)
	}
}

func TestNothingIsLow(t *testing.T) {
	if got := Low(items, 1); len(got) != 0 {
		t.Fatalf("Low = %v", got)
	}
}

func TestTotal(t *testing.T) {
	if Total(items) != 14 {
		t.Fatal(Total(items))
	}
}
""",
}
GO_ISSUE = "Low leaves out items at the limit\nOf a screw there are 3, and Low with limit 3 does not include it."
JAVASCRIPT = {
    "package.json": json.dumps({"name": "queue", "version": "1.0.0", "scripts": {"test": "node --test"}}),
    "lib/queue.js": """\
'use strict';

class Queue {
  constructor() {
    this.waiting = [];
  }

  add(name, priority = 0) {
    this.waiting.push({ name, priority });
    return this;
  }

  next() {
    this.waiting.sort((a, b) => a.priority - b.priority);
    const first = this.waiting.shift();
    return first.name;
  }

  get size() {
    return this.waiting.length;
  }
}

module.exports = { Queue };
""",
    "test/queue.test.js": """\
'use strict';
const { test, describe } = require('node:test');
const assert = require('node:assert');
const { Queue } = require('../lib/queue.js');

describe('Queue', () => {
  test('the highest priority comes first', () => {
    const queue = new Queue().add('low', 1).add('high', 9).add('middle', 5);
    assert.strictEqual(queue.next(), 'high');
  });

  test('equal priorities keep their order', () => {
    const queue = new Queue().add('first').add('second');
    assert.strictEqual(queue.next(), 'first');
    assert.strictEqual(queue.size, 1);
  });
});
""",
}
JAVASCRIPT_ISSUE = (
    "Queue hands out the lowest priority first\nqueue.next() should give the name with the highest priority."
)
EMPTY_TEST = """

test('an empty queue has no next', () => {
  assert.strictEqual(new Queue().next(), undefined);
});
"""


@pytest.fixture(scope="module")
def go(shared_cache: Path) -> Options:
    needs_go()
    return Options(cache=shared_cache, scope="test")


@pytest.fixture(scope="module")
def node(shared_cache: Path) -> Options:
    """Skips where Node.js is not installed; in CI that is a failure."""
    try:
        choose_node("", "package.json", "", "")
    except EnvironmentRefused as refused:
        if os.environ.get("CI") == "true":
            pytest.fail(str(refused))
        pytest.skip(str(refused))
    return Options(cache=shared_cache, scope="test")


def draft_of(done: Execution) -> str:
    """The diff of a patch that the gate judges a draft."""
    assert done.patch is not None, done.summary
    verdict = judge(done.evidence, done.patch)
    assert verdict.verdict is VerdictKind.DRAFT, verdict
    assert "which tests execute it is not measured" in " ".join(verdict.reasons)
    return done.patch.diff


@pytest.mark.parametrize("backend", ["bubblewrap", "gvisor"])
def test_a_fault_in_go_is_repaired(
    repair: Callable[..., Execution], go: Options, backend: str, request: pytest.FixtureRequest
) -> None:
    entries: list[tuple[str, dict[str, Any]]] = []
    done = repair(
        GO, GO_ISSUE, environments=go, sandbox=request.getfixturevalue(backend),
        record=lambda kind, body: entries.append((kind, body)),
    )  # fmt: skip
    assert "+\t\tif item.Count <= limit {" in draft_of(done)
    assert done.evidence.target_tests == ("stock/stock_test.go::TestLowIncludesTheLimit",)
    assert done.evidence.after is not None
    assert done.evidence.after.outcomes["stock/stock_test.go::TestTotal"] is Outcome.PASSED
    assert {"coverage": {"failing": 1, "passing": 2}} in [body for _, body in entries]
    best = done.evidence.suspicious[0]
    assert best.path == "stock/stock.go"
    assert 9 <= best.start_line <= 17
    assert "coverage" in {reason.signal for reason in best.why}


def test_a_fault_in_javascript_is_repaired(repair: Callable[..., Execution], node: Options) -> None:
    entries: list[tuple[str, dict[str, Any]]] = []
    done = repair(
        JAVASCRIPT, JAVASCRIPT_ISSUE, environments=node, record=lambda kind, body: entries.append((kind, body))
    )
    assert "(a, b) => b.priority - a.priority" in draft_of(done)
    assert done.evidence.target_tests == ("test/queue.test.js::Queue > the highest priority comes first",)
    assert {"coverage": {"failing": 1, "passing": 1}} in [body for _, body in entries]
    assert done.evidence.suspicious[0].path == "lib/queue.js"
    assert done.evidence.candidates.tried < 150


def test_a_guard_is_found_by_the_error_that_its_lack_raises(repair: Callable[..., Execution], node: Options) -> None:
    right = JAVASCRIPT["lib/queue.js"].replace("a.priority - b.priority", "b.priority - a.priority")
    files = {**JAVASCRIPT, "lib/queue.js": right, "test/queue.test.js": JAVASCRIPT["test/queue.test.js"] + EMPTY_TEST}
    done = repair(files, "next() of an empty queue raises\nAn empty queue has no next: undefined.", environments=node)
    assert "first?.name" in draft_of(done)
    assert done.evidence.candidates.tried < 100


def test_what_no_edit_repairs_ends_unresolved_and_says_where_it_looked(
    repair: Callable[..., Execution], node: Options
) -> None:
    tests = JAVASCRIPT["test/queue.test.js"] + (
        "\ntest('drains to another queue', () => {\n  const other = new Queue();\n"
        "  new Queue().add('a').drainInto(other);\n  assert.strictEqual(other.size, 1);\n});\n"
    )
    right = JAVASCRIPT["lib/queue.js"].replace("a.priority - b.priority", "b.priority - a.priority")
    files = {**JAVASCRIPT, "lib/queue.js": right, "test/queue.test.js": tests,
             "penstock.toml": "[limits]\ncandidates = 25\n"}  # fmt: skip
    done = repair(files, "Queue.drainInto is missing\nA queue drains to another queue.", environments=node)
    assert done.patch is None
    assert "25 candidates were tried" in done.summary
    assert "No patch found" in done.summary

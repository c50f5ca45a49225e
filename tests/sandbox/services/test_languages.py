"""Tests in another language than Python get the same services, anew for each run."""

import json
import os
from pathlib import Path

import pytest

from sandbox.environments.languages import SourceTree
from sandbox.environments.languages.javascript import JavaScript
from sandbox.environments.languages.prepare import prepare_language
from sandbox.environments.languages.suite import open_session, run_tests
from sandbox.environments.prepare import Options
from sandbox.environments.wanted import EnvironmentRefused
from sandbox.protocol import Limits, Sandbox

from .conftest import Prepare

LIMITS = Limits(wall_seconds=600, cpu_seconds=1200, memory_bytes=4 << 30, processes=256)
TESTS = """const test = require('node:test');
const assert = require('node:assert');
const net = require('node:net');

function ask(command) {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(process.env.REDIS_URL);
    const socket = net.connect(Number(port), hostname, () => socket.write(command + '\\r\\n'));
    socket.once('data', (data) => { socket.destroy(); resolve(data.toString()); });
    socket.once('error', reject);
  });
}
test('counts', async () => assert.strictEqual(await ask('INCR visits'), ':1\\r\\n'));
"""


def test_a_suite_in_javascript_talks_to_redis(backend: Sandbox, prepare: Prepare, tmp_path: Path) -> None:
    root = tmp_path / "repository"
    root.mkdir()
    (root / "package.json").write_text(json.dumps({"name": "demo", "scripts": {"test": "node --test"}}))
    (root / "visits.test.js").write_text(TESTS)
    language, tree = JavaScript(), SourceTree(root)
    needs = language.find(tree)
    assert needs is not None
    try:
        language.toolchain(needs)
    except EnvironmentRefused as refused:
        if os.environ.get("CI") == "true":
            pytest.fail(str(refused))
        pytest.skip(str(refused))
    services = prepare(redis={})
    environment = prepare_language(language, needs, tree, backend, Options(tmp_path / "cache", "team/source@main"))
    try:
        with open_session(environment, root, backend, LIMITS, {}, services) as session:
            runs = [run_tests(environment, session, LIMITS, (), 300.0) for _ in range(2)]
    finally:
        environment.close()
        services.close()
    outcomes = [{case.id: case.outcome for case in run.cases} for run in runs]
    assert [run["visits.test.js::counts"] for run in outcomes] == ["passed", "passed"], runs

"""Finds the first of many variants of a source tree that makes a test pass, in one sandbox session.

Starting pytest takes longer than most tests. One process imports it once and forks for each variant, so that isolating
a fix from the rest of a release takes seconds. Not for judging patches or counting outcomes.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from assets.evals.sets.suite_runs import python_environment
from sandbox.protocol import Limits, Sandbox, SandboxUnavailable

from .released_tests import read_record

_DRIVER = "penstock_trials.py"
_ASKED = "penstock_trials.json"
_RECORD = "penstock_trials.jsonl"

_DRIVER_SOURCE = f'''
import importlib, json, os, signal, sys, time
import pytest, _pytest.config
for name in _pytest.config.default_plugins:
    importlib.import_module("_pytest." + name)
with open("{_ASKED}", encoding="utf-8") as file:
    asked = json.load(file)

def write(path, content):
    if content is None:
        if os.path.exists(path):
            os.unlink(path)
        return
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with open(path, "wb") as file:
        file.write(content.encode("latin-1"))

def ended(child, seconds):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)

sys.path[0] = os.getcwd()
with open("{_RECORD}", "w", encoding="utf-8") as record:
    for trial in asked["trials"]:
        for path, content in trial.items():
            write(path, content)
        child = os.fork()
        if child == 0:
            nothing = os.open(os.devnull, os.O_RDWR)
            for stream in (0, 1, 2):
                os.dup2(nothing, stream)
            os._exit(int(pytest.main(asked["arguments"])))
        good = ended(child, asked["seconds"]) == 0
        record.write(json.dumps(good) + "\\n")
        record.flush()
        if good:
            break
'''


def first_good(
    root: Path,
    command: Sequence[str],
    variants: Sequence[Mapping[str, bytes | None]],
    sandbox: Sandbox,
    *,
    seconds: float = 10.0,
) -> int | None:
    """Runs a `released_tests.pytest_command` on each variant of `root` in turn. Returns the index of the first that
    passes, or None.

    A variant maps paths to content, with None for a file that must not exist. A variant whose tests take longer than
    `seconds` does not pass. Raises `SandboxUnavailable`.
    """
    if not variants:
        return None
    environment, python = python_environment(root)
    paths = sorted({path for variant in variants for path in variant})
    original = {path: (root / path).read_bytes() if (root / path).is_file() else None for path in paths}
    trials = [{path: _text(variant.get(path, original[path])) for path in paths} for variant in variants]
    asked = {"arguments": list(command[command.index("pytest") + 1 :]), "seconds": seconds, "trials": trials}
    wall = 30.0 + seconds * len(variants)
    limits = Limits(wall_seconds=wall, cpu_seconds=wall)
    with sandbox.open(environment, limits) as session:
        session.write(_DRIVER, _DRIVER_SOURCE.encode())
        session.write(_ASKED, json.dumps(asked).encode())
        done = session.run([python, _DRIVER], limits=limits)
        record = read_record(session, _RECORD, done)
    passed = [json.loads(line) for line in record.splitlines()]
    if True in passed:
        return passed.index(True)
    if len(passed) != len(variants):
        raise SandboxUnavailable(f"only {len(passed)} of {len(variants)} variants were tried")
    return None


def _text(content: bytes | None) -> str | None:
    return None if content is None else content.decode("latin-1")

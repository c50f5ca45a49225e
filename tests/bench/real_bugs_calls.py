"""Compares a patch with the true fix beyond tests: the functions that either changes are called with the arguments that
the tests pass to them, and with variations of these, in both trees.

A difference is no proof of an error, and no difference none of correctness: both are shown to the person who labels
the patch. Functions run in the sandbox only.
"""

import ast
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assets.evals.harvest.released_tests import copy_files, files_of
from assets.evals.sets.repair import RepairCase, apply, checkout
from assets.evals.sets.suite_runs import python_environment
from sandbox.protocol import Limits, Sandbox

_PROGRAM = Path(__file__).with_name("real_bugs_calls_worker.py")
_ASKED, _ANSWER = "penstock_calls.json", "penstock_calls_answer.json"


@dataclass(frozen=True)
class Comparison:
    """`calls` is the number of calls whose result is known in both trees; `different` describes those that differ, at
    most ten; `why` says why there is nothing to compare."""

    calls: int
    differing: int
    different: tuple[str, ...] = ()
    why: str = ""


def compare_calls(case: RepairCase, patch: str, sandbox: Sandbox, wall_seconds: float = 60.0) -> Comparison:
    """Records calls with the true fix, then makes them and their variations with the fix and with the patch. Raises
    `SandboxUnavailable`."""
    functions = sorted({*changed_functions(case, case.fix), *changed_functions(case, patch)})
    if not functions:
        return Comparison(0, 0, why="no function is changed in both trees")
    recorded = _ask(case, case.fix, {"record": functions}, sandbox, wall_seconds)
    if not recorded.get("calls"):
        return Comparison(0, 0, why=f"no call could be recorded: {recorded.get('why', 'no test reaches them')}")
    with_fix = _ask(case, case.fix, {"replay": recorded["calls"]}, sandbox, wall_seconds).get("results", {})
    again = _ask(case, case.fix, {"replay": recorded["calls"]}, sandbox, wall_seconds).get("results", {})
    with_patch = _ask(case, patch, {"replay": recorded["calls"]}, sandbox, wall_seconds).get("results", {})
    known = [call for call, result in with_fix.items() if again.get(call) == result and call in with_patch]
    different = [call for call in known if with_fix[call] != with_patch[call]]
    shown = [f"{call}: fix {with_fix[call]}, patch {with_patch[call]}"[:600] for call in sorted(different, key=len)]
    return Comparison(len(known), len(different), tuple(shown[:10]), "" if known else "no call gave a stable result")


def changed_functions(case: RepairCase, patch: str) -> list[tuple[str, str]]:
    """Path and qualified name of each function of the earlier release in which the patch changes something."""
    found = []
    with tempfile.TemporaryDirectory(prefix="penstock-changed-") as scratch:
        root = Path(scratch) / "repo"
        copy_files(files_of(case.repo), case.repo, root)
        apply(root, patch)
        for name in files_of(case.repo):
            if not name.endswith(".py") or (case.repo / name).read_bytes() == (root / name).read_bytes():
                continue
            old, new = (dict(_functions(ast.parse((place / name).read_bytes()))) for place in (case.repo, root))
            found += [(name, function) for function in old if function in new and old[function] != new[function]]
    return found


def _functions(tree: ast.AST, prefix: str = "") -> Sequence[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef):
            found.append((prefix + node.name, ast.dump(node)))
        elif isinstance(node, ast.ClassDef):
            found += _functions(node, f"{prefix}{node.name}.")
        elif isinstance(node, ast.If | ast.Try):
            found += _functions(node, prefix)
    return found


def _ask(
    case: RepairCase, patch: str, question: dict[str, Any], sandbox: Sandbox, wall_seconds: float
) -> dict[str, Any]:
    with checkout(case, patch) as root:
        environment, python = python_environment(root)
        limits = Limits(wall_seconds=wall_seconds, cpu_seconds=wall_seconds)
        command = list(case.fields.test)
        asked = {**question, "arguments": command[command.index("pytest") + 1 :], "seconds": wall_seconds * 0.8}
        with sandbox.open(environment, limits) as session:
            session.write("penstock_calls_worker.py", _PROGRAM.read_bytes())
            session.write(_ASKED, json.dumps(asked).encode())
            done = session.run([python, "penstock_calls_worker.py"], limits=limits)
            try:
                answer: dict[str, Any] = json.loads(session.read(_ANSWER))
            except (FileNotFoundError, ValueError):
                return {"why": (done.stdout + done.stderr)[-300:].decode(errors="replace")}
    return answer

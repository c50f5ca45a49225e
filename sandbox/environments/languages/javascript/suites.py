"""The commands that run a repository's tests, and what their reports say."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from sandbox.environments.languages.protocol import INSIDE, SCRATCH, Ran, TestPlan
from sandbox.environments.languages.tree import SourceTree
from sandbox.reports import TestCase
from sandbox.reports.javascript import LOAD, jest_cases, own_cases, tap_cases

from .layout import WORKSPACE
from .manifests import joined
from .runners import Run, command_of, is_test_file, patterns_of, without_files

BUILD = "(build)"
"""The name of the case that says whether a package could be built."""
RUN = "(run)"
"""The name of the case that says whether a package's runner started and wrote its report."""
_FILE = "# penstock-file: "
BY_FILE = ("tape", "tap", "uvu", "program")
"""Runners whose reports do not name files: each file is run by itself."""
_BY_EXIT_CODE = ("uvu", "program")
_AVA = " \u203a "


def plan_of(number: int, run: Run, files: Sequence[str], root: str) -> TestPlan:
    """The plan for one run: of `files`, relative to its folder, or of everything."""
    report = f"{SCRATCH}/javascript/{number}-report.json"
    result = f"{SCRATCH}/javascript/{number}-result.json"
    bins = dict.fromkeys(f"{WORKSPACE}/{joined(folder, 'node_modules/.bin')}" for folder in (run.folder, root))
    given: dict[str, Any] = {
        "runner": run.runner, "files": list(files), "builds": run.builds, "variables": dict(run.variables),
        "bins": list(bins),
        "report": f"{WORKSPACE}/{report}", "result": f"{WORKSPACE}/{result}",
    }  # fmt: skip
    if run.runner == "program":
        given |= {"command": list(run.words[:-1]), "each": [run.words[-1]]}
    elif run.runner in BY_FILE:
        options = [
            word for word in without_files(list(run.words))[1:] if word.startswith("-r") or not word.startswith("-")
        ]
        given |= {"command": ["node", *options], "each": list(files) or patterns_of(run.words) or ["test/**/*.js"]}
    else:
        given |= {"command": command_of(run, files, f"{WORKSPACE}/{report}"),
                  "glob": run.runner in ("node", "borp")}  # fmt: skip
    return TestPlan(("node", f"{INSIDE}/penstock/run.cjs", json.dumps(given)), run.folder, {}, (report, result))


def cases_of(ran: Ran, tree: SourceTree) -> Iterator[TestCase]:
    """What a run of a plan says."""
    given = json.loads(ran.plan.command[-1])
    folder = ran.plan.folder
    whole = joined(folder, "package.json")
    result = _object(ran.reports.get(given["result"].removeprefix(f"{WORKSPACE}/")))
    built = result.get("built")
    if isinstance(built, dict):
        ok = built.get("ok") is True
        yield TestCase(f"{whole}::{BUILD}", "passed" if ok else "error", None, "" if ok else str(built.get("said")))
    report = ran.reports.get(given["report"].removeprefix(f"{WORKSPACE}/"), b"")
    cases = _read(given, report, ran, folder, tree)
    found = list(cases or ())
    if cases is not None and (found or ran.exit_code == 0):
        yield TestCase(f"{whole}::{RUN}", "passed")
        yield from found
    elif ran.exit_code is not None:
        said = (ran.output[-6000:] + b"\n" + ran.errors[-6000:]).decode(errors="replace").strip()
        yield TestCase(f"{whole}::{RUN}", "error", None, f"{result.get('error') or ''}\n{said[-3500:]}".strip())


def _read(
    given: Mapping[str, Any], report: bytes, ran: Ran, folder: str, tree: SourceTree
) -> Iterator[TestCase] | None:
    runner = given["runner"]
    if runner in ("jest", "vitest", "react-scripts"):
        return jest_cases(report, WORKSPACE)
    if runner in ("mocha", "node", "borp"):
        return own_cases(report, WORKSPACE, joined(folder, "package.json"))
    if runner == "ava":
        return tap_cases(ran.output, WORKSPACE, _ava_places(folder, given["files"], tree))
    return _by_file(ran, folder, runner in _BY_EXIT_CODE)


def _by_file(ran: Ran, folder: str, by_exit_code: bool) -> Iterator[TestCase]:
    """Reads the TAP of several files, each after a line that names it and before one that says how it ended. Where
    that is a test's result by itself, the file is one if it prints no TAP."""
    parts = ran.output.decode(errors="replace").split(f"\n{_FILE}")
    for part in parts[1:]:
        head, _, output = part.partition("\n")
        file = joined(folder, head.strip())
        cases = list(tap_cases(output.encode(), WORKSPACE, _always(file)))
        ended = re.search(r"\n# penstock-ended: (\S+)", f"\n{output}")
        if ended and by_exit_code and not cases:
            fine = ended[1] == "0"
            yield TestCase(f"{file}::{RUN}", "passed" if fine else "failed", None, "" if fine else output[-3500:])
        elif ended and ended[1] != "0" and not any(case.outcome == "failed" for case in cases):
            yield TestCase(f"{file}::{LOAD}", "error", None, output[-3500:])
        elif ended:
            yield TestCase(f"{file}::{LOAD}", "passed")
        yield from cases


def _always(file: str) -> Callable[[str], tuple[str, str]]:
    return lambda name: (file, name)


def _ava_places(folder: str, chosen: Sequence[str], tree: SourceTree) -> Callable[[str], tuple[str, str]]:
    """Ava names a file by its path without its extension, and without folders that all have in common."""
    start = f"{folder}/" if folder else ""
    if len(chosen) == 1:  # then it leaves out the file
        return lambda name: (joined(folder, chosen[0]), name.replace(_AVA, " > "))
    files = [path for path in tree.paths if path.startswith(start) and is_test_file(path)]
    stems = {path: re.sub(r"(\.test|\.spec)?\.[cm]?[jt]sx?$", "", path) for path in files}

    def place(name: str) -> tuple[str, str]:
        parts = name.split(_AVA)
        for length in range(len(parts) - 1, 0, -1):
            ending = "/".join(parts[:length]).removesuffix(".test")
            fits = [path for path, stem in stems.items() if stem == ending or stem.endswith(f"/{ending}")]
            if fits:
                return min(fits, key=len), " > ".join(parts[length:])
        return (files[0] if len(files) == 1 else joined(folder, "package.json")), " > ".join(parts)

    return place


def _object(content: bytes | None) -> dict[str, Any]:
    try:
        found = json.loads(content or b"{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}

"""What a run of Maven says: the reports of surefire, and what its log says where tests were not run."""

import re
from collections.abc import Iterator, Mapping

from sandbox.environments.languages.protocol import Ran
from sandbox.environments.languages.tree import SourceTree
from sandbox.reports import TestCase
from sandbox.reports.junit import JUnitCase, read_junit

from .maven import NO_TESTS

BUILD = "(build)"
"""The name of the case that says whether a project could be built."""
_SOURCE = re.compile(r"\.(?:java|kt|groovy|scala)$")
_FRAME = re.compile(r"^\s*at (?:[\w.@-]*/)*([\w.$]+)\.[\w$<>-]+\(([\w-]+\.\w+):(\d{1,9})\)", re.MULTILINE)
_SHORT = re.compile(r"\b([A-Za-z_]\w*)(?:[.$>-]+[\w$]+)*:(\d{1,9})\b")
_COMPILER = re.compile(r"^(?:\[ERROR\] |e: (?:file://)?)/workspace/([^\s:]+\.\w+):(?:\[(\d{1,9}),\d+\]|(\d{1,9}):\d+)?")
_FAILED = re.compile(r"^\[ERROR\] Failed to execute goal (?P<goal>.*?) on project (?P<artifact>[\w.-]+): (?P<why>.*)")
_RAN = re.compile(r"^\[INFO\] --- [\w.:-]*?:(?:test|testCompile|test-compile) \([^)]*\) @ ([\w.-]+) ---")
_CRASHED = re.compile(r"^\[ERROR\] ([A-Za-z_][\w$]*(?:\.[\w$]+)+)$")
_MOST_LINES = 100


class Sources:
    """The source files of a repository by the names of their classes."""

    def __init__(self, tree: SourceTree) -> None:
        self._by_stem: dict[str, list[str]] = {}
        for path in tree.paths:
            if _SOURCE.search(path):
                stem = path.rpartition("/")[2].partition(".")[0]
                self._by_stem.setdefault(stem, []).append(path)

    def file(self, name: str, module: str) -> str:
        """The file of a class, or of the class around it; empty for none. Those of `module` come first."""
        top = name.partition("$")[0].replace(".", "/")
        known = self._by_stem.get(top.rpartition("/")[2], [])
        prefix = f"{module}/" if module else ""
        own = [path for path in known if path.startswith(prefix)]
        whole = [path for path in known if f"/{path.rpartition('.')[0]}".endswith(f"/{top}")]
        both = [path for path in own if path in whole]
        return next(iter([*both, *whole, *own, *known]), "") if "/" in top or len(known) == 1 or both else ""


def test_cases(ran: Ran, projects: Mapping[str, str], sources: Sources) -> Iterator[TestCase]:
    """`projects` are the folders of the build's projects by the names of their artifacts."""
    for path, content in ran.reports.items():
        if "/junitreports/" in path:
            continue  # TestNG's own, of the same tests
        module = re.split(r"(?:^|/)target/", path, maxsplit=1)[0]
        for case in read_junit(content):
            yield _case(case, module, sources)
    yield from _builds(ran.output.decode(errors="replace"), projects, sources, ran.plan.folder)


def _case(case: JUnitCase, module: str, sources: Sources) -> TestCase:
    name = case.classname or (case.suites[-1] if case.suites else "")
    file = sources.file(name, module)
    inner = name.partition("$")[2].replace("$", ".")
    test = case.name or "(class)"
    if case.name == name or case.name == name.rpartition(".")[2]:
        test = "(class)"  # its constructor, or what is done before all of its tests
    full = f"{inner}.{test}" if inner else test
    if not file:
        full = f"{name}.{test}"
    path, line = _place(case.said, name, module, sources) if case.outcome in ("failed", "error") else ("", 0)
    outcome = "failed" if case.outcome == "error" else case.outcome
    return TestCase(f"{file or module or '.'}::{full}", outcome, case.seconds,
                    case.said if case.outcome != "passed" else "", path, line)  # fmt: skip


def _place(said: str, name: str, module: str, sources: Sources) -> tuple[str, int]:
    """The innermost frame in the repository."""
    for found in _FRAME.finditer(said):
        path = sources.file(found[1], module)
        if path and path.endswith(f"/{found[2]}"):
            return path, int(found[3])
    short = _SHORT.match(said)
    if short and name.endswith(short[1]):
        return sources.file(name, module), int(short[2])
    return "", 0


def _builds(output: str, projects: Mapping[str, str], sources: Sources, root: str) -> Iterator[TestCase]:
    """One case for each project: whether it could be built (for the one in `root`, whether the build could begin); and
    one for each class that ended the JVM."""
    compiler: dict[str, list[str]] = {}
    places: dict[str, tuple[str, int]] = {}
    failed: dict[str, list[str]] = {}
    ran: set[str] = set()
    folders = sorted(projects.values(), key=len, reverse=True)
    current = ""
    crashed = False
    for line in output.splitlines():
        if found := _COMPILER.match(line):
            path = found[1]
            current = next((one for one in folders if not one or path.startswith(f"{one}/")), "")
            places.setdefault(current, (path, int(found[2] or found[3] or 0)))
            _add(compiler.setdefault(current, []), line.removeprefix("[ERROR] ").replace("/workspace/", "", 1))
            continue
        if current and line.startswith("[ERROR]   "):
            _add(compiler[current], line.removeprefix("[ERROR] "))
            continue
        current = ""
        if (found := _FAILED.match(line)) and NO_TESTS not in line:
            _add(failed.setdefault(found["artifact"], []), f"{found['goal']}: {found['why']}")
        elif found := _RAN.match(line):
            ran.add(found[1])
        elif crashed and (found := _CRASHED.match(line)):
            yield TestCase(f"{sources.file(found[1], '') or '.'}::(class)", "error", None,
                           "The JVM that ran its tests ended before they did.")  # fmt: skip
        crashed = line.startswith("[ERROR] Crashed tests:") or (crashed and _CRASHED.match(line) is not None)
    for artifact, folder in projects.items():
        name = f"{folder or '.'}::{BUILD}"
        if artifact in failed:
            said = "\n".join(compiler.get(folder, failed[artifact]))
            yield TestCase(name, "error", None, said, *places.get(folder, ("", 0)))
        elif artifact in ran or (folder == root and ran):
            yield TestCase(name, "passed")
        elif folder == root and "[INFO] BUILD FAILURE" in output:
            lines = [line for line in output.splitlines() if re.match(r"\[(?:ERROR|FATAL)\] .*\w", line)]
            yield TestCase(name, "error", None, "\n".join(lines[:_MOST_LINES]))


def _add(lines: list[str], line: str) -> None:
    if len(lines) < _MOST_LINES and line not in lines:
        lines.append(line)

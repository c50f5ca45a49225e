"""Which lines single tests execute, by the coverage of Go and of V8 (Node.js).

For ranking suspicious lines, where a wrong answer only costs time: no verdict rests on it. Runners that load translated
sources (jest, vitest) or tell no file apart have none.
"""

import json
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from sandbox.protocol import WORKSPACE, CommandResult, Limits, SandboxUnavailable, Session, in_folder
from sandbox.reports.v8_coverage import executed_lines

from .go import module_of
from .javascript.suites import BY_FILE
from .prepare import LanguageEnvironment
from .protocol import SCRATCH, TestPlan
from .tree import folder_of

Lines = Mapping[str, frozenset[int]]
"""Executed lines, from 1, by path."""
_FOLDER = f"{SCRATCH}/coverage"
_MOST_REPORT = 8 << 20
_MOST_REPORTS = 40
_MOST_PACKAGES = 40
"""A Go module with more packages is only measured in the package that is tested."""
_TEST_SECONDS = 10
_BLOCK = re.compile(r"^(\S+?):(\d{1,7})\.\d+,(\d{1,7})\.\d+ \d+ ([1-9]\d*)$", re.MULTILINE)
_GO = """
out=$1 package=$2 seconds=$3 scope=$4
shift 4
rm -rf "$out" && mkdir -p "$out" || exit 3
go test -c -covermode=set -coverpkg="$scope" -o "$out/cover.test" "$package" || exit 3
cd "$package" || exit 3
number=0
for name; do
    timeout "$seconds" "$out/cover.test" -test.run "$name" -test.coverprofile="$out/$number.out" >/dev/null 2>&1
    number=$((number + 1))
done
exit 0
"""
_BY_NAME = ("node", "borp", "mocha")
"""Runners that run a test by its name."""
_BY_FILE = ("ava", *BY_FILE)
_SPECIAL = re.compile(r"[.*+?^${}()|\[\]\\/]")


def covered(
    environment: LanguageEnvironment, session: Session, limits: Limits, tests: Sequence[str], seconds: float
) -> list[Lines | None]:
    """What each test executes, None where it is not known. Raises `SandboxUnavailable`."""
    until = time.monotonic() + seconds
    measure = {"go": _go, "javascript": _javascript}.get(environment.language.name)
    return measure(environment, session, limits, tests, until) if measure is not None else [None] * len(tests)


def _go(
    environment: LanguageEnvironment, session: Session, limits: Limits, tests: Sequence[str], until: float
) -> list[Lines | None]:
    found: dict[str, Lines] = {}
    packages: dict[str, list[str]] = {}
    for test in tests:
        place = test.partition("::")[0]
        packages.setdefault(folder_of(place) if place.endswith(".go") else place, []).append(test)
    folders = {folder_of(path) for path in environment.tree.paths if path.endswith(".go")}
    for package, own in packages.items():
        left = until - time.monotonic()
        if left < 1:
            break
        module = module_of(environment.needs.folders, package)
        inside = package.removeprefix(module).strip("/")
        target = f"./{inside}" if inside else "."
        names = [f"^{test.partition('::')[2].split('/')[0]}$" for test in own]
        scope = "./..." if len(folders) <= _MOST_PACKAGES else target
        out = f"{WORKSPACE}/{_FOLDER}"
        command = ("/bin/sh", "-c", _GO, "sh", out, target, str(_TEST_SECONDS), scope, *names)
        _run(session, TestPlan(command, module), limits, left)
        for number, test in enumerate(own):
            text = _read(session, f"{_FOLDER}/{number}.out").decode(errors="replace")
            if lines := _go_lines(text, environment, module):
                found[test] = lines
    return [found.get(test) for test in tests]


def _go_lines(profile: str, environment: LanguageEnvironment, module: str) -> Lines:
    """The lines of the executed blocks of a profile (`go tool cover`), which names files by import paths."""
    name = re.search(
        r'^module\s+"?([^\s"]+)', environment.tree.text(f"{module}/go.mod".lstrip("/")) or "", re.MULTILINE
    )
    start = f"{name[1]}/" if name else ""
    found: dict[str, set[int]] = {}
    for path, first, last, _ in _BLOCK.findall(profile):
        if start and path.startswith(start) and int(last) - int(first) < 10_000:
            inside = f"{module}/{path.removeprefix(start)}".lstrip("/")
            found.setdefault(inside, set()).update(range(int(first), int(last) + 1))
    return {path: frozenset(lines) for path, lines in found.items()}


def _javascript(
    environment: LanguageEnvironment, session: Session, limits: Limits, tests: Sequence[str], until: float
) -> list[Lines | None]:
    found: list[Lines | None] = []
    by_file: dict[str, Lines | None] = {}
    for number, test in enumerate(tests):
        left = until - time.monotonic()
        plans = environment.language.plans(environment.needs, [test], left) if left >= 1 else ()
        runner = json.loads(plans[0].command[-1])["runner"] if len(plans) == 1 else ""
        file = test.partition("::")[0]
        if runner in _BY_NAME:
            found.append(_v8(environment, session, limits, _named(plans[0], test, environment), number, left))
        elif runner in _BY_FILE:
            if file not in by_file:
                by_file[file] = _v8(environment, session, limits, plans[0], number, left)
            found.append(by_file[file])
        else:
            found.append(None)
    return found


def _named(plan: TestPlan, test: str, environment: LanguageEnvironment) -> TestPlan:
    """The plan of a file for one of its tests."""
    given = json.loads(plan.command[-1])
    names = [_SPECIAL.sub(r"\\\g<0>", name) for name in test.partition("::")[2].split(" > ")]
    command = list(given["command"])
    if given["runner"] == "mocha":
        command += ["--grep", f"^{' '.join(names)}$"]
    else:
        major = int((re.search(r"\d+", environment.toolchain.version) or ["0"])[0])
        full = " ".join(names)
        wanted = f"^{full}$" if major >= 22 else f"^({'|'.join(dict.fromkeys([*names, full]))})$"
        command.insert(command.index("--test") + 1, f"--test-name-pattern={wanted}")
    given["command"] = command
    return replace(plan, command=(*plan.command[:-1], json.dumps(given)))


def _v8(
    environment: LanguageEnvironment, session: Session, limits: Limits, plan: TestPlan, number: int, seconds: float
) -> Lines | None:
    folder = f"{_FOLDER}/{number}"
    variables = {**plan.variables, "NODE_V8_COVERAGE": f"{WORKSPACE}/{folder}"}
    _run(session, replace(plan, variables=variables), limits, min(seconds, _TEST_SECONDS))
    listed = session.run(["find", folder, "-name", "*.json", "-type", "f"]).stdout.decode(errors="replace")
    reports = [_read(session, path) for path in sorted(listed.splitlines())[:_MOST_REPORTS]]
    session.run(["rm", "-rf", folder])
    lines = _merged(executed_lines(report, WORKSPACE, environment.tree.text) for report in reports)
    return lines or None


def _merged(found: Iterable[Lines]) -> Lines:
    merged: dict[str, set[int]] = {}
    for lines in found:
        for path, own in lines.items():
            merged.setdefault(path, set()).update(own)
    return {path: frozenset(lines) for path, lines in merged.items()}


def _run(session: Session, plan: TestPlan, limits: Limits, seconds: float) -> CommandResult:
    given = replace(limits, disk_bytes=max(limits.disk_bytes, 4 << 30), file_bytes=max(limits.file_bytes, 1 << 30),
                    processes=max(limits.processes, 256))  # fmt: skip
    return session.run(in_folder(plan.folder, plan.command), limits=given.with_wall(seconds),
                       variables=plan.variables, services=True)  # fmt: skip


def _read(session: Session, path: str) -> bytes:
    try:
        return session.read(path, _MOST_REPORT)
    except SandboxUnavailable:
        raise
    except (OSError, ValueError):
        return b""

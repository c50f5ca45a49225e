"""C and C++ with make: `./configure` where there is one, then the target `check` or `test` of the Makefile.

Only for repositories that are C or C++. A Makefile that prints results in no known form is
one test, by its exit code.
"""

import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence

from sandbox.environments.wanted import EnvironmentRefused
from sandbox.reports import TestCase, unique
from sandbox.reports.compilers import first_error
from sandbox.reports.text_results import text_results, trs_results

from .c_sources import SOURCES, TestSources, is_own
from .cmake import PATH, compilers, program_version, relative_path
from .kept_builds import CONTINUE, keep_build, start_build
from .protocol import BuildFailed, BuildStep, Needs, Ran, TestPlan, Toolchain
from .tree import SourceTree, folder_of

MAKEFILES = ("GNUmakefile", "Makefile", "makefile")
_OTHERS = ("pyproject.toml", "setup.py", "setup.cfg", "go.mod", "Cargo.toml", "pom.xml", "build.gradle",
           "Gemfile", "composer.json")  # fmt: skip
"""Declarations of other languages, whose Makefiles only start their own tools."""
_TARGETS = ("check", "test", "tests")
_JOBS = "2"

_CONFIGURE = r"""
if [ -f configure.ac ] || [ -f configure.in ]; then [ -x configure ] || autoreconf -fi; fi
if [ -f configure ] && ! [ -f config.status ]; then /bin/sh ./configure; fi
"""
_BUILD = _CONFIGURE + 'exec make -k -j "$1"'
_RUN = r"""
{ /bin/sh -ec "$CONFIGURE"; } > /tmp/configured 2>&1 ||
    { cat /tmp/configured; echo "penstock: built 1"; exit 1; }
make -k -j "$1" 2>&1
echo "penstock: built $?"
make -k VERBOSE=1 "$2" 2>&1
echo "penstock: ended $?"
"""


class Make:
    """The part of `c.C` for make."""

    def find(self, tree: SourceTree) -> Needs | None:
        if any(tree.exists(name) for name in _OTHERS) or '"scripts"' in (tree.text("package.json") or ""):
            return None
        if not any(path.endswith(SOURCES) and is_own(path) for path in tree.paths):
            return None
        for folder in _folders(tree):
            found = _declared(tree, folder)
            if found:
                files, target, automake = found
                return Needs("c", f"make {target}", (folder,), tuple(files),
                             facts={"target": target, "automake": automake})  # fmt: skip
        return None

    def toolchain(self, needs: Needs) -> Toolchain:
        version = program_version("make")
        if not version:
            raise EnvironmentRefused(f"make ({needs.files[0]}), and there is no `make` on this machine",
                                     "Install the package make.")  # fmt: skip
        tools = needs.facts["automake"]
        missing = [tool for tool in tools if shutil.which(tool, path=PATH) is None]
        if missing:
            raise EnvironmentRefused(f"{' and '.join(missing)}, to make `configure` from {needs.files[0]}",
                                     "Install autoconf, automake and libtool, or commit `configure`.")  # fmt: skip
        return Toolchain(f"make {version}, {compilers(needs)}", variables={"PATH": PATH})

    def build(self, needs: Needs, step: BuildStep) -> None:
        start_build(step)
        failed: BuildFailed | None = None
        try:
            step.run(["/bin/sh", "-ec", _BUILD, "sh", _JOBS], {}, needs.folders[0])
        except BuildFailed as failure:
            failed = failure
        keep_build(step, (".",))
        if failed is not None:
            raise failed

    def variables(self, needs: Needs) -> Mapping[str, str]:
        return {"CONFIGURE": _CONFIGURE}

    def prepare(self, needs: Needs) -> Sequence[Sequence[str]]:
        return [CONTINUE]

    def plans(self, needs: Needs, tests: Sequence[str], seconds: float) -> Sequence[TestPlan]:
        command = ("/bin/sh", "-c", _RUN, "sh", _JOBS, needs.facts["target"])
        reports = (f"{needs.folders[0]}/*.trs".lstrip("/"), f"{needs.folders[0]}/*.log".lstrip("/"))
        return [TestPlan(command, needs.folders[0], reports=reports if needs.runner == "make check" else ())]

    def results(self, needs: Needs, ran: Ran, tree: SourceTree) -> list[TestCase]:
        folder, makefile = needs.folders[0], needs.files[0]

        def relative(path: str) -> str:
            return relative_path(path, folder, tree)

        output = ran.output.decode(errors="replace")
        built, _, tested = output.partition("\npenstock: built ")
        code, _, tested = tested.partition("\n")
        cases: list[TestCase] = []
        if code.isdigit() and int(code):
            message, path, line = first_error(built, relative)
            cases.append(TestCase(f"{makefile}::(build)", "error", None, message, path, line))
        elif code:
            cases.append(TestCase(f"{makefile}::(build)", "passed"))
        sources = TestSources(tree)
        found = list(_trs_cases(ran.reports, sources, tree, relative))
        if not found:
            for one in text_results(tested):
                message, path, line = first_error(one.said, relative, whole=True) if one.said else ("", "", 0)
                cases.append(TestCase(f"{sources.file(one.name, makefile)}::{one.name}", one.outcome, one.seconds,
                                      message, path, line))  # fmt: skip
        cases += found
        ended = re.search(r"^penstock: ended (\d+)$", tested, re.MULTILINE)
        if ended and len(cases) < 2:  # nothing but the exit code says how the tests ended
            failed = ended[1] != "0"
            message, path, line = first_error(tested[: ended.start()], relative) if failed else ("", "", 0)
            cases.append(TestCase(f"{makefile}::{needs.facts['target']}", "failed" if failed else "passed", None,
                                  message, path, line))  # fmt: skip
        return unique(cases)


def _trs_cases(
    reports: Mapping[str, bytes], sources: TestSources, tree: SourceTree, relative: Callable[[str], str]
) -> Iterator[TestCase]:
    for report, content in reports.items():
        if not report.endswith(".trs"):
            continue
        program = report.removesuffix(".trs")
        file = next((path for path in (program, *(program + end for end in (*SOURCES, ".sh", ".test", ".py", ".pl")))
                     if tree.exists(path)), "") or sources.file(program, program)  # fmt: skip
        log = reports.get(f"{program}.log", b"").decode(errors="replace")
        for name, outcome in trs_results(content):
            message, path, line = "", "", 0
            if outcome in ("failed", "error"):
                message, path, line = first_error(log, relative, whole=True)
            yield TestCase(f"{file}::{name or program.rpartition('/')[2]}", outcome, None, message, path, line)


def _folders(tree: SourceTree) -> list[str]:
    """Folders with a Makefile or a configure script, the nearest to the root first."""
    names = (*MAKEFILES, "configure.ac", "configure.in", "configure")
    found = {folder_of(path) for name in names for path in tree.named(name) if is_own(path)}
    return sorted(found, key=lambda folder: (bool(folder), folder.count("/"), folder))[:20]


def _declared(tree: SourceTree, folder: str) -> tuple[list[str], str, list[str]] | None:
    """The declarations in a folder, the target that runs its tests, and the programs that make `configure`."""
    at = f"{folder}/" if folder else ""
    script = next((at + name for name in ("configure.ac", "configure.in") if tree.exists(at + name)), "")
    if script or tree.exists(f"{at}configure"):
        automake = [path for path in tree.paths if path.startswith(at) and path.endswith("Makefile.am")]
        declared = [*automake, *(path for path in tree.paths if path.startswith(at) and path.endswith("akefile.in"))]
        texts = {path: tree.text(path) or "" for path in declared[:200]}
        tests = any(re.search(r"^\s*(?:TESTS|check_PROGRAMS)\s*\+?=", text, re.MULTILINE) for text in texts.values())
        target = "check" if tests else next((one for text in texts.values() for one in _targets(text)), "")
        if not target:
            return None
        tools = [] if tree.exists(f"{at}configure") else ["autoreconf", *(["automake"] if automake else [])]
        first = script or f"{at}configure"
        return [first, *declared[:200]], target, tools
    for name in MAKEFILES:
        if tree.exists(at + name):
            targets = _targets(tree.text(at + name) or "")
            return ([at + name], targets[0], []) if targets else None
    return None


def _targets(text: str) -> list[str]:
    return [one for one in _TARGETS if re.search(rf"^(?:[\w -]+ )?{one}\s*:(?!=)", text, re.MULTILINE)]

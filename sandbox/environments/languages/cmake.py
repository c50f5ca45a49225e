"""C and C++ with CMake: configured and built with what compilers and libraries the machine has, tests run by ctest.

Nothing is fetched. What a project would download while it configures is taken from the system where it is there, under
its own name, and refused by name elsewhere.
"""

import functools
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from sandbox.environments.wanted import EnvironmentRefused
from sandbox.protocol import WORKSPACE
from sandbox.reports import TestCase, unique
from sandbox.reports.compilers import first_error
from sandbox.reports.junit import read_junit

from .c_sources import TestSources, is_own
from .kept_builds import CONTINUE, keep_build, start_build
from .protocol import SCRATCH, BuildFailed, BuildStep, Needs, Ran, TestPlan, Toolchain
from .tree import SourceTree, folder_of

LISTS = "CMakeLists.txt"
PATH = "/usr/local/bin:/usr/bin:/bin"
_BUILD = f"{SCRATCH}/cmake"
_JOBS = "2"
_SECONDS = 20.0
_JUNIT = (3, 21)
_MOST_FOLDERS = 5
_TESTS = re.compile(
    r"\b(?:add_test|enable_testing|\w+_discover_tests|gtest_add_tests)\s*\(|\binclude\s*\(\s*CTest\b", re.I
)
_OPTION = re.compile(r"\b(?:cmake_dependent_)?option\s*\(\s*(\w+)\s+\"[^\"]*\"\s*(\S*)", re.IGNORECASE)
_PROJECT = re.compile(r"\bproject\s*\(\s*\"?([\w.+-]+)", re.IGNORECASE)
_MINIMUM = re.compile(r"\bcmake_minimum_required\s*\(\s*VERSION\s+([\d.]+)", re.IGNORECASE)
_DECLARED = re.compile(
    r"\b(FetchContent_Declare|ExternalProject_Add|CPMAddPackage|CPMFindPackage)"
    r"\s*\(\s*(?:NAME\s+)?\"?(\w[\w.-]*)([^)]*)\)", re.IGNORECASE,
)  # fmt: skip
_PLACE = re.compile(r"\b(?:GIT_REPOSITORY|URL|GITHUB_REPOSITORY)\s+\"?([^\s\"]+)", re.IGNORECASE)
_DOWNLOADS = re.compile(r"could not resolve|failed to clone|git clone|download|populate|fetchcontent", re.IGNORECASE)
_NO_PROGRAM = re.compile(r"(?:unable to find|could not find) executable|required files missing", re.IGNORECASE)
_NOT_BUILT = "_NOT_BUILT"
_TEST_WORDS = frozenset({"TEST", "TESTS", "TESTING", "UNITTEST", "UNITTESTS", "BUILDTESTS"})
_VERBS = frozenset({"BUILD", "ENABLE", "WITH", "MAKE", "GENERATE"})
_FILL_WORDS = frozenset({"UNIT", "THE", "ALL", "OWN"})
_OTHER_WORDS = re.compile(
    "DISABLE|NO|SKIP|WITHOUT|FUZZ|FUZZING|BENCH|BENCHMARKS?|PERF|PERFORMANCE|COVERAGE|VALGRIND|MEMCHECK|INSTALL|SSL|CUDA|"
    "GPU|DOWNLOAD|FAST|HO|EXTERNAL|SANITIZERS?|INTERNAL|DEBUG"
)

_CONFIGURE = r"""
folder=$1 generator=$2 build=$3 tests=$4
shift 4
# CMake tries a download again for 85 s where a host has no address, and not where a proxy has none.
export http_proxy=http://none.invalid https_proxy=http://none.invalid GIT_TERMINAL_PROMPT=0
cmake -S "$folder" -B "$build" -G "$generator" "$@" $tests 2>&1 ||
    { rm -rf "$build/CMakeCache.txt"; cmake -S "$folder" -B "$build" -G "$generator" "$@" 2>&1; }
"""
_RUN = r"""
build=$1 report=$2 keep=$3 jobs=$4 timeout=$5 chosen=$6
shift 6
if ! /bin/sh -c "$CONFIGURE" sh "$@" > /tmp/configured 2>&1; then
    cat /tmp/configured; echo "penstock: configured 1"; exit 1
fi
cmake --build "$build" --parallel "$jobs" -- $keep 2>&1
echo "penstock: built $?"
ctest --test-dir "$build" --output-junit "$report" --parallel "$jobs" --timeout "$timeout" ${chosen:+-R "$chosen"} 2>&1
"""


class CMake:
    """The part of `c.C` for CMake."""

    def find(self, tree: SourceTree) -> Needs | None:
        lists = [path for path in tree.named(LISTS) if is_own(path)]
        scripts = [*lists, *(path for path in tree.paths if path.endswith(".cmake") and is_own(path))]
        texts = {path: tree.text(path) or "" for path in scripts}
        folders: list[str] = []
        for path in lists:
            folder = folder_of(path)
            if not any(not one or folder.startswith(f"{one}/") for one in folders):
                inside = (texts[one] for one in scripts if not folder or one.startswith(f"{folder}/"))
                if _PROJECT.search(texts[path]) and any(map(_TESTS.search, inside)):
                    folders.append(folder)
        if not folders:
            return None
        minimum = [(found[1], path) for path in lists if folder_of(path) in folders
                   and (found := _MINIMUM.search(texts[path]))]  # fmt: skip
        version, where = max(minimum, key=lambda item: numbers(item[0]), default=("", ""))
        downloads = {name: [kind, place, path] for path, text in texts.items() for kind, name, place in _declared(text)}
        docs = sorted({name for text in texts.values() for name in _docs_options(text)})
        project = next((found[1] for path in lists if (found := _PROJECT.search(texts[path]))), "")
        options = sorted({name for text in texts.values() for name in _test_options(text, project)})
        return Needs("c", "ctest", tuple(folders[:_MOST_FOLDERS]), tuple(scripts[:2000]), version, where,
                     facts={"options": options, "docs": docs, "downloads": downloads})  # fmt: skip

    def toolchain(self, needs: Needs) -> Toolchain:
        version = program_version("cmake")
        if not version or shutil.which("ctest", path=PATH) is None:
            raise EnvironmentRefused(f"CMake ({needs.files[0]}), and there is no `cmake` on this machine",
                                     "Install the package cmake.")  # fmt: skip
        least = max(needs.version or "0", ".".join(map(str, _JUNIT)), key=numbers)
        if numbers(version) < numbers(least):
            place = (
                f"{needs.version_from}, cmake_minimum_required" if least == needs.version else "for a report of tests"
            )
            raise EnvironmentRefused(f"CMake {least} or newer ({place}), and this machine has {version}",
                                     f"Install CMake {least} or newer.")  # fmt: skip
        return Toolchain(f"CMake {version}, {compilers(needs)}", variables={"PATH": PATH})

    def build(self, needs: Needs, step: BuildStep) -> None:
        start_build(step)
        failed: BuildFailed | None = None
        for number, folder in enumerate(needs.folders):
            try:
                step.run(["/bin/sh", "-c", _CONFIGURE, "sh", *_configuration(needs, number, folder)], {})
                step.run(["cmake", "--build", f"{_BUILD}/{number}", "--parallel", _JOBS, "--", *_keep_going()], {})
            except BuildFailed as failure:
                _refuse_download(needs, str(failure))
                failed = failure
        keep_build(step, (_BUILD,))
        if failed is not None:
            raise failed

    def variables(self, needs: Needs) -> Mapping[str, str]:
        return {"CTEST_OUTPUT_ON_FAILURE": "1", "CLICOLOR": "0", "CONFIGURE": _CONFIGURE}

    def prepare(self, needs: Needs) -> Sequence[Sequence[str]]:
        return [CONTINUE]

    def plans(self, needs: Needs, tests: Sequence[str], seconds: float) -> Sequence[TestPlan]:
        names = {test.partition("::")[2] for test in tests}
        chosen = "" if not tests or "(build)" in names else "^(" + "|".join(map(_escaped, sorted(names))) + ")$"
        found = []
        for number, folder in enumerate(needs.folders):
            report = f"{SCRATCH}/ctest-{number}.xml"
            command = ["/bin/sh", "-c", _RUN, "sh", f"{_BUILD}/{number}", f"{WORKSPACE}/{report}",
                       " ".join(_keep_going()), _JOBS, str(max(1, int(seconds))), chosen,
                       *_configuration(needs, number, folder)]  # fmt: skip
            found.append(TestPlan(tuple(command), "", reports=(report,)))
        return found

    def results(self, needs: Needs, ran: Ran, tree: SourceTree) -> list[TestCase]:
        number = int(ran.plan.command[4].rpartition("/")[2])
        lists = f"{needs.folders[number]}/{LISTS}".lstrip("/")
        output = ran.output.decode(errors="replace")

        def relative(path: str) -> str:
            return relative_path(path, needs.folders[number], tree)

        ended = re.findall(r"^penstock: (?:configured|built) (\d+)$", output, re.MULTILINE)
        cases = []
        if ended and ended[0] != "0":
            said = output.partition("\npenstock: ")[0]
            message, path, line = first_error(said, relative)
            cases.append(TestCase(f"{lists}::(build)", "error", None, message, path, line))
        elif ended:
            cases.append(TestCase(f"{lists}::(build)", "passed"))
        sources = TestSources(tree)
        for content in ran.reports.values():
            cases += _ctest_cases(
                content, sources, lists, lambda path: relative_path(path, needs.folders[number], tree)
            )
        return unique(cases)


def _ctest_cases(
    content: bytes, sources: TestSources, lists: str, relative: Callable[[str], str]
) -> Iterator[TestCase]:
    for case in read_junit(content):
        if case.name.endswith(_NOT_BUILT) or not case.name:
            continue
        outcome = case.outcome
        message, path, line = "", "", 0
        said = "\n".join(part for part in (case.said, case.output) if part)
        if outcome != "passed" and _NO_PROGRAM.search(said):
            outcome = "error"
        if outcome in ("failed", "error"):
            message, path, line = first_error(said, relative, whole=True)
        yield TestCase(f"{sources.file(case.name, lists)}::{case.name}", outcome, case.seconds, message, path, line)


def relative_path(path: str, folder: str, tree: SourceTree) -> str:
    """A path that a compiler names, relative to the root; empty for one that is not in the repository."""
    path = path.removeprefix(f"{WORKSPACE}/")
    if path.startswith("/"):
        return ""
    plain = re.sub(r"^(\.\.?/)+", "", path)
    for place in (plain, f"{folder}/{plain}".lstrip("/")):
        if tree.exists(place):
            return place
    return ""


def _declared(text: str) -> Iterator[tuple[str, str, str]]:
    """What a script downloads: the command, the name, and from where."""
    for kind, name, rest in _DECLARED.findall(text):
        found = _PLACE.search(rest)
        if found:
            yield kind, name, found[1]


def _test_options(text: str, project: str) -> Iterator[str]:
    """Options that add tests and are not on by default, but those for tests of one feature alone: after a word such as
    `BUILD`, they name nothing else than the project."""
    for name, default in _OPTION.findall(text):
        parts = [part.upper() for part in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+", name)]
        verb = next((at for at, part in enumerate(parts) if part in _VERBS), len(parts))
        feature = "".join(part for part in parts[verb + 1 :] if part not in _TEST_WORDS | _FILL_WORDS)
        whole = re.sub(r"[^A-Z0-9]", "", project.upper())
        is_on = default.strip(")").upper() in ("ON", "TRUE", "1")
        if (
            not is_on
            and _TEST_WORDS & {*parts}
            and feature in ("", whole)
            and not any(map(_OTHER_WORDS.fullmatch, parts))
        ):
            yield name


def _docs_options(text: str) -> Iterator[str]:
    """Options that make documentation, for which tools may be missing."""
    for name, _ in _OPTION.findall(text):
        if re.search(r"(^|_)(DOCS?|DOXYGEN|DOCUMENTATION)$", name, re.IGNORECASE):
            yield name


def _configuration(needs: Needs, number: int, folder: str) -> list[str]:
    """The arguments of `_CONFIGURE`."""
    generator = "Ninja" if shutil.which("ninja", path=PATH) else "Unix Makefiles"
    options = ["-DCMAKE_BUILD_TYPE=Debug", "-DCMAKE_C_FLAGS_DEBUG=-g0", "-DCMAKE_CXX_FLAGS_DEBUG=-g0",
               "-DCMAKE_COMPILE_WARNING_AS_ERROR=OFF", "-DBUILD_TESTING=ON",
               "-DFETCHCONTENT_TRY_FIND_PACKAGE_MODE=ALWAYS", "-Wno-dev"]  # fmt: skip
    for name in needs.facts["downloads"]:
        if (Path("/usr/src") / name / LISTS).is_file():  # where Debian keeps libraries that are built with their users
            options.append(f"-DFETCHCONTENT_SOURCE_DIR_{name.upper()}=/usr/src/{name}")
    options += [f"-D{name}=OFF" for name in needs.facts["docs"]]
    tests = " ".join(f"-D{name}=ON" for name in needs.facts["options"])
    return [folder or ".", generator, f"{_BUILD}/{number}", tests, *options]


def _keep_going() -> list[str]:
    return ["-k", "0"] if shutil.which("ninja", path=PATH) else ["-k"]


def _refuse_download(needs: Needs, said: str) -> None:
    if not _DOWNLOADS.search(said):
        return
    for name, (kind, place, path) in needs.facts["downloads"].items():
        if re.search(rf"\b{re.escape(name)}\b", said, re.IGNORECASE):
            raise EnvironmentRefused(
                f"`{name}` from {place}, which {path} downloads while it is built ({kind}) and which cannot be fetched "
                "here",
                "Install it as a package of the system, or put its sources into the repository.",
            )


def _escaped(name: str) -> str:
    return re.sub(r"([^\w\s/:,<>=\"'-])", r"\\\1", name)


def numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def compilers(needs: Needs) -> str:
    """The versions of the compilers and of the builder. Raises `EnvironmentRefused`."""
    found = [f"{name} {version}" for name in ("cc", "c++") if (version := program_version(name, "-dumpfullversion"))]
    if len(found) < 2:
        raise EnvironmentRefused(f"compilers for C and C++ ({needs.files[0]}), and `cc` or `c++` is not installed",
                                 "Install gcc and g++ (the package build-essential), or clang.")  # fmt: skip
    if not any(shutil.which(name, path=PATH) for name in ("ninja", "make")):
        raise EnvironmentRefused(f"make or ninja ({needs.files[0]}), and neither is on this machine",
                                 "Install the package make.")  # fmt: skip
    return ", ".join(found)


@functools.cache
def program_version(program: str, option: str = "--version") -> str:
    """The first number that a program gives as its version; empty where it is not there."""
    path = shutil.which(program, path=PATH)
    if path is None:
        return ""
    for asked in (option, "-dumpversion"):
        try:
            done = subprocess.run([path, asked], capture_output=True, text=True, check=True, timeout=_SECONDS, cwd="/",
                                  env={"PATH": os.defpath})  # fmt: skip
        except (OSError, subprocess.SubprocessError):
            continue
        found = re.search(r"\d+(?:\.\d+)+|\d+", done.stdout)
        if found:
            return found[0]
    return ""

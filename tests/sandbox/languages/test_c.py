"""C and C++: built with CMake or make, and run with one result for each test."""

import os
import shutil

import pytest

from sandbox.environments.languages import SourceTree, cmake, find_languages
from sandbox.environments.languages.c import C
from sandbox.environments.languages.c_sources import TestSources
from sandbox.environments.wanted import EnvironmentRefused
from sandbox.reports.compilers import first_error
from sandbox.reports.text_results import text_results, trs_results

LISTS = """cmake_minimum_required(VERSION 3.10)
project(demo C)
option(DEMO_BUILD_TESTS "Build the tests" OFF)
option(DEMO_BUILD_FUZZ_TESTS "Build what needs a fuzzer" OFF)
option(ENABLE_LATER_TESTS "Build what needs another library" OFF)
option(ENABLE_demo_TEST "Build more tests" OFF)
option(DEMO_BUILD_DOCS "Needs a program that is missing" ON)
if(DEMO_BUILD_DOCS)
  message(FATAL_ERROR "no program for documentation")
endif()
add_library(demo demo.c)
if(DEMO_BUILD_FUZZ_TESTS)
  message(FATAL_ERROR "no fuzzer")
endif()
if(DEMO_BUILD_TESTS)
  enable_testing()
  foreach(name good bad)
    add_executable(${name} tests/${name}.c)
    target_link_libraries(${name} demo)
    add_test(NAME ${name} COMMAND ${name})
  endforeach()
endif()
"""
CODE = "int two(void) { return 3; }\n"
GOOD = "int two(void);\nint main(void) { return two() > 0 ? 0 : 1; }\n"
BAD = '#include <assert.h>\nint two(void);\nint main(void) {\n  assert(two() == 2 && "wrong sum");\n  return 0;\n}\n'
FILES = {"CMakeLists.txt": LISTS, "demo.c": CODE, "tests/good.c": GOOD, "tests/bad.c": BAD}
MAKEFILE = "all: it\nit: it.c demo.c\n\t$(CC) -o it it.c demo.c\ntest: it\n\t./it\n"
TAP = '#include <stdio.h>\nint two(void);\nint main(void) {\n  printf("ok 1 - starts\\n");\n  if (two() == 2) { printf("ok 2 - adds\\n"); return 0; }\n  printf("# it.c:5: %d\\nnot ok 2 - adds\\n", two());\n  return 1;\n}\n'  # noqa: E501


def test_finds_projects_with_tests_and_the_options_that_add_them(repository):
    lists = LISTS.replace("3.10", "3.16")
    root = repository({**{f"c/{path}": text for path, text in {**FILES, "CMakeLists.txt": lists}.items()},
                       "third_party/x/CMakeLists.txt": LISTS.replace("DEMO", "X")})  # fmt: skip
    (found,) = find_languages(SourceTree(root))
    needs = found[1]
    assert (needs.runner, needs.folders, needs.version) == ("ctest", ("c",), "3.16")
    assert needs.facts["options"] == ["DEMO_BUILD_TESTS", "ENABLE_demo_TEST"]


@pytest.mark.parametrize(("path", "is_test", "steers"), [
    ("src/demo.c", False, False), ("src/contest.cc", False, False), ("test/demo.c", True, False),
    ("src/demo_test.cc", True, False), ("src/test-demo.c", True, False), ("src/DemoTest.cpp", True, False),
    ("t/data.h", True, False), ("a/tests/data.txt", False, False),
    ("lib/CMakeLists.txt", False, True), ("cmake/warn.cmake", False, True),
])  # fmt: skip
def test_files_of_tests_and_files_that_steer_them_are_known(path, is_test, steers):
    assert (C().is_test(path), C().steers(path)) == (is_test, steers)
    names = ("Makefile", "rules.mk", "a.c", "configure.ac", "Makefile.am")
    assert [name for name in names if C().steers(name)] == ["Makefile", "rules.mk", "configure.ac", "Makefile.am"]


def test_without_tests_there_is_nothing_to_run(repository):
    root = repository({"CMakeLists.txt": "project(demo C)\n", "demo.c": CODE, "Makefile": "all:\n\ttrue\n"})
    assert find_languages(SourceTree(root)) == []


def test_a_makefile_of_another_language_is_none_of_c(repository):
    root = repository({"Makefile": MAKEFILE, "it.c": TAP, "pyproject.toml": ""})
    assert C().find(SourceTree(root)) is None
    (root / "pyproject.toml").unlink()
    assert C().find(SourceTree(root)) is not None
    (root / "package.json").write_text('{"scripts": {"test": "jest"}}')
    assert C().find(SourceTree(root)) is None


def test_a_version_that_is_not_there_is_named(repository, monkeypatch):
    root = repository({**FILES, "CMakeLists.txt": LISTS.replace("3.10", "3.99")})
    monkeypatch.setattr(cmake, "program_version", lambda program, option="": "3.25.1")
    monkeypatch.setattr(cmake.shutil, "which", lambda name, path: f"/usr/bin/{name}")
    with pytest.raises(EnvironmentRefused, match=r"CMake 3\.99 or newer \(CMakeLists\.txt, cmake_minimum_required\)"):
        C().toolchain(C().find(SourceTree(root)))


def test_each_test_of_ctest_has_a_result_and_sources_are_built_again_when_they_differ(repository, suites):
    root = repository(FILES)
    environment = suites.environment(C(), root)
    assert not environment.entry.facts["notes"]
    cases = {case.id: case for case in suites.run(environment).cases}
    assert {name: case.outcome for name, case in cases.items()} == {
        "CMakeLists.txt::(build)": "passed", "tests/good.c::good": "passed", "tests/bad.c::bad": "failed",
    }  # fmt: skip
    failed = cases["tests/bad.c::bad"]
    assert (failed.path, failed.line) == ("tests/bad.c", 4)
    assert "wrong sum" in failed.message
    (again,) = (case for case in suites.run(environment, (failed.id,), {"demo.c": CODE.replace("3", "2")}).cases
                if not case.id.endswith("(build)"))  # fmt: skip
    assert (again.id, again.outcome) == (failed.id, "passed")
    # Another commit, whose files are older than what was built.
    (root / "demo.c").write_text(CODE.replace("3", "2"))
    os.utime(root / "demo.c", (1e9, 1e9))
    assert {case.outcome for case in suites.run(environment).cases} == {"passed"}


def test_what_was_built_is_not_built_again(repository, suites):
    from sandbox.environments.languages.suite import open_session

    from .conftest import LIMITS

    environment = suites.environment(C(), repository(FILES))
    with open_session(environment, environment.tree.root, suites.sandbox, LIMITS, {}) as session:
        done = session.run(["cmake", "--build", ".penstock/cmake/0"])
        assert done.ok and b"Building" not in done.stdout, done.stdout


def test_a_program_that_does_not_compile_is_an_error_and_the_others_run(repository, suites):
    environment = suites.environment(C(), repository(FILES))
    cases = {case.id: case for case in suites.run(environment, changed={"tests/bad.c": "\nint f(void) { y; }\n"}).cases}
    build = cases["CMakeLists.txt::(build)"]
    assert (build.outcome, build.path, build.line) == ("error", "tests/bad.c", 2)
    assert cases["tests/good.c::good"].outcome == "passed"
    broken = suites.run(environment, changed={"CMakeLists.txt": "project(\n"}).cases
    assert [(case.id, case.outcome) for case in broken] == [("CMakeLists.txt::(build)", "error")]


def test_what_would_be_downloaded_is_refused_by_name(repository, suites):
    fetch = ("include(FetchContent)\nFetchContent_Declare(wanted\n  URL https://example.invalid/wanted.tar.gz)\n"
             "FetchContent_MakeAvailable(wanted)\n")  # fmt: skip
    root = repository({**FILES, "CMakeLists.txt": LISTS.replace("if(DEMO_BUILD_T", fetch + "if(DEMO_BUILD_T")})
    with pytest.raises(EnvironmentRefused, match=r"`wanted` from https://example\.invalid/.*CMakeLists\.txt downloads"):
        suites.environment(C(), root)


def test_a_makefile_is_run_and_its_results_are_read(repository, suites):
    environment = suites.environment(C(), repository({"Makefile": MAKEFILE, "demo.c": CODE, "it.c": TAP}))
    cases = {case.id: case for case in suites.run(environment).cases}
    assert {name: case.outcome for name, case in cases.items()} == {
        "Makefile::(build)": "passed", "Makefile::starts": "passed", "Makefile::adds": "failed",
    }  # fmt: skip
    assert (cases["Makefile::adds"].path, cases["Makefile::adds"].line) == ("it.c", 5)
    fixed = suites.run(environment, changed={"demo.c": CODE.replace("3", "2")}).cases
    assert {case.outcome for case in fixed} == {"passed"}
    broken = suites.run(environment, changed={"demo.c": "int two(void) { y }\n"}).cases
    assert next(case for case in broken if case.id == "Makefile::(build)").outcome == "error"


def test_a_makefile_that_says_nothing_is_one_test(repository, suites):
    root = repository({"Makefile": "all:\ncheck:\n\ttest -f wanted\n", "demo.c": CODE})
    environment = suites.environment(C(), root)
    assert [(case.id, case.outcome) for case in suites.run(environment).cases] == [
        ("Makefile::(build)", "passed"), ("Makefile::check", "failed"),
    ]  # fmt: skip
    assert {case.outcome for case in suites.run(environment, changed={"wanted": ""}).cases} == {"passed"}


def test_configure_is_named_when_the_programs_that_make_it_are_missing(repository, monkeypatch):
    root = repository({"configure.ac": "", "Makefile.am": "TESTS = it\n", "it.c": ""})
    needs = C().find(SourceTree(root))
    assert (needs.runner, needs.files) == ("make check", ("configure.ac", "Makefile.am"))
    monkeypatch.setattr(
        shutil, "which", lambda name, path=None: None if name.startswith("auto") else f"/usr/bin/{name}"
    )
    with pytest.raises(EnvironmentRefused, match=r"autoreconf and automake, to make `configure` from configure\.ac"):
        C().toolchain(needs)


def test_results_of_automake_are_read(repository):
    root = repository({"configure": "", "Makefile.in": "TESTS = a\n", "tests/a.c": "", "tests/b.sh": ""})
    tree = SourceTree(root)
    needs = C().find(tree)
    from sandbox.environments.languages.protocol import Ran

    reports = {"tests/a.trs": b":test-result: FAIL\n", "tests/a.log": b"a.c:3: wrong\ntests/a.c:7: wrong\n",
               "tests/b.trs": b":test-result: PASS 1 - one\n:test-result: SKIP 2 two # SKIP no net\n"}  # fmt: skip
    ran = Ran(C().plans(needs, (), 9)[0], 2, b"\npenstock: built 0\nFAIL: a\npenstock: ended 2\n", b"", reports)
    cases = {case.id: case for case in C().results(needs, ran, tree)}
    assert {name: case.outcome for name, case in cases.items()} == {
        "configure::(build)": "passed", "tests/a.c::a": "failed", "tests/b.sh::one": "passed",
        "tests/b.sh::two": "skipped",
    }  # fmt: skip
    assert (cases["tests/a.c::a"].path, cases["tests/a.c::a"].line) == ("tests/a.c", 7)


def test_lines_of_several_frameworks_are_read():
    text = "\n".join([
        "ok 1 - one", "not ok 2 two words # TODO later", "ok 3 # SKIP", "# noise", "ok", "not ok 4 - four",
        "[       OK ] Suite.Name (12 ms)", "[  FAILED  ] Suite/One.Name/2, where GetParam() = 2 (0 ms)",
        "[  FAILED  ] Suite/One.Name/2, where GetParam() = 2", "PASS: a.sh", "\x1b[31mFAIL\x1b[0m: b.sh", "XFAIL: c",
    ])  # fmt: skip
    assert [(one.name, one.outcome, one.seconds) for one in text_results(text)] == [
        ("one", "passed", None), ("two words", "skipped", None), ("3", "skipped", None), ("four", "failed", None),
        ("Suite.Name", "passed", 0.012), ("Suite/One.Name/2", "failed", 0.0), ("a.sh", "passed", None),
        ("b.sh", "failed", None), ("c", "passed", None),
    ]  # fmt: skip
    assert list(trs_results(b":test-result: XPASS\n:copy-in-global-log: no\n")) == [("", "failed")]


def test_a_test_is_found_in_its_source(repository):
    root = repository({
        "a.cc": "TEST_F(Suite, Name) {}\nTYPED_TEST(Kind, Fits) {}", "b.cpp": 'TEST_CASE("adds \\"two\\"", "[x]") {}',
        "x/c.c": "", "y/c.c": "", "CMakeLists.txt": "add_test(NAME lint COMMAND sh)", "z/it.c": "",
    })  # fmt: skip
    sources = TestSources(SourceTree(root))
    names = ("Suite.Name", "Param/Suite.Name/3", 'adds "two"', "c", "it", "lint", "other")
    assert [sources.file(name, "-") for name in names] == [
        "a.cc",
        "a.cc",
        "b.cpp",
        "-",
        "z/it.c",
        "CMakeLists.txt",
        "-",
    ]


def test_the_first_error_of_a_compiler_is_what_is_said():
    text = "[1/2] cc a.c\n/w/a.c:1:2: warning: odd\n/usr/x.h:3: error: far\n/w/a.c:7:2: error: near\n"
    message, path, line = first_error(text, lambda path: path.removeprefix("/w/") if path.startswith("/w/") else "")
    assert message.startswith("/usr/x.h:3") and (path, line) == ("a.c", 7)
    assert first_error("all fine", lambda path: path) == ("all fine", "", 0)

"""Go: found, fetched from a module proxy, built, and run with one result for each test."""

import hashlib
import io
import json
import zipfile
from base64 import b64encode
from pathlib import Path

import pytest

from sandbox.environments.languages import SourceTree, go
from sandbox.environments.languages.go import Go
from sandbox.environments.store import Store
from sandbox.environments.wanted import EnvironmentRefused
from sandbox.reports.go_test import go_cases

MODULE = "module example.com/demo\n\ngo 1.18\n"
CODE = "package calc\n\nfunc Add(a, b int) int { return a - b }\n"
TESTS = """package calc

import "testing"

func TestAdd(t *testing.T) {
	t.Run("two", func(t *testing.T) {
		if got := Add(1, 2); got != 3 {
			t.Fatalf("Add(1, 2) = %d, want 3", got)
		}
	})
}

func TestZero(t *testing.T) {
	if Add(0, 0) != 0 {
		t.Fatal("zero")
	}
}
"""
FILES = {"go.mod": MODULE, "calc/calc.go": CODE, "calc/calc_test.go": TESTS}


def needs_of(root: Path):
    return Go().find(SourceTree(root))


def test_finds_modules_and_the_newest_version_that_one_asks_for(repository):
    root = repository({**FILES, "tools/go.mod": "module example.com/tools\n\ngo 1.20\n",
                       "vendor/x/go.mod": "module x\n\ngo 1.99\n"})  # fmt: skip
    needs = needs_of(root)
    assert needs.folders == ("", "tools")
    assert (needs.version, needs.version_from) == ("1.20", "tools/go.mod")


def test_without_tests_there_is_nothing_to_run(repository):
    assert needs_of(repository({"go.mod": MODULE, "calc/calc.go": CODE})) is None


def test_a_replacement_outside_of_the_repository_is_refused(repository):
    root = repository({**FILES, "go.mod": MODULE + "replace example.com/x => ../../x\n"})
    with pytest.raises(EnvironmentRefused, match=r"go\.mod names \(replace\).*released version"):
        needs_of(root)


def test_a_version_that_is_not_there_is_named(repository, suites):
    root = repository({**FILES, "go.mod": "module example.com/demo\n\ngo 1.999\n"})
    with pytest.raises(EnvironmentRefused, match=r"Go 1\.999 \(go\.mod\)"):
        Go().toolchain(needs_of(root))


def test_each_test_has_a_result_with_its_file_message_and_place(repository, suites):
    environment = suites.environment(Go(), repository(FILES))
    cases = {case.id: case for case in suites.run(environment).cases}
    assert cases["calc::(build)"].outcome == "passed"
    assert cases["calc/calc_test.go::TestZero"].outcome == "passed"
    failed = cases["calc/calc_test.go::TestAdd/two"]
    assert (failed.outcome, failed.path, failed.line) == ("failed", "calc/calc_test.go", 8)
    assert "Add(1, 2) = -1, want 3" in failed.message
    again = suites.run(environment, ("calc/calc_test.go::TestAdd/two",), {"calc/calc.go": CODE.replace("-", "+")})
    assert {case.id: case.outcome for case in again.cases} == {
        "calc::(build)": "passed", "calc/calc_test.go::TestAdd": "passed", "calc/calc_test.go::TestAdd/two": "passed",
    }  # fmt: skip


def test_code_that_does_not_compile_is_an_error_of_its_package(repository, suites):
    other = 'package other\n\nimport "testing"\n\nfunc TestIt(t *testing.T) {}\n'
    environment = suites.environment(Go(), repository({**FILES, "other/other_test.go": other}))
    cases = {
        case.id: case for case in suites.run(environment, changed={"calc/calc.go": "package calc\n\nvar x = y\n"}).cases
    }
    assert cases["calc::(build)"].outcome == "error"
    assert "undefined: y" in cases["calc::(build)"].message
    assert cases["other/other_test.go::TestIt"].outcome == "passed"


def test_modules_come_from_the_proxy_and_are_there_offline(repository, suites, registry, monkeypatch):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("example.org/lib@v1.2.0/go.mod", "module example.org/lib\n")
        opened.writestr("example.org/lib@v1.2.0/lib.go", "package lib\n\nconst Three = 3\n")
    place = "/example.org/lib/@v/v1.2.0"
    registry.files |= {
        f"{place}.info": json.dumps({"Version": "v1.2.0", "Time": "2024-01-01T00:00:00Z"}).encode(),
        f"{place}.mod": b"module example.org/lib\n",
        f"{place}.zip": archive.getvalue(),
    }
    root = repository({
        **FILES,
        "go.mod": MODULE + "\nrequire example.org/lib v1.2.0\n",
        "go.sum": _sums("example.org/lib", "v1.2.0", archive.getvalue(), b"module example.org/lib\n"),
        "calc/calc.go": CODE.replace("func", 'import "example.org/lib"\n\nfunc').replace("- b", "+ b*lib.Three/3"),
    })  # fmt: skip
    environment = suites.environment(Go(), root, registries={"go": registry.url})
    assert f"{place}.zip" in registry.asked
    assert all(case.outcome == "passed" for case in suites.run(environment).cases)
    again = suites.environment(Go(), root, registries={"go": registry.url})
    assert again.cached


def test_environments_share_the_compiled_standard_library(repository, suites):
    first = suites.environment(Go(), repository(FILES))
    second = suites.environment(Go(), repository({**FILES, "go.mod": MODULE + "// another\n"}))
    folders = [one.entry.folder / "packages" / "go-build" for one in (first, second)]
    same = {file.relative_to(folders[0]) for file in folders[0].rglob("*") if file.is_file()} & {
        file.relative_to(folders[1]) for file in folders[1].rglob("*") if file.is_file()
    }
    shared = [file for file in same if (folders[0] / file).samefile(folders[1] / file)]
    assert len(shared) > 100
    bases = [row for row in Store(suites.cache / "environments", 1 << 40).entries() if row["source"] == "the toolchain"]
    assert len(bases) == 1
    assert {case.outcome for case in suites.run(second, ("calc/calc_test.go::TestZero",)).cases} == {"passed"}


def test_an_environment_is_made_where_the_standard_library_cannot_be_built(repository, suites, monkeypatch):
    monkeypatch.setattr(go, "_STANDARD", "echo no such compiler >&2; exit 3")
    environment = suites.environment(Go(), repository({**FILES, "go.mod": MODULE + "// without a base\n"}))
    (note,) = environment.entry.facts["notes"]
    assert "Go itself provides could not be built in advance" in note
    assert "no such compiler" in note
    assert suites.run(environment, ("calc/calc_test.go::TestZero",)).cases


def test_failures_that_a_passing_test_provokes_are_not_the_repositorys() -> None:
    def event(action: str, test: str = "") -> bytes:
        return json.dumps({"Action": action, "Package": "m/p", **({"Test": test} if test else {})}).encode()

    lines = [event("run", "TestIt"), event("run", "Inner"), event("fail", "Inner"), event("pass", "TestIt")]
    passed = list(go_cases(b"\n".join([*lines, event("pass")]), b"", lambda package, test: package))
    assert {case.id: case.outcome for case in passed} == {"m/p::(build)": "passed", "m/p::TestIt": "passed"}
    failed = list(go_cases(b"\n".join([*lines, event("fail")]), b"", lambda package, test: package))
    assert {case.id: case.outcome for case in failed}["m/p::Inner"] == "failed"


def _sums(module: str, version: str, archive: bytes, mod: bytes) -> str:
    """The lines of go.sum for a module: https://pkg.go.dev/golang.org/x/mod/sumdb/dirhash#Hash1."""

    def hashed(files: dict[str, bytes]) -> str:
        listed = "".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in sorted(files.items()))
        return "h1:" + b64encode(hashlib.sha256(listed.encode()).digest()).decode()

    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        whole = hashed({name: opened.read(name) for name in opened.namelist()})
    return f"{module} {version} {whole}\n{module} {version}/go.mod {hashed({'go.mod': mod})}\n"


def test_a_registry_that_does_not_answer_is_named(repository, suites):
    from sandbox.environments.prepare import RegistryUnreachable

    root = repository({**FILES, "go.mod": MODULE + "\nrequire example.org/lib v1.2.0\n"})
    with pytest.raises(RegistryUnreachable, match="name one for go in the setting"):
        suites.environment(Go(), root, registries={"go": "http://127.0.0.1:9"})


def test_output_that_is_no_report_and_tests_that_were_stopped_are_no_results():
    lines = [b"not json", b"{\"Action\": 3", b'{"Action":"run","Package":"m/p","Test":"TestA"}',
             b'{"Action":"pass","Package":"m/p","Test":"TestB","Elapsed":0.5}']  # fmt: skip
    cases = list(go_cases(b"\n".join(lines), b"", lambda package, test: package))
    assert [(case.id, case.outcome, case.seconds) for case in cases] == [
        ("m/p::(build)", "passed", None), ("m/p::TestB", "passed", 0.5),
    ]  # fmt: skip

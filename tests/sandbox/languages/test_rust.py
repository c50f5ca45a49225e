"""Rust: found, fetched from a registry, built, and run with one result for each test."""

import hashlib
import io
import json
import tarfile
import tomllib

import pytest

from sandbox.environments.languages import SourceTree, rust_toolchains
from sandbox.environments.languages.cargo_manifests import stubs
from sandbox.environments.languages.rust import Rust
from sandbox.environments.languages.rust_toolchains import Installed
from sandbox.environments.wanted import EnvironmentRefused
from sandbox.reports.cargo_test import Places, cargo_cases

MANIFEST = '[package]\nname = "demo"\nversion = "0.1.0"\nedition = "2021"\n'
CODE = """//! ```
//! assert_eq!(demo::zero(), 0);
//! ```
pub mod calc;
pub fn zero() -> i32 { 0 }
"""
CALC = """pub fn add(a: i32, b: i32) -> i32 { a - b }

#[cfg(test)]
mod tests {
    #[test]
    fn adds() {
        assert_eq!(super::add(1, 2), 3, "wrong sum");
    }

    #[test]
    #[should_panic]
    fn panics() { panic!() }

    #[test]
    #[ignore = "later"]
    fn waits() {}
}
"""
WHOLE = "#[test]\nfn whole() { assert_eq!(demo::zero(), 0); }\n"
FILES = {"Cargo.toml": MANIFEST, "src/lib.rs": CODE, "src/calc.rs": CALC, "tests/whole.rs": WHOLE}


def needs_of(root):
    return Rust().find(SourceTree(root))


def test_finds_workspaces_their_members_and_the_newest_rust_that_one_asks_for(repository):
    root = repository({
        "rust/Cargo.toml": '[workspace]\nmembers = ["crates/*"]\nexclude = ["crates/out"]\n',
        "rust/crates/a/Cargo.toml": MANIFEST + '[dependencies]\nb = { path = "../../b" }\n',
        "rust/crates/a/src/lib.rs": "",
        "rust/crates/out/Cargo.toml": MANIFEST,
        "rust/b/Cargo.toml": '[package]\nname = "b"\nrust-version = "1.60"\n',
        "rust/b/tests/it.rs": WHOLE,
        "rust/vendor/c/Cargo.toml": '[package]\nname = "c"\nrust-version = "1.99"\n',
        "tool/Cargo.toml": MANIFEST,
        "tool/tests/case/Cargo.toml": "not toml",
    })  # fmt: skip
    needs = needs_of(root)
    assert needs.folders == ("rust", "tool")
    assert needs.facts["packages"]["rust"] == [["rust/crates/a", "demo", "demo"], ["rust/b", "b", ""]]
    assert (needs.version, needs.version_from) == ("1.60", "rust/b/Cargo.toml, rust-version")
    assert needs.notes == ("rust/crates/out/Cargo.toml belongs to no workspace, so its tests are not run.",)
    assert not any("vendor" in path for path in needs.files)


@pytest.mark.parametrize(("path", "is_test", "steers"), [
    ("src/lib.rs", False, False), ("src/latest.rs", False, False), ("src/a/tests.rs", True, False),
    ("crates/a/tests/it/main.rs", True, False), ("src/a_test.rs", True, False), ("src/snapshots/a.snap", True, False),
    ("a/Cargo.toml", False, True), (".cargo/config.toml", False, True), ("build.rs", False, True),
])  # fmt: skip
def test_files_of_tests_and_files_that_steer_them_are_known(path, is_test, steers):
    assert (Rust().is_test(path), Rust().steers(path)) == (is_test, steers)


def test_without_tests_there_is_nothing_to_run(repository):
    assert needs_of(repository({"Cargo.toml": MANIFEST, "src/lib.rs": "pub fn f() {}\n"})) is None


@pytest.mark.parametrize(("path", "text", "said"), [
    ("Cargo.toml", MANIFEST + '[dependencies]\nx = { path = "../x" }\n',
     r"\.\./x, outside .* Cargo\.toml names \(dependencies\.x\)"),
    ("Cargo.toml", MANIFEST + '[dev-dependencies]\nx = { git = "https://h/x" }\n',
     r"`x` from git.*\(dev-dependencies\.x\)"),
    ("Cargo.toml", MANIFEST + "[target.'cfg(unix)'.dependencies]\nx = { version = \"1\", registry = \"own\" }\n",
     r"`x` of the registry own, which Cargo\.toml \(target\.cfg\(unix\)\.dependencies\.x\)"),
    ("Cargo.toml", "[package\n", r"Cargo\.toml declares, which is not valid TOML"),
    ("Cargo.lock", 'version = 3\n[[package]]\nname = "x"\nversion = "1.0.0"\nsource = "git+https://h/x#1"\n',
     r"`x` from git, which Cargo\.lock"),
])  # fmt: skip
def test_what_cannot_be_fetched_is_refused(repository, path, text, said):
    with pytest.raises(EnvironmentRefused, match=said):
        needs_of(repository({**FILES, path: text}))


def test_a_vendored_repository_may_name_git(repository):
    config = '[source.crates-io]\nreplace-with = "v"\n[source.v]\ndirectory = "vendor"\n'
    root = repository({**FILES, ".cargo/config.toml": config,
                       "Cargo.toml": MANIFEST + '[dependencies]\nx = { git = "https://h/x" }\n'})  # fmt: skip
    assert needs_of(root).facts["vendored"] == [""]


def test_the_toolchain_that_is_asked_for_is_taken(repository, monkeypatch, tmp_path):
    there = tuple(Installed(tmp_path / version, version, "2026-01-01", "x86_64-unknown-linux-gnu")
                  for version in ("1.70.0", "1.80.1", "1.99.0-nightly"))  # fmt: skip
    monkeypatch.setattr(rust_toolchains, "installed", lambda: there)
    monkeypatch.setattr(rust_toolchains.shutil, "which", lambda *_, **__: "/usr/bin/cc")

    def chosen(pin, manifest=MANIFEST):
        files = {**FILES, "Cargo.toml": manifest, **({"rust-toolchain.toml": pin} if pin else {})}
        toolchain = Rust().toolchain(needs_of(repository(files)))
        return toolchain.version, *toolchain.notes

    assert chosen("") == ("Rust 1.80.1",)
    assert chosen('[toolchain]\nchannel = "1.70"\n') == ("Rust 1.70.0",)
    assert chosen('[toolchain]\nchannel = "stable"\n') == ("Rust 1.80.1",)
    assert chosen("1.75.0\n") == (
        "Rust 1.80.1", "rust-toolchain.toml asks for Rust 1.75.0, which is not installed; Rust 1.80.1 is used.",
    )  # fmt: skip
    assert chosen('[toolchain]\nchannel = "nightly-2026-01-01"\n')[0] == "Rust 1.99.0-nightly of 2026-01-01"
    with pytest.raises(EnvironmentRefused, match=r"Rust 1\.90\.0 or newer \(rust-toolchain\.toml\).*toolchain install"):
        chosen("1.90.0\n")
    (tmp_path / "repository" / "rust-toolchain.toml").unlink()
    with pytest.raises(EnvironmentRefused, match=r"Rust 1\.85 or newer \(Cargo\.toml, edition 2024\)"):
        chosen("", MANIFEST.replace("2021", "2024"))


def test_cargo_gets_empty_sources_where_it_insists_on_them():
    manifest = (
        '[[bin]]\nname = "x"\n[[bin]]\nname = "demo"\n[[test]]\nname = "t"\n[[bench]]\nname = "b"\npath = "b.rs"\n'
    )
    assert stubs(tomllib.loads(MANIFEST + manifest)) == {"src/lib.rs", "src/main.rs", "src/bin/x.rs", "tests/t.rs"}
    assert stubs(tomllib.loads(MANIFEST + '[[bin]]\nname = "../../x"\n')) == {"src/lib.rs", "src/main.rs"}


def test_each_test_has_a_result_with_its_file_message_and_place(repository, suites):
    environment = suites.environment(Rust(), repository(FILES))
    cases = {case.id: case for case in suites.run(environment).cases}
    assert {name: case.outcome for name, case in cases.items()} == {
        "Cargo.toml::(build)": "passed", "src/lib.rs::(build)": "passed", "tests/whole.rs::(build)": "passed",
        "src/calc.rs::calc::tests::adds": "failed", "src/calc.rs::calc::tests::panics": "passed",
        "src/calc.rs::calc::tests::waits": "skipped", "tests/whole.rs::whole": "passed",
        "src/lib.rs::crate (doc)": "passed",
    }  # fmt: skip
    failed = cases["src/calc.rs::calc::tests::adds"]
    assert (failed.path, failed.line) == ("src/calc.rs", 7)
    assert "wrong sum" in failed.message and "RUST_BACKTRACE" not in failed.message
    again = suites.run(
        environment, (failed.id, "src/lib.rs::crate (doc)"), {"src/calc.rs": CALC.replace("a - b", "a + b")}
    )
    outcomes = {case.id: case.outcome for case in again.cases if not case.id.endswith("(build)")}
    assert outcomes == {failed.id: "passed", "src/lib.rs::crate (doc)": "passed"}


def test_a_target_that_does_not_compile_is_an_error_and_the_others_run(repository, suites):
    aborts = "#[test]\nfn stops() { std::process::abort() }\n"
    environment = suites.environment(Rust(), repository({**FILES, "tests/aborts.rs": aborts, "tests/bad.rs": WHOLE}))
    cases = {case.id: case for case in suites.run(environment, changed={"tests/bad.rs": "\nfn f() { y }\n"}).cases}
    bad = cases["tests/bad.rs::(build)"]
    assert (bad.outcome, bad.path, bad.line) == ("error", "tests/bad.rs", 2)
    assert bad.message.count("cannot find value `y`") == 1
    assert cases["tests/whole.rs::whole"].outcome == "passed"
    assert cases["src/calc.rs::calc::tests::adds"].outcome == "failed"
    assert cases["tests/aborts.rs::(build)"].outcome == "error"
    assert "tests/aborts.rs::stops" not in cases
    broken = {case.id: case for case in suites.run(environment, changed={"Cargo.toml": MANIFEST + "[lib"}).cases}
    assert broken["Cargo.toml::(build)"].outcome == "error"


def test_a_target_with_a_harness_of_its_own_is_one_case(repository, suites):
    manifest = MANIFEST + '[[test]]\nname = "own"\nharness = false\n[[test]]\nname = "fine"\nharness = false\n'
    root = repository({"Cargo.toml": manifest, "src/lib.rs": "", "tests/fine.rs": "fn main() {}\n",
                       "tests/own.rs": 'fn main() {\n    panic!("no luck");\n}\n#[test] fn f() {}\n'})  # fmt: skip
    cases = {case.id: case for case in suites.run(suites.environment(Rust(), root)).cases}
    failed = cases["tests/own.rs::(run)"]
    assert (failed.outcome, failed.path, failed.line) == ("failed", "tests/own.rs", 2)
    assert "no luck" in failed.message
    assert cases["tests/fine.rs::(run)"].outcome == "passed"


def _crate(name: str, files: dict[str, str]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for path, text in files.items():
            entry = tarfile.TarInfo(f"{name}-1.0.0/{path}")
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    return packed.getvalue()


def test_packages_come_from_the_registry_and_are_compiled_once(repository, suites, registry):
    build = 'fn main() { println!("cargo:rustc-env=THREE=3"); }\n'
    code = 'pub fn three() -> i32 { env!("THREE").parse().unwrap() }\n'
    content = _crate("three", {"Cargo.toml": MANIFEST.replace("demo", "three").replace("0.1.0", "1.0.0"),
                               "src/lib.rs": code, "build.rs": build})  # fmt: skip
    entry = {"name": "three", "vers": "1.0.0", "deps": [], "features": {}, "yanked": False,
             "cksum": hashlib.sha256(content).hexdigest()}  # fmt: skip
    registry.files |= {
        "/config.json": json.dumps({"dl": f"{registry.url}/dl/{{crate}}"}).encode(),
        "/th/re/three": json.dumps(entry).encode(),
        "/dl/three": content,
    }
    root = repository({**FILES, "Cargo.toml": MANIFEST + '[dependencies]\nthree = "1"\n',
                       "src/calc.rs": CALC.replace("a - b", "a + b * three::three() / 3")})  # fmt: skip
    environment = suites.environment(Rust(), root, registries={"rust": registry.url})
    assert "/dl/three" in registry.asked
    assert not environment.entry.facts["notes"]
    asked = len(registry.asked)
    with open_on(suites, environment) as session:
        done = session.run(["cargo", "test", "--offline", "--no-run"])
        assert done.ok and b"Compiling demo" in done.stderr, done.stderr
        assert b"Compiling three" not in done.stderr
        session.write("src/calc.rs", CALC.encode())  # its outputs are replaced
        done = session.run(["cargo", "test", "--offline", "--no-run"])
        assert done.ok and b"Compiling demo" in done.stderr, done.stderr
    assert {case.outcome for case in suites.run(environment).cases} == {"passed", "skipped"}
    assert suites.environment(Rust(), root, registries={"rust": registry.url}).cached
    assert len(registry.asked) == asked


def open_on(suites, environment):
    from sandbox.environments.languages.suite import open_session

    from .conftest import LIMITS

    return open_session(environment, environment.tree.root, suites.sandbox, LIMITS, {})


def test_an_older_form_of_the_output_and_one_that_ends_early_are_read():
    said = b"""
     Running unittests (target/debug/deps/demo-0123)

running 4 tests
test a::one ... ok
test a::two ... noise
FAILED
test a::three - should panic ... ok
test a::four ...
failures:

---- a::two stdout ----
thread 'a::two' panicked at 'left: 1, right: 2', src/a.rs:12:5
note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace

failures:
    a::two

test result: FAILED. 3 passed; 1 failed; 0 ignored

     Running tests/cut.rs (target/debug/deps/cut-0123)

running 2 tests
test first ... ok
test second ..."""
    places = Places(lambda path: path, lambda source, name: source, lambda crate, path: path)
    cases = {case.id: case for case in cargo_cases(said, "Cargo.toml", places)}
    assert {name: case.outcome for name, case in cases.items()} == {
        "Cargo.toml::(build)": "passed", "Cargo.toml::a::one": "passed", "Cargo.toml::a::two": "failed",
        "Cargo.toml::a::three": "passed", "Cargo.toml::a::four": "passed", "tests/cut.rs::first": "passed",
    }  # fmt: skip
    two = cases["Cargo.toml::a::two"]
    assert (two.path, two.line, "note:" in two.message) == ("src/a.rs", 12, False)

"""JavaScript: found, fetched from an npm registry, built, and run with one result for each test."""

import base64
import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from sandbox.environments.languages import SourceTree
from sandbox.environments.languages.javascript import JavaScript
from sandbox.environments.languages.javascript.install import Installing
from sandbox.environments.languages.javascript.layout import make_environment
from sandbox.environments.languages.javascript.locks import from_registry
from sandbox.environments.languages.javascript.node import choose_node, installed_nodes
from sandbox.environments.languages.javascript.runners import Run, command_of, files_of, patterns_of
from sandbox.environments.languages.javascript.semver import satisfies
from sandbox.environments.languages.protocol import Ran
from sandbox.environments.languages.suite import open_session, run_tests
from sandbox.environments.wanted import EnvironmentRefused, FetchFailed
from sandbox.protocol import Limits
from sandbox.reports.results import is_test

LIMITS = Limits(wall_seconds=600, cpu_seconds=1200, memory_bytes=4 << 30, processes=256)
CODE = "exports.add = (a, b) => a - b;\n"
TESTS = """const test = require('node:test');
const assert = require('node:assert');
const { add } = require('../calc.js');

test.describe('add', () => {
  test('two', () => {
    assert.strictEqual(add(1, 2), 3);
  });
});
test('zero', () => assert.strictEqual(add(0, 0), 0));
"""
PACKAGE = {"name": "demo", "version": "1.0.0", "scripts": {"test": "node --test"}}
FILES = {"package.json": json.dumps(PACKAGE), "calc.js": CODE, "test/calc.test.js": TESTS}


def needs_of(root: Path):
    return JavaScript().find(SourceTree(root))


def package(**fields: object) -> str:
    return json.dumps({**PACKAGE, **fields})


def runs(root: Path) -> list[tuple[str, str, tuple[str, ...], list[str]]]:
    found = needs_of(root)
    return [(one["folder"], one["runner"], tuple(one["words"]), [command for _, command in one["builds"]])
            for one, _ in found.facts["runs"]]  # fmt: skip


@pytest.mark.parametrize(
    ("scripts", "expected"),
    [
        ({"test": "xo && c8 ava && tsd"}, [("ava", ("ava",), [])]),
        ({"test": "nyc --reporter=lcov --reporter text mocha --throw-deprecation test/*.test.js"},
         [("mocha", ("mocha", "--throw-deprecation", "test/*.test.js"), [])]),
        ({"pretest": "npm run build", "build": "./scripts/build.sh", "test": "node --test 'dist/*.js'"},
         [("node", ("node", "--test", "dist/*.js"), ["./scripts/build.sh"])]),
        ({"test": "npm run lint && run-s build:* unit", "lint": "eslint .", "build:a": "tsc -p .",
          "build:b": "rollup -c", "unit": "cross-env NODE_ENV=test jest --ci"},
         [("jest", ("jest", "--ci"), ["tsc -p .", "rollup -c"])]),
        ({"test": 'pnpm run "/^test:.*/"', "test:types": "tsc --noEmit", "test:spec": "vitest run"},
         [("vitest", ("vitest", "run"), [])]),
        ({"test": "vitest run && yarn test:build", "build": "tsup",
          "test:build": "yarn build && vitest run --config b.ts"},
         [("vitest", ("vitest", "run"), ["tsup"]), ("vitest", ("vitest", "run", "--config", "b.ts"), ["tsup"])]),
        ({"test": "node --experimental-vm-modules node_modules/jest/bin/jest.js --silent"},
         [("jest", ("node", "--experimental-vm-modules", "node_modules/jest/bin/jest.js", "--silent"), [])]),
        ({"test": "tsx --test test/*.ts"}, [("node", ("tsx", "--test", "test/*.ts"), [])]),
        ({"test": "node bin/fix.js mocha test/**/*.js --exit"}, [("mocha", ("mocha", "test/**/*.js", "--exit"), [])]),
        ({"test": "uvu -r esm -i fixtures test calc"}, [("uvu", ("uvu", "-r", "esm", "test/calc.test.js"), [])]),
        ({"test": "uvu test other"}, [("uvu", ("uvu",), [])]),
        ({"test": "node build.js"}, [("node", ("node", "--test"), [])]),
    ],
)  # fmt: skip
def test_the_runner_and_what_builds_before_come_from_the_test_script(repository, scripts, expected):
    root = repository({**FILES, "package.json": package(scripts=scripts)})
    assert [one[1:] for one in runs(root)] == expected


def test_a_script_that_runs_a_file_of_the_tests_is_a_run_of_it(repository):
    files = {"calc.js": CODE, "test/index.js": "require('assert')(require('../calc.js').add(1, 1) === 2)"}
    root = repository({**files, "package.json": package(scripts={"test": "node -r ./x test && node size.js"})})
    assert runs(root) == [("", "program", ("node", "-r", "./x", "test/index.js"), [])]
    (plan,) = JavaScript().plans(needs_of(root), [], 60)
    given = json.loads(plan.command[-1])
    assert (given["command"], given["each"]) == (["node", "-r", "./x"], ["test/index.js"])
    said = b"\n# penstock-file: test/index.js\nit is -0\n# penstock-ended: 1\n"
    cases = JavaScript().results(needs_of(root), Ran(plan, 1, said, b"", {}), SourceTree(root))
    assert [(case.id, case.outcome, is_test(case.id)) for case in cases] == [
        ("package.json::(run)", "passed", False), ("test/index.js::(run)", "failed", True),
    ]  # fmt: skip
    assert "it is -0" in cases[1].message


def test_variables_that_a_script_sets_reach_the_runner_that_another_one_starts(repository):
    scripts = {"test": "cross-env TZ=UTC npm run zone && npm run zone", "zone": "LANG=C jest zone"}
    found = needs_of(repository({**FILES, "package.json": package(scripts=scripts)})).facts["runs"]
    assert [one["variables"] for one, _ in found] == [{"TZ": "UTC", "LANG": "C"}]


def test_without_a_script_the_dependencies_say_which_runner(repository):
    root = repository({**FILES, "package.json": package(scripts={}, devDependencies={"vitest": "^1"})})
    assert runs(root) == [("", "vitest", ("vitest", "run"), [])]


def test_without_tests_or_packages_there_is_nothing_to_run(repository):
    assert needs_of(repository({"package.json": json.dumps(PACKAGE), "calc.js": CODE})) is None
    assert needs_of(repository({"test/calc.test.js": TESTS}).parent / "nothing") is None


def test_workspaces_whose_tests_the_root_leaves_to_them_are_run_each_with_what_they_need_built(repository):
    root = repository({
        "package.json": json.dumps({"workspaces": ["packages/*"], "scripts": {"test": "npm test --workspaces"}}),
        "packages/a/package.json": json.dumps({"name": "a", "scripts": {"test": "mocha"}, "dependencies": {"b": "*"}}),
        "packages/a/test/a.js": "", "packages/b/index.ts": "",
        "packages/b/package.json": json.dumps({"name": "b", "main": "dist/index.js", "scripts": {"build": "tsc"}}),
        "packages/docs/package.json": json.dumps({"name": "docs", "dependencies": {"a": "*"}}),
        "examples/x/package.json": json.dumps({"name": "x", "scripts": {"test": "jest"}}),
    })  # fmt: skip
    assert runs(root) == [("packages/a", "mocha", ("mocha",), ["tsc"])]
    facts = needs_of(root).facts["roots"][0]
    assert (facts["packages"], facts["unneeded"]) == (
        ["", "packages/a", "packages/b", "packages/docs"],
        ["packages/docs"],
    )


def test_a_package_in_a_folder_is_found(repository):
    root = repository({f"web/{path}": text for path, text in FILES.items()} | {"setup.py": ""})
    assert needs_of(root).folders == ("web",)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"package.json": package(dependencies={"lib": "github:x/lib"})}, r"`lib` from version control.*package\.json"),
        ({"package.json": package(dependencies={"lib": "git+ssh://git@a.b/x.git"})}, "`lib` from version control"),
        ({"package.json": package(devDependencies={"lib": "file:../lib"})}, r"`lib` from a folder outside.*\.\./lib"),
        ({"package-lock.json": json.dumps({"packages": {"": {}, "node_modules/lib": {
            "resolved": "git+ssh://git@github.com/x/lib.git#abc"}}})}, r"`lib` from version control.*package-lock"),
        ({"package-lock.json": json.dumps({"dependencies": {"a": {"version": "1.0.0", "dependencies": {
            "lib": {"version": "git+ssh://git@github.com/x/lib.git#abc"}}}}})}, r"`lib` from version control"),
        ({"yarn.lock": '"lib@x/lib":\n  version "1.0.0"\n  resolved "https://codeload.github.com/x/lib/tar.gz/abc"\n'},
         r"`lib` from version control.*yarn\.lock"),
        ({"yarn.lock": '__metadata:\n  version: 8\n\n"lib@x/lib":\n  version: 1.0.0\n  resolution: '
                       '"lib@https://github.com/x/lib.git#commit=abc"\n'}, r"`lib` from version control"),
        ({"yarn.lock": '__metadata:\n  version: 8\n\n"lib@exec:./x.js":\n  version: 1.0.0\n  resolution: '
                       '"lib@exec:./x.js"\n'}, r"`lib`, which yarn\.lock has a program make"),
        ({"pnpm-lock.yaml": "lockfileVersion: '9.0'\npackages:\n\n  lib@https://codeload.github.com/x/lib/tar.gz/a:\n"
                            "    resolution: {tarball: https://codeload.github.com/x/lib/tar.gz/a}\n"},
         r"version control, which pnpm-lock\.yaml"),
        ({"package.json": "{"}, r"package\.json declares, which is no JSON"),
    ],
)  # fmt: skip
def test_what_is_in_no_registry_is_refused_with_its_name_and_file(repository, files, message):
    with pytest.raises(EnvironmentRefused, match=message):
        needs_of(repository({**FILES, **files}))


def test_released_packages_and_folders_of_the_repository_are_not_refused(repository):
    root = repository({
        **FILES, "lib/package.json": '{"name": "lib"}',
        "package.json": package(dependencies={"lib": "file:lib", "a": "npm:b@^1", "c": ">=1 <3 || 4.x", "d": "latest"}),
        "package-lock.json": json.dumps({"packages": {"": {}, "node_modules/lib": {"resolved": "lib", "link": True},
            "node_modules/a": {"resolved": "https://registry.example.com/b/-/b-1.0.0.tgz"}}}),
    })  # fmt: skip
    assert needs_of(root) is not None


@pytest.mark.parametrize(
    ("path", "kind"),
    [("src/a.test.ts", "test"), ("test/data/x.json", "test"),
     ("src/__snapshots__/a.snap", "test"), ("t/a_spec.js", "test"),
     ("src/a.ts", ""), ("src/latest.js", ""), ("a/package.json", "steers"), ("vitest.config.mts", "steers"),
     ("jest.config.ci.mjs", "steers"), (".mocharc.yml", "steers"), ("tsconfig.build.json", "steers"),
     ("src/setupTests.ts", "steers"), ("yarn.lock", "steers"), ("src/config.js", ""), ("src/package.ts", "")],
)  # fmt: skip
def test_files_that_a_patch_may_not_change(path, kind):
    language = JavaScript()
    assert (language.is_test(path), language.steers(path)) == (kind == "test", kind == "steers")


@pytest.mark.parametrize(
    ("wanted", "fits"),
    [(">=18", True), ("^18 || >=20.11", True), ("20.x", True), ("18 - 20", True), ("~20.11", True), ("*", True),
     (">= 18.0.0 <21", True), ("^20.12.0", False), (">20.11", False), ("18", False), ("<20", False), ("20.11.2", False),
     ("lts or so", None)],
)  # fmt: skip
def test_ranges_of_versions(wanted, fits):
    assert satisfies((20, 11, 1), wanted) is fits


def test_a_version_of_node_that_is_not_there_is_named(repository):
    if not installed_nodes():
        pytest.skip("there is no node on this machine")
    needs = needs_of(repository({**FILES, "package.json": package(engines={"node": ">=999.1"})}))
    with pytest.raises(EnvironmentRefused, match=r"Node\.js >=999\.1 \(package\.json \(engines\.node\)\), and this"):
        JavaScript().toolchain(needs)


def test_the_version_in_nvmrc_is_preferred_and_a_note_says_when_it_is_not_there(repository, suites):
    environment = suites.environment(JavaScript(), repository({**FILES, ".nvmrc": "v999.0.0\n"}))
    assert ".nvmrc names Node.js v999.0.0, which is not on this machine" in environment.entry.facts["notes"][-1]


def test_each_test_has_a_result_with_its_file_message_and_place(repository, suites):
    broken = {"test/broken.test.js": "require('./nothing.js');\n"}
    environment = suites.environment(JavaScript(), repository({**FILES, **broken}))
    cases = {case.id: case for case in suites.run(environment).cases}
    assert cases["test/calc.test.js::zero"].outcome == "passed"
    failed = cases["test/calc.test.js::add > two"]
    assert (failed.outcome, failed.path, failed.line) == ("failed", "test/calc.test.js", 7)
    assert "-1 !== 3" in failed.message
    assert cases["test/broken.test.js::(load)"].outcome == "error"
    assert "Cannot find module" in cases["test/broken.test.js::(load)"].message
    again = suites.run(environment, ("test/calc.test.js::add > two",), {"calc.js": CODE.replace("-", "+")})
    assert {case.id: case.outcome for case in again.cases} == dict.fromkeys(
        ("package.json::(run)", "test/calc.test.js::(load)", "test/calc.test.js::add > two", "test/calc.test.js::zero"),
        "passed",
    )


def test_what_tests_need_built_is_built_again_when_sources_change_and_its_failure_is_a_result(repository, suites):
    build = ("const fs = require('fs'); fs.mkdirSync('dist', {recursive: true});"
             "fs.copyFileSync('src.js', 'dist/src.js'); fs.appendFileSync('.penstock/builds', 'x');")  # fmt: skip
    test = "require('node:test')('it', () => require('node:assert').ok(require('../dist/src.js').good));\n"
    root = repository({
        "package.json": package(scripts={"build": "node build.js && node -c dist/src.js", "pretest": "npm run build",
                                         "test": "node --test test/"}),
        "build.js": build, "src.js": "exports.good = false;\n", "test/it.test.js": test,
    })  # fmt: skip
    environment = suites.environment(JavaScript(), root)
    outcomes, builds = [], []
    with open_session(environment, root, suites.sandbox, LIMITS, {}) as session:
        for text in ("exports.good = false;\n", "", "exports.good = true;\n", "exports.good = ;\n"):
            if text:
                session.write("src.js", text.encode())
            outcomes.append({case.id: case.outcome for case in run_tests(environment, session, LIMITS).cases})
            builds.append(len(session.read(".penstock/builds", 100)))
    assert [one["test/it.test.js::it"] for one in outcomes[:3]] == ["failed", "failed", "passed"]
    assert [one["package.json::(build)"] for one in outcomes] == ["passed", "passed", "passed", "error"]
    assert builds == [1, 1, 2, 3]


def archive_of(files: dict[str, str]) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as opened:
        for name, text in files.items():
            entry = tarfile.TarInfo(f"package/{name}")
            entry.size = len(text.encode())
            opened.addfile(entry, io.BytesIO(text.encode()))
    return gzip.compress(content.getvalue(), mtime=0)


def test_packages_come_from_the_registry_whatever_the_lock_names_and_install_scripts_run_offline(
    repository, suites, registry
):
    script = ("const fs = require('fs'), made = __dirname + '/made.js';"
              "fs.writeFileSync(made, 'module.exports = ' + (fs.existsSync(made) ? 'twice' : 3));")  # fmt: skip
    lib = {"name": "lib", "version": "1.2.0", "main": "made.js", "scripts": {"install": "node install.js"}}
    archive = archive_of({"package.json": json.dumps(lib), "install.js": script})
    integrity = "sha512-" + base64.b64encode(hashlib.sha512(archive).digest()).decode()
    registry.files["/lib/-/lib-1.2.0.tgz"] = archive
    declared = {"name": "demo", "version": "1.0.0", "dependencies": {"lib": "^1.0.0", "own": "file:own"}}
    lock = {"name": "demo", "version": "1.0.0", "lockfileVersion": 3, "requires": True, "packages": {
        "": declared, "node_modules/own": {"resolved": "own", "link": True}, "own": {"version": "1.0.0"},
        "node_modules/lib": {"version": "1.2.0", "integrity": integrity, "hasInstallScript": True,
                             "resolved": "https://npm.example.com/proxy/lib/-/lib-1.2.0.tgz"}}}  # fmt: skip
    test = ("const test = require('node:test'); const assert = require('node:assert'); const fs = require('fs');\n"
            "test('it', () => { assert.strictEqual(require('lib'), 3); assert.strictEqual(require('own'), 4);\n"
            "  fs.mkdirSync('node_modules/.cache'); });\n")  # fmt: skip
    root = repository({
        "package.json": json.dumps({**declared, "scripts": {"test": "node --test", "preinstall": "exit 1"}}),
        "package-lock.json": json.dumps(lock), "test/it.test.js": test,
        "own/package.json": json.dumps({"name": "own", "version": "1.0.0"}), "own/index.js": "module.exports = 4;\n",
    })  # fmt: skip
    environment = suites.environment(JavaScript(), root, registries={"javascript": registry.url})
    cases = suites.run(environment).cases
    assert [case for case in cases if case.outcome != "passed"] == []
    assert "test/it.test.js::it" in {case.id for case in cases}
    assert suites.environment(JavaScript(), root, registries={"javascript": registry.url}).cached


def test_a_registry_that_does_not_answer_is_named(repository, suites):
    from sandbox.environments.prepare import RegistryUnreachable

    root = repository({**FILES, "package.json": package(dependencies={"lib": "1.0.0"})})
    with pytest.raises(RegistryUnreachable, match="name one for javascript in the setting"):
        suites.environment(JavaScript(), root, registries={"javascript": "http://127.0.0.1:9"})


@pytest.mark.parametrize("said", ["npm error ERESOLVE could not resolve", "npm error see /x/2026-eresolve-report.txt"])
def test_peers_that_exclude_each_other_are_left_to_the_packages(tmp_path, said):
    commands: list[list[str]] = []

    def run(words, variables, cwd=""):
        commands.append(list(words))
        if "--legacy-peer-deps" not in words:
            raise FetchFailed(said)

    (tmp_path / "package.json").write_text(package())
    step = SimpleNamespace(folder=tmp_path, made=tmp_path / "made", run=run,
                           registry=SimpleNamespace(address="https://npm.example.com/"))  # fmt: skip
    root = {"folder": "", "manager": "npm", "lock": "", "packages": [""], "named": "", "installs": True}
    Installing(step, SimpleNamespace(program=Path("/node"), npm=Path("/npm"))).install(root)
    assert ["--legacy-peer-deps" in words for words in commands] == [False, True]


def test_the_fetch_step_gets_nothing_of_a_repository_that_a_package_manager_would_run(tmp_path):
    commands: list[list[str]] = []
    folder, made = tmp_path / "folder", tmp_path / "made"
    folder.mkdir()
    program = made / "managers/@yarnpkg+cli-dist@4/node_modules/@yarnpkg/cli-dist"
    program.mkdir(parents=True)
    (program / "package.json").write_text('{"bin": {"yarn": "bin/yarn.js"}}')
    (folder / "package.json").write_text(package(scripts={"preinstall": "evil"}, packageManager="yarn@9.9.9"))
    (folder / ".npmrc").write_text("script-shell=./evil\nlegacy-peer-deps=true\nregistry=https://evil.example.com\n")
    (folder / ".yarnrc.yml").write_text("yarnPath: ./evil.cjs\nplugins: [./evil.cjs]\ncompressionLevel: mixed\n")
    (folder / "yarn.lock").write_text("__metadata:\n  version: 8\n")
    step = SimpleNamespace(folder=folder, made=made, run=lambda words, variables, cwd="": commands.append(list(words)),
                           registry=SimpleNamespace(address="https://user:secret@npm.example.com/"))  # fmt: skip
    node = SimpleNamespace(program=Path("/node"), npm=Path("/npm"))
    Installing(step, node).install({"folder": "", "manager": "yarn", "lock": "yarn.lock", "packages": [""],
                                    "named": "", "installs": True})  # fmt: skip
    left = "".join((folder / name).read_text() for name in ("package.json", ".npmrc", ".yarnrc.yml"))
    assert "evil" not in left and "9.9.9" not in left
    assert "legacy-peer-deps=true" in left and "compressionLevel: mixed" in left and "nodeLinker: node-modules" in left
    assert commands[-1][1].endswith("cli-dist/bin/yarn.js") and "--mode=skip-build" in commands[-1]
    assert "secret" not in str(commands)


def test_links_to_packages_of_the_repository_lead_to_the_workspace(tmp_path):
    installed, made = tmp_path / "installed", tmp_path / "made"
    modules = installed / "packages/a/node_modules"
    (installed / "node_modules/lib").mkdir(parents=True)
    modules.mkdir(parents=True)
    lib = {"name": "lib", "version": "2.0.0", "engines": {"node": ">=22"}, "scripts": {"install": "x"}}
    (installed / "node_modules/lib/package.json").write_text(json.dumps(lib))
    (modules / "b").symlink_to("../../b")
    (modules / "lib").symlink_to("../../../node_modules/lib")
    (modules / "absolute").symlink_to(installed / "packages/c")
    made.mkdir()
    make_environment(installed, made, ["", "packages/a"], (20, 0, 0))
    found = made / "tree/packages/a/node_modules"
    assert str((found / "b").readlink()) == "/workspace/packages/b"
    assert str((found / "absolute").readlink()) == "/workspace/packages/c"
    assert (found / "lib").resolve() == (made / "tree/node_modules/lib").resolve()
    assert json.loads((made / "penstock/folders.json").read_text()) == ["node_modules", "packages/a/node_modules"]
    assert json.loads((made / "penstock/scripted.json").read_text()) == ["node_modules/lib"]
    assert json.loads((made / "penstock/newer.json").read_text()) == ["lib 2.0.0 (>=22)"]


def test_addresses_of_archives_become_the_registrys():
    text = ('"resolved": "https://old.example.com/api/npm/@s%2fx/-/x-1.0.0.tgz"\n'
            'resolved "https://registry.yarnpkg.com/y/-/y-2.0.0.tgz#abc"\n')  # fmt: skip
    assert from_registry(text, "http://r/base/") == (
        '"resolved": "http://r/base/@s/x/-/x-1.0.0.tgz"\nresolved "http://r/base/y/-/y-2.0.0.tgz#abc"\n'
    )


@pytest.mark.parametrize(
    ("runner", "words", "expected"),
    [
        ("jest", ("jest", "--watch", "--config", "x.js", "src"),
         "jest --config x.js --ci --json --outputFile=R --testLocationInResults --coverage=false --watchman=false "
         "--runTestsByPath t/a.js"),
        ("vitest", ("vitest", "--reporter", "dot", "--coverage", "-c", "v.ts", "src"),
         "vitest run -c v.ts t/a.js --reporter=default --reporter=json --outputFile=R --coverage.enabled=false"),
        ("vitest", ("node", "--expose-gc", "./node_modules/vitest/cli.js", "--run"),
         "node --expose-gc ./node_modules/vitest/cli.js run t/a.js --reporter=default --reporter=json --outputFile=R "
         "--coverage.enabled=false"),
        ("mocha", ("mocha", "-r", "x", "-R", "spec", "--exit", "test/"),
         "mocha -r x --exit --reporter /opt/penstock/packages/penstock/mocha_reporter.cjs t/a.js"),
        ("node", ("node", "--import", "tsx", "--test", "--test-reporter=spec", "t/*.js"),
         "node --import tsx --test --test-reporter=/opt/penstock/packages/penstock/node_reporter.mjs "
         "--test-reporter-destination=R t/a.js"),
        ("ava", ("ava", "test/*.js"), "ava --tap t/a.js"),
    ],
)  # fmt: skip
def test_chosen_files_replace_those_of_the_script_and_its_options_stay(runner, words, expected):
    assert " ".join(command_of(Run("", runner, words), ["t/a.js"], "R")) == expected


def test_a_preferred_version_is_chosen_among_those_that_fit():
    nodes = installed_nodes()
    if not nodes or nodes[0].npm is None:
        pytest.skip("there is no node with npm on this machine")
    assert choose_node("", "", "", "").version == max(node.version for node in nodes if node.npm)


def test_tests_are_run_by_the_innermost_package_that_holds_them():
    ids = [
        "packages/a/test/x.test.js::adds",
        "packages/a/test/x.test.js::empty",
        "test/y.test.js::is",
        "package.json::(build)",
    ]
    assert files_of(ids, ["", "packages/a"]) == {
        "packages/a": {"test/x.test.js"}, "": {"test/y.test.js", "package.json"},
    }  # fmt: skip
    assert files_of(["elsewhere/x.js::adds"], ["packages/a"]) == {}


def test_the_files_that_a_command_names_are_told_from_its_options():
    words = ["mocha", "--require", "ts-node/register", "--exit", "test/**/*.spec.ts", "test/unit"]
    assert patterns_of(words) == ["test/**/*.spec.ts", "test/unit"]
    assert patterns_of(["vitest", "run", "--dir", "src"]) == []


def test_borp_runs_what_it_is_given_or_what_it_would_find():
    given = command_of(Run("", "borp", ("borp", "--concurrency", "2", "lib/*.check.js")), (), "report")
    assert given[-1] == "lib/*.check.js"
    found = command_of(Run("", "borp", ("borp", "--import=tsx")), (), "report")
    assert found[:2] == ["node", "--test"]
    assert "--import=tsx" in found
    assert found[-1].startswith("**/test/**")


@pytest.mark.parametrize(
    ("scripts", "expected"),
    [
        ({"test": 'concurrently "npm:lint" "mocha --exit"', "lint": "eslint ."}, ["mocha"]),
        ({"test": "concurrently npm:unit", "unit": "jest"}, ["jest"]),
    ],
)
def test_commands_that_run_beside_each_other_are_looked_into(repository, scripts, expected):
    root = repository({**FILES, "package.json": package(scripts=scripts)})
    assert [runner for _, runner, _, _ in runs(root)] == expected


@pytest.mark.parametrize(("more", "lock"), [
    ({"packageManager": "pnpm@9.1.0"}, "pnpm-lock.yaml"),
    ({"packageManager": "yarn@1.22.0"}, "yarn.lock"),
    ({}, "package-lock.json"),
])  # fmt: skip
def test_of_several_locks_the_one_of_the_named_manager_counts(repository, more, lock):
    locks = {"package-lock.json": '{"lockfileVersion": 3, "packages": {}}',
             "pnpm-lock.yaml": "lockfileVersion: '9.0'\n", "yarn.lock": "# yarn lockfile v1\n"}  # fmt: skip
    needs = needs_of(repository({**FILES, **locks, "package.json": package(**more)}))
    assert [path for path in needs.files if path in locks][:1] == [lock]


@pytest.mark.parametrize(("more", "files", "manager"), [
    ({"packageManager": "yarn@4.1.0"}, {}, "yarn"), ({}, {"pnpm-workspace.yaml": "packages: [a]\n"}, "pnpm"),
    ({}, {}, "npm"),
])  # fmt: skip
def test_without_a_lock_the_manager_is_the_named_one(repository, more, files, manager):
    needs = needs_of(repository({**FILES, **files, "package.json": package(**more)}))
    assert needs.facts["roots"][0]["manager"] == manager


def test_a_pipe_does_not_end_a_command(repository):
    root = repository({**FILES, "package.json": package(scripts={"test": "tape test/*.js | tap-spec"})})
    assert [runner for _, runner, _, _ in runs(root)] == ["tape"]

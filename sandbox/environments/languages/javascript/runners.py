"""Which test runner a package uses, how it is started with a report, and how for some files alone."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from sandbox.environments.languages.protocol import INSIDE
from sandbox.environments.languages.tree import SourceTree

from .manifests import Package, joined
from .programs import program_of, uvu_words
from .scripts import Step, steps_of

_OWN = f"{INSIDE}/penstock"
_TEST_SCRIPTS = ("test", "test:unit", "test:run", "test:ci", "unit", "tests", "test-unit", "unit-test", "test:node",
                 "test:spec", "test:only", "test-only", "mocha", "jest", "vitest", "test:jest", "test:all")  # fmt: skip
_MOST_RUNS = 6
_BOOLEAN = re.compile(
    r"--?(no-.*|check-leaks|exit|recursive|bail|b|color|colors|parallel|p|forbid-only|throw-deprecation|inline-diffs|"
    r"full-trace|enable-source-maps|ci|silent|verbose|v|runInBand|i|passWithNoTests|forceExit|detectOpenHandles|"
    r"logHeapUsage|errorOnDeprecated|clearCache|cache|run|typecheck|globals|experimental.*|test|test-only|serial|s|"
    r"fail-fast|watch|w|u|update|trace-.*|allow-natives-syntax|expose-gc|expose_gc|test-force-exit|delay|"
    r"preserve-symlinks|allow-uncaught|async-only|A|c8|colors|strip-types|findRelatedTests|onlyChanged|isolate)"
)
"""Options without a value, after which a word is a file or pattern."""
_DROPPED = re.compile(
    r"--?(watch|watchAll|w|ui|coverage|cov|open|interactive|onlyChanged|o|changed|u|update|updateSnapshot|notify|json|"
    r"tap|coverage\..*|watch=.*|coverage=.*|lastCommit)"
)
_WITH_VALUE = re.compile(r"--?(reporter|reporters|R|reporter-options?|O|outputFile|output-file|test-reporter|"
                         r"test-reporter-destination|coverageReporters|outputFile\..*)")  # fmt: skip
_TEST_FILE = re.compile(
    r"(^|/)(tests?|spec|specs|__tests__)/.*\.[cm]?[jt]sx?$|[._-](test|spec|tests)\.[cm]?[jt]sx?$|"
    r"(^|/)(test|tests|spec)(-[^/]*)?\.[cm]?[jt]sx?$"
)
_SETTINGS = re.compile(r"(^|/)(vite(st)?\.config|jest\.config|tsconfig|babel\.config)[\w.-]*$")
_MAPPED = re.compile(r"\balias\b|moduleNameMapper|\"paths\"|tsconfigPaths")


@dataclass(frozen=True)
class Run:
    """One start of a runner in a package's folder. `words` are its command without reporters; `builds` are commands, by
    folder, that run before when sources have changed."""

    folder: str
    runner: str
    words: tuple[str, ...]
    variables: Mapping[str, str] = field(default_factory=dict)
    builds: tuple[tuple[str, str], ...] = ()
    whole: bool = False
    """Whether a configuration names the tests, so that single files cannot be chosen."""

    def as_facts(self) -> dict[str, Any]:
        return asdict(self)


def is_test_file(path: str) -> bool:
    return bool(_TEST_FILE.search(path)) and not path.endswith(".d.ts")


def runs_of(package: Package, tree: SourceTree) -> tuple[list[Run], bool]:
    """How a package's tests are run, and whether its script has them run by its workspaces."""
    scripts = package.scripts
    delegates = False
    programs: list[Step] = []
    for name in _TEST_SCRIPTS:
        if name not in scripts or "no test specified" in scripts[name]:
            continue
        steps = steps_of(scripts, name)
        runners = [step for step in steps if step.kind == "runner"]
        if runners:
            return _from_steps(package, tree, steps, runners), False
        programs = programs or [step for step in steps if program_of(step, package, tree) is not None]
        delegates = delegates or any(step.kind == "delegate" for step in steps)
    if delegates:
        return [], True
    found = _from_configuration(package, tree)
    return ([found] if found else _from_programs(package, tree, programs)), False


def _from_programs(package: Package, tree: SourceTree, programs: list[Step]) -> list[Run]:
    builds = tuple(dict.fromkeys((package.folder, step.text) for step in _prepared(package, tree)))
    found = [(step, words) for step in programs if (words := program_of(step, package, tree)) is not None]
    return [Run(package.folder, "program", words, dict(step.variables), builds) for step, words in found][:_MOST_RUNS]


def _from_steps(package: Package, tree: SourceTree, steps: list[Step], runners: list[Step]) -> list[Run]:
    last = max(i for i, step in enumerate(steps) if step.kind == "runner")
    builds = [step for step in steps[:last] if step.kind == "build"]
    if not builds:
        builds = _prepared(package, tree)
    commands = tuple(dict.fromkeys((package.folder, step.text) for step in builds))
    found: dict[tuple[str, ...], Run] = {}
    for step in runners:
        runner, words = _runner_of(step)
        if runner == "uvu":
            words = uvu_words(words, package, tree)
        found.setdefault(words, Run(package.folder, runner, words, dict(step.variables), commands,
                                    _names_tests(runner, package, tree)))  # fmt: skip
    return list(found.values())[:_MOST_RUNS]


def _prepared(package: Package, tree: SourceTree) -> list[Step]:
    """What builds the package, where it says that its code lies in a folder that is not there, and tests use it."""
    missing = missing_outputs(package, tree)
    if not missing or not _uses(package, tree, missing):
        return []
    for name in ("prepare", "prepack", "prepublish", "prepublishOnly", "build", "compile"):
        steps = [step for step in steps_of(package.scripts, name) if step.kind == "build"]
        if steps:
            return steps
    return []


def missing_outputs(package: Package, tree: SourceTree) -> set[str]:
    """Top folders that `main`, `module`, `types`, `bin` and `exports` name and that are not in the repository."""
    named: set[str] = set()

    def collect(value: object, depth: int = 0) -> None:
        if isinstance(value, str):
            named.add(value.removeprefix("./").strip("/"))
        elif isinstance(value, dict) and depth < 6:
            for inner in value.values():
                collect(inner, depth + 1)

    for key in ("main", "module", "exports", "bin"):
        collect(package.content.get(key))
    absent = set()
    for path in named:
        top = path.partition("/")[0]
        if "/" in path and "*" not in path and not _there(tree, joined(package.folder, path)):
            absent.add(top)
    return absent


def _there(tree: SourceTree, path: str) -> bool:
    return any(tree.exists(path + more) for more in ("", ".js", ".cjs", ".mjs", ".ts", ".json", "/index.js"))


def _uses(package: Package, tree: SourceTree, folders: set[str]) -> bool:
    """Whether a test of the package names one of these folders, or the package by a name that no setting maps to its
    sources."""
    words = [f"/{folder}" for folder in folders]
    settings = [path for path in tree.paths if path.rpartition("/")[0] == package.folder and _SETTINGS.search(path)]
    mapped = any(_MAPPED.search(tree.text(path) or "") for path in settings) or "jest" in package.content
    words += [f"'{package.name}'", f'"{package.name}"'] if package.name and not mapped else []
    start = f"{package.folder}/" if package.folder else ""
    tests = [path for path in tree.paths if path.startswith(start) and is_test_file(path)][:400]
    return any(word in (tree.text(path) or "") for path in tests for word in words)


def _runner_of(step: Step) -> tuple[str, tuple[str, ...]]:
    """The runner of a step, and its command: a runner's own name, or `node` with its options."""
    words = list(step.words)
    program = words[0].rpartition("/")[2]
    if program in ("node", "tsx", "ts-node", "esr", "esmo", "babel-node"):
        at = next((i for i, word in enumerate(words) if i and "node_modules/" in word), 0)
        if at:
            name = next((name for name in ("react-scripts", "vitest", "jest", "mocha", "ava", "tape", "tap", "borp")
                         if f"/{name}" in words[at]), "")  # fmt: skip
            return name, ("node", *words[1:])
        return "node", (program, *words[1:])
    name = {"_mocha": "mocha", "ts-mocha": "mocha", "mocha-parallel-tests": "mocha"}.get(program, program)
    return name, (program, *words[1:])


def _from_configuration(package: Package, tree: SourceTree) -> Run | None:
    """For packages without a script that starts a runner: by their configuration or dependencies, else node:test."""
    declared = package.declared
    there = {path.rpartition("/")[2] for path in tree.paths if path.rpartition("/")[0] == package.folder}
    builds = tuple(dict.fromkeys((package.folder, step.text) for step in _prepared(package, tree)))

    def run(runner: str, *words: str) -> Run:
        return Run(package.folder, runner, words, {}, builds, _names_tests(runner, package, tree))

    if "vitest" in declared or any(name.startswith("vitest.config.") for name in there):
        return run("vitest", "vitest", "run")
    if "jest" in declared or "jest" in package.content or any(name.startswith("jest.config.") for name in there):
        return run("jest", "jest")
    if "mocha" in declared or any(name.startswith(".mocharc") for name in there):
        return run("mocha", "mocha")
    if "ava" in declared:
        return run("ava", "ava")
    start = f"{package.folder}/" if package.folder else ""
    own = [path for path in tree.paths if path.startswith(start) and is_test_file(path)][:200]
    if any("node:test" in (tree.text(path) or "") for path in own if re.search(r"\.[cm]?js$", path)):
        return run("node", "node", "--test")
    return None


def _names_tests(runner: str, package: Package, tree: SourceTree) -> bool:
    if runner != "mocha":
        return False
    for name in (
        ".mocharc.js",
        ".mocharc.cjs",
        ".mocharc.mjs",
        ".mocharc.json",
        ".mocharc.jsonc",
        ".mocharc.yml",
        ".mocharc.yaml",
    ):
        if re.search(r"""["']?\bspec["']?\s*:""", tree.text(joined(package.folder, name)) or ""):
            return True
    mocha = package.content.get("mocha")
    return (isinstance(mocha, dict) and "spec" in mocha) or tree.exists(joined(package.folder, "test/mocha.opts"))


def command_of(run: Run, files: Sequence[str], report: str) -> list[str]:
    """The command that runs a package's tests (those in `files`, relative to its folder, or all) and writes `report`.
    For ava, tape and tap the report is their standard output."""
    words = _without_reporters(list(run.words))
    if files and not run.whole:
        words = without_files(words)
    chosen = list(files) if not run.whole else []
    if run.runner == "vitest":
        words = [word for word in words if word not in ("watch", "dev", "--run")]
        program = next((i for i, word in enumerate(words) if "node_modules/" in word), 0) if words[0] == "node" else 0
        first = words.index("run") + 1 if "run" in words else program + 1
        command = [*words[:first], *([] if "run" in words else ["run"]), *words[first:]]
        return [*command, *chosen, "--reporter=default", "--reporter=json", f"--outputFile={report}",
                "--coverage.enabled=false"]  # fmt: skip
    if run.runner in ("jest", "react-scripts"):
        by_path = ["--runTestsByPath", *chosen] if chosen else []
        return [*words, "--ci", "--json", f"--outputFile={report}", "--testLocationInResults", "--coverage=false",
                "--watchman=false", *by_path]  # fmt: skip
    if run.runner == "mocha":
        return [*words, "--reporter", f"{_OWN}/mocha_reporter.cjs", *chosen]
    if run.runner == "borp":
        words = ["node", "--test", *_typescript(words), *(chosen or borp_patterns(words))]
    if run.runner in ("node", "borp"):
        at = words.index("--test") + 1
        reporter = [f"--test-reporter={_OWN}/node_reporter.mjs", f"--test-reporter-destination={report}"]
        return [*words[:at], *reporter, *words[at:], *(chosen if run.runner == "node" else [])]
    if run.runner == "ava":
        return [*words, "--tap", *chosen]
    return [*words, *chosen]


def borp_patterns(words: Sequence[str]) -> list[str]:
    """What borp takes: the patterns that it was given, else its own."""
    given = [word for word in words[1:] if not word.startswith("-") and re.search(r"[*./]", word)]
    return given or ["**/*.test.{js,mjs,cjs}", "**/test/**/*.test.{js,mjs,cjs}"]


def _typescript(words: Sequence[str]) -> list[str]:
    return [word for word in words if word.startswith(("--import", "--require", "--expose", "--conditions"))]


def _without_reporters(words: list[str]) -> list[str]:
    found: list[str] = []
    skip = False
    for word in words:
        if skip:
            skip = False
            continue
        if _WITH_VALUE.fullmatch(word):
            skip = True
        elif _WITH_VALUE.fullmatch(word.partition("=")[0]) or (_DROPPED.fullmatch(word) and word != "-w"):
            continue
        elif not re.search(r"[>|]", word):
            found.append(word)
    return found


def without_files(words: list[str]) -> list[str]:
    """Leaves out the files and patterns that a command names."""
    found = words[:1]
    if words[0] == "node" and len(words) > 1:  # its options, and the program that it runs
        program = next((i for i, word in enumerate(words) if "node_modules/" in word), 0)
        found = words[: program + 1] if program else found
    for before, word in zip(words[len(found) - 1 :], words[len(found) :], strict=False):
        value = before.startswith("-") and "=" not in before and not _BOOLEAN.fullmatch(before)
        if word.startswith("-") or value or word in ("run", "test"):
            found.append(word)
    return found


def patterns_of(words: Sequence[str]) -> list[str]:
    """The files and patterns that a command names."""
    rest = list(words)
    for word in without_files(list(words)):
        rest.remove(word)
    return rest


def files_of(tests: Iterable[str], folders: Iterable[str]) -> dict[str, set[str]]:
    """The files of test ids by the innermost of the folders that hold them; `(build)` and the like stand for none."""
    found: dict[str, set[str]] = {}
    for test in tests:
        place = test.partition("::")[0]
        inside = [folder for folder in folders if not folder or place.startswith(f"{folder}/")]
        if inside:
            folder = max(inside, key=len)
            found.setdefault(folder, set()).add(place.removeprefix(f"{folder}/") if folder else place)
    return found

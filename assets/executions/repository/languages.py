"""Which language's tests a task on a repository works with, and the environment of one other than Python."""

import re
import shlex
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

from assets.executions.repository.checkout import Checkout
from assets.executions.repository.protected_paths import is_test_path
from assets.executions.repository.test_command import TestCommand
from core.work import Packages
from sandbox.environments.languages import LANGUAGES, Language, Needs, SourceTree, find_languages
from sandbox.environments.languages.prepare import LanguageEnvironment, prepare_language
from sandbox.environments.languages.protocol import Toolchain
from sandbox.environments.prepare import Options
from sandbox.environments.store import StoreBusy
from sandbox.environments.wanted import EnvironmentRefused
from sandbox.protocol import Sandbox, SandboxUnavailable

PYTHON = "python"
_OF_PYTHON = ("python", "requirements", "files", "extras", "groups", "projects")
NAMES = (PYTHON, *(language.name for language in LANGUAGES))


def chosen_language(
    checkout: Checkout, given: str | None = None
) -> tuple[tuple[Language, Needs, SourceTree] | None, tuple[str, ...]]:
    """The language whose tests are run, None for Python, and notes. It is the one that `penstock.toml` names, else the
    one whose program the test command starts, else the one with the most test code.

    Raises `EnvironmentRefused`."""
    chosen, notes = _chosen(checkout, given)
    declared = checkout.settings.environment.model_dump(exclude_none=True, include=set(_OF_PYTHON))
    if chosen is not None and declared:
        notes = (*notes, f"penstock.toml: {', '.join(declared)} under [environment] is about Python, and not used for "
                 f"tests in {chosen[0].title}.")  # fmt: skip
    return chosen, notes


def _chosen(checkout: Checkout, given: str | None) -> tuple[tuple[Language, Needs, SourceTree] | None, tuple[str, ...]]:
    tree = SourceTree(checkout.root)
    declared = checkout.settings.environment.language
    if declared == PYTHON:
        return None, ()
    wanted = declared or _of_command(given)
    if given and not wanted:
        return None, ()
    found = find_languages(tree)
    if wanted is not None:
        for language, needs in found:
            if language.name == wanted:
                return (language, needs, tree), ()
        if declared is None:
            return None, ()
        if wanted not in NAMES:
            raise EnvironmentRefused(
                f"the language {wanted!r} (penstock.toml, environment.language), which is not known",
                f"Name one of {', '.join(NAMES)} there, or remove the line.",
            )
        raise EnvironmentRefused(
            f"tests in {wanted} (penstock.toml, environment.language), and none that can be run are found",
            f"Name another language there ({', '.join(NAMES)}), or remove the line.",
        )
    if not found:
        return None, ()
    sizes = _sizes(tree)
    others = {PYTHON: sizes[PYTHON]} if sizes[PYTHON] else {}
    ranked = sorted([*((sizes[language.name], language.name) for language, _ in found),
                     *((size, name) for name, size in others.items())], reverse=True)  # fmt: skip
    first = ranked[0][1]
    notes = () if len(ranked) == 1 else (
        f"The repository has tests in {' and '.join(name for _, name in ranked)}; those in {first}, of which there are "
        f"most, are run. `language` under `[environment]` in penstock.toml names another.",)  # fmt: skip
    return next(((language, needs, tree) for language, needs in found if language.name == first), None), notes


_DECLARATIONS = {
    "go.mod": "*_test.go files", "package.json": "tests for node:test, jest, vitest, mocha, ava or tape",
    "Cargo.toml": "tests for cargo", "pom.xml": "tests in Java", "build.gradle": "tests for Maven (Gradle is not "
    "supported)", "build.gradle.kts": "tests for Maven (Gradle is not supported)",
    "CMakeLists.txt": "tests for ctest", "Makefile": "a target `check` or `test`",
}  # fmt: skip


def without_tests(checkout: Checkout) -> str:
    """A sentence about a repository that declares a package in another language whose tests are not found; empty if it
    declares none. Only the root is looked at."""
    tree = SourceTree(checkout.root)
    named = [f"{name} is there, but no {wanted}" for name, wanted in _DECLARATIONS.items() if tree.exists(name)]
    return f"{'; '.join(named)} are found." if named else ""


def _of_command(given: str | None) -> str | None:
    """The language whose program a test command starts."""
    try:
        words = [word for word in shlex.split(given or "") if not re.fullmatch(r"\w+=.*", word)]
    except ValueError:
        return None
    program = words[0].rpartition("/")[2] if words else ""
    return next((language.name for language in LANGUAGES if program in language.programs), None)


def _sizes(tree: SourceTree) -> Counter[str]:
    """Bytes of tests by language."""
    suffixes = {suffix: language.name for language in LANGUAGES for suffix in language.suffixes} | {".py": PYTHON}
    sizes: Counter[str] = Counter()
    for path in tree.paths:
        suffix = "." + path.rpartition(".")[2]
        name = suffixes.get(suffix)
        if name is not None and is_test_path(path):
            sizes[name] += (tree.root / path).lstat().st_size
        elif suffix == ".rs":
            sizes[name or "rust"] += _inline_tests(tree, path)
    return sizes


def _inline_tests(tree: SourceTree, path: str) -> int:
    """About how many bytes of a source of Rust are tests: those after the first item that is for tests alone."""
    with suppress(EnvironmentRefused):
        text = tree.text(path) or ""
        at = text.find("#[cfg(test)]")
        return len(text) - at if at >= 0 else 0
    return 0


def open_language(
    chosen: tuple[Language, Needs, SourceTree],
    sandbox: Sandbox,
    options: Options,
    progress: Callable[[str], object] = str,
) -> LanguageEnvironment:
    """Its environment. Raises `EnvironmentRefused` and `SandboxUnavailable`."""
    language, needs, tree = chosen
    try:
        return prepare_language(language, needs, tree, sandbox, options, progress)
    except StoreBusy as busy:
        raise SandboxUnavailable(str(busy)) from busy


def native_command(environment: LanguageEnvironment) -> TestCommand:
    """How its tests are run."""
    needs = environment.needs
    return TestCommand("native", (), tuple(shlex.split(needs.runner)), why=f"found by {needs.source}")


def label(language: Language, toolchain: Toolchain) -> str:
    """A language with the version of its tools, for people; most tools' versions begin with their names."""
    version = toolchain.version
    return f"{language.title} {version}" if version[:1].isdigit() else version


def language_packages(environment: LanguageEnvironment) -> Packages:
    """An environment as evidence."""
    return Packages(
        language=label(environment.language, environment.toolchain),
        source=environment.needs.source,
        projects=environment.needs.folders,
        key=environment.entry.folder.name,
        cached=environment.cached,
        seconds=round(environment.seconds, 3),
    )

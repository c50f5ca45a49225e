"""Tests that are programs: each file is run by Node.js and tells by its exit code, and by TAP if it prints some."""

import re
from collections.abc import Sequence

from sandbox.environments.languages.tree import SourceTree

from .manifests import Package, joined
from .scripts import NODES, Step

_MOST_FILES = 300
_SUFFIXES = ("", ".js", ".mjs", ".cjs", ".ts", "/index.js", "/index.mjs", "/index.cjs", "/index.ts")
_UVU_FLAGS = re.compile(r"-[bcqt]+|--(?:bail|color|quiet|tsm)")
_UVU_TEST = re.compile(r"(^|/)(tests?|__tests?__)/|\.(tests?|spec)\.|^tests?\.[cm]?[jt]sx?$", re.IGNORECASE)
_SOURCE = re.compile(r"\.([mc]?js|[jt]sx?)$")
_PLAIN = re.compile(r"[\w./-]+")


def program_of(step: Step, package: Package, tree: SourceTree) -> tuple[str, ...] | None:
    """The words of a step that runs one file of the tests, such as `node test`, with that file; else None."""
    words = step.words
    if not words or words[0].rpartition("/")[2] not in NODES or "--test" in words:
        return None
    at = next((i for i, word in enumerate(words[1:], 1) if _names_test(word)), 0)
    if not at:
        return None
    paths = (joined(package.folder, f"{words[at].removeprefix('./').rstrip('/')}{more}") for more in _SUFFIXES)
    start = f"{package.folder}/" if package.folder else ""
    found = next((path for path in paths if tree.exists(path)), "")
    return (*words[:at], found.removeprefix(start)) if found else None


def _names_test(word: str) -> bool:
    return not word.startswith("-") and re.search(r"(^|[/._-])(tests?|spec)\b", word) is not None


def uvu_words(words: Sequence[str], package: Package, tree: SourceTree) -> tuple[str, ...]:
    """`uvu [dir] [pattern]` as the files that it would find, after the modules that it loads first."""
    options: list[str] = []
    given: list[str] = []
    rest = list(words[1:])
    while rest:
        word = rest.pop(0)
        if word in ("-r", "--require") and rest:
            options += ["-r", rest.pop(0)]
        elif word in ("-i", "--ignore", "-C", "--cwd") and rest:
            rest.pop(0)
        elif not _UVU_FLAGS.fullmatch(word) and not word.startswith("-"):
            given.append(word)
    folder = joined(package.folder, (given[0] if given else "").removeprefix("./").strip("/").removeprefix("."))
    part = given[1] if len(given) > 1 and _PLAIN.fullmatch(given[1]) else ""
    start, top = f"{folder}/" if folder else "", f"{package.folder}/" if package.folder else ""

    def wanted(inside: str) -> bool:
        named = part in inside if part else bool(given) or _UVU_TEST.search(inside) is not None
        return named and _SOURCE.search(inside) is not None and not inside.endswith(".d.ts")

    found = [path for path in tree.paths if path.startswith(start) and wanted(path.removeprefix(start))]
    return ("uvu", *options, *(path.removeprefix(top) for path in found[:_MOST_FILES]))

"""Requirements of test runners' environments: `tox.ini` and `noxfile.py`, the latter parsed and never run."""

import ast
import re
from collections.abc import Iterator

from .files import Files, table, texts

_TEST_WORDS = frozenset({"test", "tests", "testing", "pytest", "unittest", "unittests", "unit"})
DEV_WORDS = frozenset({"dev", "develop", "development"})


def is_for_tests(name: str) -> bool:
    """Whether the name of a group, extra, session or file says that it is for tests."""
    return not _TEST_WORDS.isdisjoint(re.split(r"[-_.\s:]+", name.lower()))


def tox_lines(files: Files) -> list[tuple[str, str, str]]:
    """(line, file, field) of the dependencies of tox's default environment and those whose name is about tests, in the
    format of requirements files; extras as `.[name]`."""
    found: list[tuple[str, str, str]] = []
    places = [("tox.ini", files.ini("tox.ini")), ("setup.cfg", files.ini("setup.cfg"))]
    pyproject = table(files.toml("pyproject.toml"), "tool", "tox")
    if isinstance(legacy := pyproject.get("legacy_tox_ini"), str):
        import configparser

        parser = configparser.ConfigParser(interpolation=None, strict=False)
        try:
            parser.read_string(legacy)
            places.append(("pyproject.toml", {name: dict(parser[name]) for name in parser.sections()}))
        except configparser.Error:
            legacy = ""
    for file, sections in places:
        for section, options in sections.items():
            kind, _, name = section.partition(":")
            if kind != "testenv" or not (name == "" or is_for_tests(name) or re.fullmatch(r"py[\d{},\s]*", name)):
                continue
            lines = [*options.get("deps", "").splitlines(), *_extras(options.get("extras", "").splitlines())]
            found += [(line, file, f"[{section}] deps") for line in _applicable(lines)]
    base = table(pyproject, "env_run_base")
    lines = [*texts(base.get("deps")), *_extras(texts(base.get("extras")))]
    return found + [(line, "pyproject.toml", "tool.tox.env_run_base.deps") for line in lines]


def _extras(names: list[str]) -> list[str]:
    return [f".[{name.strip()}]" for name in names if is_for_tests(name)]


def _applicable(lines: list[str]) -> Iterator[str]:
    """Lines without tox's conditions on factors; those that are for certain versions of other packages are left out."""
    for line in lines[:500]:
        text = line.split(" #")[0].strip()
        factor = re.fullmatch(r"([\w{},.!-]+)\s*:\s+(.*)", text)
        if factor and not re.fullmatch(r"!?(py\d*|\{?py[\d,{}]*\}?|!?[\w-]*)", factor[1]):
            continue
        if factor:
            if re.search(r"\d", re.sub(r"py\d*", "", factor[1])) or not is_for_tests(factor[1]):
                continue
            text = factor[2].strip()
        text = text.replace("{toxinidir}/", "").replace("{tox_root}/", "").replace("{toxinidir}", ".")
        if text and "{" not in text and not text.startswith("#"):
            yield text


def nox_lines(files: Files) -> list[tuple[str, str, str]]:
    """(line, file, field) of what the sessions about tests install."""
    tree = files.tree("noxfile.py")
    found: list[tuple[str, str, str]] = []
    for function in ast.walk(tree) if tree else ():
        if not isinstance(function, ast.FunctionDef) or not is_for_tests(function.name):
            continue
        for node in ast.walk(function):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "install":
                words = [a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
                field = f"{function.name}, line {node.lineno}"
                found += [(line, "noxfile.py", field) for line in _joined(words[:200])]
    return found


def _joined(words: list[str]) -> Iterator[str]:
    """The words of an installation as lines of a requirements file."""
    option = ""
    for word in words:
        if option:
            yield f"{option} {word}"
            option = ""
        elif word in ("-r", "--requirement", "-c", "--constraint", "-e", "--editable"):
            option = word
        elif not word.startswith("-") or word.startswith(("-r", "-c", "-e")):
            yield word

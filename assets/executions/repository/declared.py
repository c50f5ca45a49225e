"""What a repository declares that it needs: packages, pytest plugins, variables, generated files, submodules.

Read as text from pyproject.toml, setup.cfg, setup.py, requirements files and tox.ini. Nothing of the repository is
executed, and every file is read up to a bounded size.
"""

import ast
import configparser
import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from assets.executions.repository import walk
from assets.executions.repository.installed import Installed, beside_penstock, normal
from assets.executions.repository.protected_paths import is_test_path

_MOST_BYTES = 1 << 20
_MOST_TEXT = 48 << 20
_MOST_FILES = 20_000
_NAME = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[^\]]*\])?\s*([^;#@]*)")
_REQUIREMENTS = re.compile(r"(^|/)[^/]*require[^/]*\.(txt|in)$|(^|/)requirements/[^/]+\.(txt|in)$")
_TEXTS = re.compile(
    r"(\.(py|toml|cfg|ini|ya?ml|md|rst|txt|sh|env|in|example)|/(Makefile|Dockerfile|justfile|\.env.*))$"
)


@dataclass(frozen=True)
class Declared:
    """The declarations of the repository at `root`."""

    root: Path
    requirements: dict[str, str] = field(default_factory=dict)
    """Version specifiers by normalised name of the distribution; empty for any version."""
    name: str = ""
    """The project's own distribution."""
    python: str = ""
    """The versions of Python that it supports, as a specifier."""
    scripts: frozenset[str] = frozenset()
    variables: frozenset[str] = frozenset()
    """Environment variables that the settings of its tests set or pass on."""
    generated: frozenset[str] = frozenset()
    """Paths that building the project writes."""
    submodules: tuple[str, ...] = ()
    plugins: tuple[str, ...] = ()
    """Modules of the project's own pytest plugins."""
    installed: Installed = field(default_factory=Installed)
    """What its tests are run with."""

    @cached_property
    def files(self) -> tuple[str, ...]:
        """Relative paths of its files, hidden folders other than `.github` and build folders left out."""
        return tuple(walk.files(self.root, _MOST_FILES, hidden=True))

    @cached_property
    def ignored(self) -> tuple[re.Pattern[str], ...]:
        """Patterns of `.gitignore` at the root, as regular expressions over relative paths."""
        return tuple(_pattern(line) for line in _read(self.root / ".gitignore").splitlines()[:500]
                     if line.strip() and line[:1] not in "#!")  # fmt: skip

    def is_ignored(self, path: str) -> bool:
        return any(pattern.search(path) for pattern in self.ignored)

    def mentions(self, word: str, *, in_tests: bool | None = None) -> list[str]:
        """Files that contain a word, at most 20."""
        wanted = re.compile(rf"(?<![\w]){re.escape(word)}(?![\w])")
        found = []
        for path, text in self._texts.items():
            if (in_tests is None or is_test_path(path) is in_tests) and word in text and wanted.search(text):
                found.append(path)
            if len(found) == 20:
                break
        return found

    @cached_property
    def _texts(self) -> dict[str, str]:
        """Its text files by path, the first 48 MiB of them."""
        texts: dict[str, str] = {}
        size = 0
        for path in self.files:
            if _TEXTS.search("/" + path) and size < _MOST_TEXT:
                texts[path] = _read(self.root / path)
                size += len(texts[path])
        return texts


def declared(root: Path, installed: Installed | None = None) -> Declared:
    """Reads what the repository at `root` declares; broken files count as empty. `installed` is what its tests are run
    with; None for what is installed beside Penstock."""
    project = _toml(root / "pyproject.toml")
    setup = _ini(root / "setup.cfg")
    call = _setup_arguments(_read(root / "setup.py"))
    table = _table(project, "project")
    poetry = _table(project, "tool", "poetry")
    texts = [*_project_requirements(project), *_cfg_requirements(setup), *_strings(call)]
    files = list(walk.files(root, _MOST_FILES, hidden=True))
    for path in files:
        if _REQUIREMENTS.search(path):
            texts += [line for line in _read(root / path).splitlines() if line.strip()[:1] not in ("-", "#", "")]
    tox = _ini(root / "tox.ini")
    texts += [line.split(":", 1)[-1] if re.match(r"\s*[\w,{}.-]+:\s", line) else line
              for section in tox.values() for line in section.get("deps", "").splitlines()]  # fmt: skip
    requirements: dict[str, str] = {}
    for text in texts:
        if found := _NAME.match(text):
            requirements.setdefault(normal(found[1]), found[2].strip().strip("()"))
    scripts = {*_table(project, "project", "scripts"), *_table(poetry, "scripts")}
    return Declared(
        root,
        requirements,
        str(table.get("name") or poetry.get("name") or setup.get("metadata", {}).get("name") or _first(call, "name")),
        str(table.get("requires-python") or setup.get("options", {}).get("python_requires")
            or _first(call, "python_requires")),
        frozenset(map(str, scripts)) | frozenset(_entry_scripts(setup, call)),
        frozenset(_variables(project, tox)),
        frozenset(_generated(project)),
        tuple(re.findall(r"^\s*path\s*=\s*(\S+)\s*$", _read(root / ".gitmodules"), re.MULTILINE)),
        tuple(_own_plugins(project, setup)),
        installed or beside_penstock(),
    )  # fmt: skip


def _project_requirements(project: dict[str, Any]) -> Iterator[str]:
    table = _table(project, "project")
    yield from _texts(table.get("dependencies"))
    for group in (*_table(table, "optional-dependencies").values(), *_table(project, "dependency-groups").values()):
        yield from _texts(group)
    poetry = _table(project, "tool", "poetry")
    groups = [poetry, *(_table(g) for g in _table(poetry, "group").values())]
    for group in groups:
        for key in ("dependencies", "dev-dependencies"):
            for name, version in _table(group, key).items():
                yield f"{name}{_caret(version)}" if name != "python" else ""
    for tool in ("pdm", "uv"):
        section = _table(project, "tool", tool)
        for group in _table(section, "dev-dependencies").values():
            yield from _texts(group)
        yield from _texts(section.get("dev-dependencies"))
    for environment in _table(project, "tool", "hatch", "envs").values():
        yield from _texts(_table(environment).get("dependencies"))
        yield from _texts(_table(environment).get("extra-dependencies"))
    for requirement in _texts(_table(_table(project, "tool", "pytest"), "ini_options").get("required_plugins")):
        yield from requirement.split()


def _caret(version: object) -> str:
    text = version if isinstance(version, str) else str(_table(version).get("version", ""))
    return text if re.match(r"[<>=!~]", text) else ""


def _cfg_requirements(setup: dict[str, dict[str, str]]) -> Iterator[str]:
    options = setup.get("options", {})
    for key in ("install_requires", "tests_require", "setup_requires"):
        yield from options.get(key, "").splitlines()
    for value in setup.get("options.extras_require", {}).values():
        yield from value.splitlines()


def _setup_arguments(text: str) -> dict[str, ast.expr]:
    """Keyword arguments of the call of `setup` in setup.py, names replaced by the lists that are assigned to them."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return {}
    values = {t.id: n.value for n in ast.walk(tree) if isinstance(n, ast.Assign)
              for t in n.targets if isinstance(t, ast.Name)}  # fmt: skip
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == "setup":
            found = {k.arg: k.value for k in node.keywords if k.arg}
            return {k: values.get(v.id, v) if isinstance(v, ast.Name) else v for k, v in found.items()}
    return {}


def _strings(call: dict[str, ast.expr]) -> Iterator[str]:
    for key in ("install_requires", "tests_require", "extras_require", "setup_requires"):
        if key in call:
            for node in ast.walk(call[key]):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield node.value


def _first(call: dict[str, ast.expr], key: str) -> str:
    node = call.get(key)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _entry_scripts(setup: dict[str, dict[str, str]], call: dict[str, ast.expr]) -> Iterator[str]:
    lines = setup.get("options.entry_points", {}).get("console_scripts", "").splitlines()
    if "entry_points" in call:
        lines += [n.value for n in ast.walk(call["entry_points"])
                  if isinstance(n, ast.Constant) and isinstance(n.value, str)]  # fmt: skip
    for line in lines:
        if "=" in line:
            yield line.split("=")[0].strip()


def _own_plugins(project: dict[str, Any], setup: dict[str, dict[str, str]]) -> Iterator[str]:
    points = [str(v) for v in _table(project, "project", "entry-points", "pytest11").values()]
    points += [str(v) for v in _table(project, "tool", "poetry", "plugins", "pytest11").values()]
    lines = setup.get("options.entry_points", {}).get("pytest11", "").splitlines()
    for point in (*points, *(line.partition("=")[2] for line in lines)):
        if re.fullmatch(r"[\w.]+", module := point.split(":")[0].strip()):
            yield module


def _variables(project: dict[str, Any], tox: dict[str, dict[str, str]]) -> Iterator[str]:
    for section in tox.values():
        for key in ("setenv", "passenv", "set_env", "pass_env", "env"):
            yield from re.findall(r"[A-Z][A-Z0-9_]{2,}", section.get(key, ""))
    for text in _texts(_table(_table(project, "tool", "pytest"), "ini_options").get("env")):
        yield from re.findall(r"^[A-Z]?:?([A-Z][A-Z0-9_]{2,})", text)


def _generated(project: dict[str, Any]) -> Iterator[str]:
    tool = _table(project, "tool")
    scm, hatch = _table(tool, "setuptools_scm"), _table(tool, "hatch", "build", "hooks", "vcs")
    for value in (scm.get("write_to"), scm.get("version_file"), hatch.get("version-file"),
                  _table(tool, "pdm", "version").get("write_to")):  # fmt: skip
        if isinstance(value, str):
            yield value


def _table(value: object, *keys: str) -> dict[str, Any]:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def _texts(value: object) -> Iterable[str]:
    if isinstance(value, str):
        return [value]
    return [v for v in value if isinstance(v, str)] if isinstance(value, list) else []


def _pattern(line: str) -> re.Pattern[str]:
    text = line.strip().removeprefix("**/")
    at_root = "/" in text.rstrip("/")
    body = "".join({"*": "[^/]*", "?": "[^/]"}.get(c, re.escape(c)) for c in text.strip("/"))
    return re.compile(f"{'^' if at_root else '(^|/)'}{body}(/|$)")


def _read(path: Path) -> str:
    try:
        if path.is_symlink() or not path.is_file() or path.stat().st_size > _MOST_BYTES:
            return ""
        return path.read_text(errors="replace")
    except OSError:
        return ""


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(_read(path))
    except (tomllib.TOMLDecodeError, RecursionError):
        return {}


def _ini(path: Path) -> dict[str, dict[str, str]]:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(_read(path))
    except configparser.Error:
        return {}
    return {name: dict(parser[name]) for name in parser.sections()}

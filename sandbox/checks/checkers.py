"""Which checkers a repository uses, by its own settings, and how each is run on changed files. Reads files only."""

import json
import posixpath
import re
import tomllib
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.confined_files import read_confined
from sandbox.environments.languages.java import maven

from . import diagnostics
from .diagnostics import Reader

_MOST_BYTES = 1 << 20
_MOST_FILES = 40


@dataclass(frozen=True)
class Check:
    """One run of a checker in a folder of the repository; `reader` reads its standard output and standard error. A
    program that is not there (exit code 127) checks nothing."""

    tool: str
    command: tuple[str, ...]
    reader: Reader
    folder: str = ""


def checks_for(language: str, root: Path, changed: Collection[str]) -> list[Check]:
    """The checkers for changed files of a repository whose tests are in `language` (its name in lower case)."""
    files = sorted(path for path in changed if not path.startswith("-"))[:_MOST_FILES]
    made = _MAKERS.get(language)
    return made(root, files) if made and files else []


def _python(root: Path, changed: Sequence[str]) -> list[Check]:
    files = [path for path in changed if path.endswith((".py", ".pyi"))]
    tool = _tables(root, "pyproject.toml")
    setup = _text(root, "setup.cfg")
    found = []
    if files and ("ruff" in tool or _any(root, "ruff.toml", ".ruff.toml")):
        found.append(Check("ruff", ("ruff", "check", "--output-format", "json", "--no-cache", "--no-fix", "--", *files),
                           diagnostics.ruff))  # fmt: skip
    if files and ("mypy" in tool or "[mypy" in setup or _any(root, "mypy.ini", ".mypy.ini")):
        options = ("--no-error-summary", "--show-column-numbers", "--show-error-codes", "--no-pretty")
        cache = ("--cache-dir", "/tmp/mypy")  # noqa: S108 - a path inside the sandbox
        found.append(Check("mypy", ("python", "-m", "mypy", *options, *cache, "--", *files), diagnostics.lines))
    if files and ("pyright" in tool or _any(root, "pyrightconfig.json")):
        found.append(Check("pyright", ("pyright", "--outputjson", *files), diagnostics.pyright))
    ruff = tool.get("ruff")
    if files and ((isinstance(ruff, dict) and "format" in ruff) or "[format]" in _text(root, "ruff.toml")):
        found.append(Check("ruff format", ("ruff", "format", "--check", "--no-cache", "--", *files),
                           diagnostics.unformatted))  # fmt: skip
    if files and "black" in tool:
        found.append(Check("black", ("python", "-m", "black", "--check", "--", *files), diagnostics.unformatted))
    return found


def _go(root: Path, changed: Sequence[str]) -> list[Check]:
    found = []
    for folder in sorted({posixpath.dirname(path) for path in changed if path.endswith(".go")}):
        module = _nearest(root, folder, "go.mod")
        inside = posixpath.relpath(folder or ".", module or ".")
        found.append(Check("go vet", ("go", "vet", f"./{inside}"), diagnostics.lines, module))
    if files := [path for path in changed if path.endswith(".go")]:
        found.append(Check("gofmt", ("gofmt", "-l", *(f"./{path}" for path in files)), diagnostics.unformatted))
    return found


def _javascript(root: Path, changed: Sequence[str]) -> list[Check]:
    files = [path for path in changed if path.endswith((".js", ".jsx", ".ts", ".tsx", ".mjs", ".cjs", ".mts", ".cts"))]
    found = []
    for folder in sorted({_nearest(root, posixpath.dirname(path), "package.json") for path in files}):
        mine = [posixpath.relpath(path, folder or ".") for path in files
                if _nearest(root, posixpath.dirname(path), "package.json") == folder]  # fmt: skip
        programs = f"{'../' * len(Path(folder).parts)}node_modules/.bin" if folder else "node_modules/.bin"
        settings = _json(root, posixpath.join(folder, "package.json"))
        if _any(root, posixpath.join(folder, "tsconfig.json")) and any(
            ".ts" in path or ".mts" in path for path in mine
        ):
            command = (f"{programs}/tsc", "--noEmit", "--pretty", "false", "-p", ".")
            found.append(Check("tsc", command, diagnostics.lines, folder))
        names = ("eslint.config.js", "eslint.config.mjs", "eslint.config.cjs", "eslint.config.ts", ".eslintrc.js",
                 ".eslintrc.cjs", ".eslintrc.json", ".eslintrc.yml", ".eslintrc.yaml", ".eslintrc")  # fmt: skip
        if "eslintConfig" in settings or any(_any(root, posixpath.join(at, n)) for n in names for at in {folder, ""}):
            found.append(Check("eslint", (f"{programs}/eslint", "--format", "json", "--", *mine), diagnostics.eslint,
                               folder))  # fmt: skip
        if "prettier" in settings or any(_any(root, posixpath.join(at, n)) for n in _PRETTIER for at in {folder, ""}):
            found.append(Check("prettier", (f"{programs}/prettier", "--list-different", "--", *mine),
                               diagnostics.unformatted, folder))  # fmt: skip
    return found


def _rust(root: Path, changed: Sequence[str]) -> list[Check]:
    folders = sorted(
        {_nearest(root, posixpath.dirname(path), "Cargo.toml") for path in changed if path.endswith(".rs")}
    )
    command = ("check", "--offline", "--all-targets", "--message-format", "json")
    found = [Check("cargo", ("cargo", *command), diagnostics.cargo, folder) for folder in folders]
    for folder in folders:
        manifest = _text(root, posixpath.join(folder, "Cargo.toml"))
        stated = re.search(r'^edition\s*=\s*"(\d{4})"', manifest, re.MULTILINE)
        mine = [posixpath.relpath(path, folder or ".") for path in changed if path.endswith(".rs")
                and _nearest(root, posixpath.dirname(path), "Cargo.toml") == folder]  # fmt: skip
        options = ("--check", "--files-with-diff", "--edition", stated[1] if stated else "2021")
        found.append(Check("rustfmt", ("rustfmt", *options, *(f"./{path}" for path in mine)), diagnostics.unformatted,
                           folder))  # fmt: skip
    return found


def _java(root: Path, changed: Sequence[str]) -> list[Check]:
    """javac, as the build that holds the files configures it."""
    folders = {_furthest(root, posixpath.dirname(path), "pom.xml") for path in changed if path.endswith(".java")}
    return [
        Check("javac", maven.command(_holder(root, folder), phase="test-compile"), diagnostics.maven, folder)
        for folder in sorted(folder for folder in folders if folder is not None)
    ]


def _c(root: Path, changed: Sequence[str]) -> list[Check]:
    files = [path for path in changed if path.endswith((".c", ".cc", ".cpp", ".cxx", ".h", ".hh", ".hpp", ".hxx"))]
    if not files or not _any(root, ".clang-format", "_clang-format"):
        return []
    return [Check("clang-format", ("clang-format", "--dry-run", "--", *files), diagnostics.lines)]


_PRETTIER = (".prettierrc", ".prettierrc.json", ".prettierrc.yml", ".prettierrc.yaml", ".prettierrc.json5",
             ".prettierrc.js", ".prettierrc.cjs", ".prettierrc.mjs", ".prettierrc.toml", "prettier.config.js",
             "prettier.config.cjs", "prettier.config.mjs", "prettier.config.ts")  # fmt: skip
_MAKERS: dict[str, Callable[[Path, Sequence[str]], list[Check]]] = {
    "python": _python,
    "go": _go,
    "javascript": _javascript,
    "rust": _rust,
    "java": _java,
    "c": _c,
}


def _text(root: Path, path: str) -> str:
    with suppress(OSError, ValueError):
        return read_confined(root, path, _MOST_BYTES).decode(errors="replace")
    return ""


def _json(root: Path, path: str) -> dict[str, Any]:
    with suppress(ValueError, RecursionError):
        value = json.loads(_text(root, path) or "{}")
        return value if isinstance(value, dict) else {}
    return {}


def _tables(root: Path, path: str) -> dict[str, Any]:
    """The tables below `tool` of a TOML file."""
    with suppress(tomllib.TOMLDecodeError, RecursionError):
        value = tomllib.loads(_text(root, path)).get("tool", {})
        return value if isinstance(value, dict) else {}
    return {}


def _any(root: Path, *paths: str) -> bool:
    return any((root / path).is_file() for path in paths)


def _furthest(root: Path, folder: str, name: str) -> str | None:
    """The topmost folder above a folder, or itself, that holds a file of this name; None for none."""
    parts = folder.split("/") if folder else []
    above = ("/".join(parts[:count]) for count in range(len(parts) + 1))
    return next((at for at in above if (root / at / name).is_file()), None)


def _holder(root: Path, folder: str) -> str:
    """The folder with Maven's own settings for a build: it or the nearest above that has `.mvn`, else itself."""
    at = folder
    while at and not (root / at / ".mvn").is_dir():
        at = posixpath.dirname(at)
    return at if (root / at / ".mvn").is_dir() else folder


def _nearest(root: Path, folder: str, name: str) -> str:
    """The folder above a folder, or itself, that holds a file of this name; "" for the root or none."""
    while folder and not (root / folder / name).is_file():
        folder = posixpath.dirname(folder)
    return folder

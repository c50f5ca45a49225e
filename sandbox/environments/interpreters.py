"""The interpreters of Python on this machine: those that tests can be run with.

Nothing is downloaded. What an interpreter says about itself is cached, as long as its file stays the same.
"""

import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from .wanted import EnvironmentRefused, Wanted

OLDEST = (3, 10)
"""The oldest version that the code which runs tests supports."""
_SECONDS = 10.0
_ASK = (
    "import json, platform, sys; print(json.dumps([list(sys.version_info[:3]), sys.base_prefix,"
    " platform.python_implementation()]))"
)
_PLACES = ("/usr/local/bin/python3.*", "/usr/bin/python3.*", "~/.pyenv/versions/*/bin/python3.*",
           "~/.local/share/uv/python/*/bin/python3.*")  # fmt: skip


@dataclass(frozen=True)
class Interpreter:
    """`path` is the real path of the program, `prefix` the folder of its installation."""

    path: Path
    version: tuple[int, int, int]
    prefix: Path

    @property
    def release(self) -> str:
        return ".".join(map(str, self.version))

    @property
    def minor(self) -> str:
        return f"{self.version[0]}.{self.version[1]}"


def choose(wanted: Wanted, cache: Path) -> Interpreter:
    """The interpreter for an environment: Penstock's own where it fits, else the newest that does.

    Raises `EnvironmentRefused`, which names the wanted version and those that are there."""
    found = interpreters(cache)
    try:
        allowed = SpecifierSet(wanted.python)
        preferred = SpecifierSet(wanted.preferred)
    except InvalidSpecifier as error:
        raise EnvironmentRefused(
            f"a Python by {wanted.python_from}, which is no valid specifier ({error})",
            'Write `python = "3.12"` under `[environment]` in penstock.toml.',
        ) from error
    fitting = [one for one in found if allowed.contains(one.release, prereleases=True)]
    for one in fitting:
        if wanted.preferred and preferred.contains(one.release, prereleases=True):
            return one
    if fitting:
        return fitting[0]
    there = ", ".join(sorted({one.minor for one in found}, key=lambda minor: int(minor.split(".")[1])))
    raise EnvironmentRefused(
        f"Python {wanted.python} ({wanted.python_from}), and this machine has {there}",
        'Install such a Python, or write `python = "VERSION"` under `[environment]` in penstock.toml.',
    )


def interpreters(cache: Path) -> list[Interpreter]:
    """Those that can run tests, Penstock's own first, then the newest first, one for each minor version."""
    own: str = getattr(sys, "_base_executable", None) or sys.executable
    candidates = [own]
    folders = [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep)[:50] if folder]
    # The shims of version managers are scripts; what they start is found in its own place.
    candidates += [str(path) for folder in folders if folder.name != "shims" for path in folder.glob("python3.*")]
    for pattern in _PLACES:
        start, below = ("~", pattern[2:]) if pattern.startswith("~") else ("/", pattern[1:])
        candidates += map(str, Path(start).expanduser().glob(below))
    names = [c for c in candidates if c == own or re.fullmatch(r"python3\.\d+", Path(c).name)]
    known = _Known(cache / "interpreters.json")
    real = list(dict.fromkeys(Path(name).resolve() for name in names))[:100]
    found = [one for path in real if (one := known.ask(path)) is not None and one.version >= OLDEST]
    known.save()
    first, rest = found[:1], sorted(found[1:], key=lambda one: one.version, reverse=True)
    by_minor: dict[str, Interpreter] = {}
    for one in (*first, *rest):
        by_minor.setdefault(one.minor, one)
    return list(by_minor.values())


class _Known:
    """What interpreters have said about themselves, by path, size and time of change."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._changed = False
        self._facts: dict[str, object] = {}
        with contextlib.suppress(OSError, ValueError):
            read = json.loads(file.read_text())
            self._facts = read if isinstance(read, dict) else {}

    def ask(self, path: Path) -> Interpreter | None:
        try:
            facts = path.stat()
        except OSError:
            return None
        key = f"{path}|{facts.st_size}|{facts.st_mtime_ns}"
        if key not in self._facts:
            self._facts[key] = self._asked(path)
            self._changed = True
        match self._facts[key]:
            case [[int(major), int(minor), int(micro)], str(prefix), "CPython"]:
                return Interpreter(path, (major, minor, micro), Path(prefix).resolve())
        return None

    def _asked(self, path: Path) -> object:
        try:
            done = subprocess.run([path, "-I", "-S", "-c", _ASK], capture_output=True, timeout=_SECONDS, check=True,
                                  env={"PATH": "/usr/bin:/bin"}, cwd="/")  # fmt: skip
            return json.loads(done.stdout)
        except (OSError, subprocess.SubprocessError, ValueError):
            return None

    def save(self) -> None:
        if not self._changed:
            return
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=self._file.parent, delete=False) as file:
            json.dump(self._facts, file)
        Path(file.name).replace(self._file)

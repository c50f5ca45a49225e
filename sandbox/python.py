"""Provides this process's Python inside a sandbox: its standard library and installed packages, read-only.

Penstock's own packages (`core`, `assets`, ...) are left out, so that a repository may have packages of
the same names, and no `.pth` file is processed. Not for other Pythons than the running one.
"""

import functools
import sys
import sysconfig
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .cached_folders import cached_folder, make_folder, write_file
from .protocol import Mount

HOME_INSIDE = "/opt/penstock"
_VENV = f"{HOME_INSIDE}/python"
_OWN = frozenset(
    {
        "core",
        "threads",
        "sandbox",
        "objects",
        "gateway",
        "assets",
        "sensors",
        "dagster_project",
        "deploy",
        "tests",
        "eval_sets",
    }
)
_LEFT_OUT = ("__editable__", "__pycache__", "penstock-", "penstock.", "pip", "_virtualenv", "distutils-precedence")


@dataclass(frozen=True)
class PythonRuntime:
    """The `mounts` and `variables` for `Environment`, and the path of the interpreter inside (`executable`)."""

    mounts: tuple[Mount, ...]
    executable: str
    variables: Mapping[str, str]


def python_runtime(extra_site_packages: Sequence[Path] = ()) -> PythonRuntime:
    """The running Python with its installed packages and those of the folders `extra_site_packages`, which take
    precedence. Inside the sandbox it is a virtual environment at /opt/penstock/python.

    Raises `FileNotFoundError` for an extra folder that does not exist."""
    folders = [folder.resolve(strict=True) for folder in extra_site_packages]
    for name in ("purelib", "platlib"):
        installed = Path(sysconfig.get_path(name)).resolve()
        if installed.is_dir() and installed not in folders:
            folders.append(installed)
    stamps = tuple(folder.stat().st_mtime_ns for folder in folders)
    return _runtime(tuple(folders), len(extra_site_packages), stamps)


@functools.lru_cache(maxsize=8)
def _runtime(folders: tuple[Path, ...], extra: int, stamps: tuple[int, ...]) -> PythonRuntime:
    inside = {folder: f"{HOME_INSIDE}/packages-{number}" for number, folder in enumerate(folders)}
    mounts = [Mount(_environment(inside, extra), _VENV)]
    mounts += [Mount(folder, target) for folder, target in inside.items()]
    mounts += base_mounts()
    return PythonRuntime(tuple(mounts), f"{_VENV}/bin/python", {"PATH": f"{_VENV}/bin:/usr/local/bin:/usr/bin:/bin"})


def prefix_mounts(base: Path) -> tuple[Mount, ...]:
    """The mounts for an installation of Python, without its packages; none for the distribution's, which is there."""
    if base.is_relative_to("/usr"):
        return ()
    # At the same path as on the host: an interpreter not from the distribution has its path compiled in.
    hidden = base.glob("lib/python3*/site-packages")
    return (Mount(base, str(base)), *(Mount(_empty(), str(packages)) for packages in hidden))


def base_mounts() -> tuple[Mount, ...]:
    """The mounts with which `base_interpreter` runs inside, with the standard library alone."""
    return prefix_mounts(Path(sys.base_prefix).resolve())


def base_interpreter() -> Path:
    """The real path of the interpreter that the virtual environment is based on."""
    base: str = getattr(sys, "_base_executable", None) or sys.executable
    return Path(base).resolve()


def _visible(folder: Path) -> Iterable[str]:
    """The entries of a packages folder that are visible inside the sandbox."""
    for name in sorted(entry.name for entry in folder.iterdir()):
        if name.endswith((".pth", ".egg-link")) or name.startswith(_LEFT_OUT):
            continue
        yield name


def _provided(name: str) -> str:
    """The module or distribution that an entry of a packages folder provides. In a later folder, entries that provide
    the same are hidden: `x/` by `x.py`, or another version of a distribution."""
    if name.endswith((".dist-info", ".egg-info")):
        return name.split("-")[0].lower() + "-info"
    if name.endswith((".py", ".so")):
        return name.split(".")[0]
    return name


def _environment(inside: Mapping[Path, str], extra: int) -> Path:
    """A host folder that works as a virtual environment when mounted at `_VENV`; cached."""
    interpreter = base_interpreter()
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    links: dict[str, str] = {}
    for name in ("python", "python3", version):
        links[f"bin/{name}"] = str(interpreter)
    packages = f"lib/{version}/site-packages"
    taken: set[str] = set()
    for number, (folder, target) in enumerate(inside.items()):
        visible = [name for name in _visible(folder) if number < extra or name not in _OWN]
        links |= {f"{packages}/{name}": f"{target}/{name}" for name in visible if _provided(name) not in taken}
        taken |= {_provided(name) for name in visible}
    files = {
        "pyvenv.cfg": f"home = {interpreter.parent}\ninclude-system-site-packages = false\n"
        f"version = {sys.version.split()[0]}\n",
        "bin/pytest": f"#!{_VENV}/bin/python\nimport sys\nfrom pytest import console_main\nsys.exit(console_main())\n",
    }

    def fill(folder: Path) -> None:
        make_folder(folder / packages)
        make_folder(folder / "bin")
        for name, content in files.items():
            write_file(folder / name, content, 0o755 if name.startswith("bin/") else 0o644)
        for name, target in links.items():
            (folder / name).symlink_to(target)

    return cached_folder("python", (files, links), fill)


def _empty() -> Path:
    return cached_folder("empty", None, lambda folder: None)

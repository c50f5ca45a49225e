"""This process's Python, made usable inside a sandbox: its standard library and installed packages, read-only.

Penstock's own packages (`core`, `assets`, ...) are left out, so that a repository may have packages of
the same names, and no `.pth` file is processed. Not for choosing another Python than the one that runs.
"""

import functools
import sys
import sysconfig
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .kept_folders import kept_folder, make_folder, write_file
from .protocol import Mount

HOME_INSIDE = "/opt/penstock"
_VENV = f"{HOME_INSIDE}/python"
_OWN = frozenset({"core", "gateway", "sandbox", "assets", "sensors", "dagster_project", "deploy", "tests", "eval_sets"})
_LEFT_OUT = ("__editable__", "__pycache__", "penstock-", "penstock.", "pip", "_virtualenv", "distutils-precedence")


@dataclass(frozen=True)
class PythonRuntime:
    """What to give to `Environment` (`mounts`, `variables`) and the program to run inside (`executable`)."""

    mounts: tuple[Mount, ...]
    executable: str
    variables: Mapping[str, str]


def python_runtime(extra_site_packages: Sequence[Path] = ()) -> PythonRuntime:
    """The Python that runs this, with the packages installed beside it and those of `extra_site_packages`
    (folders of packages, before this Python's own). Inside it is a virtual environment at /opt/penstock/python.

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
    base = Path(sys.base_prefix).resolve()
    if not base.is_relative_to("/usr"):
        # At its own path: interpreters that are not the distribution's have it compiled in.
        mounts.append(Mount(base, str(base)))
        for packages in base.glob("lib/python3*/site-packages"):
            mounts.append(Mount(_empty(), str(packages)))
    return PythonRuntime(tuple(mounts), f"{_VENV}/bin/python", {"PATH": f"{_VENV}/bin:/usr/local/bin:/usr/bin:/bin"})


def _interpreter() -> Path:
    """The interpreter behind the virtual environment, by its real path."""
    base: str = getattr(sys, "_base_executable", None) or sys.executable
    return Path(base).resolve()


def _shown(folder: Path) -> Iterable[str]:
    """The entries of a packages folder that are shown inside."""
    for name in sorted(entry.name for entry in folder.iterdir()):
        if name.endswith((".pth", ".egg-link")) or name.startswith(_LEFT_OUT):
            continue
        yield name


def _stands_for(name: str) -> str:
    """What an entry of a packages folder provides, so that `x.py` hides `x/`, and one version of a distribution
    another: a module's name, or a distribution's with its kind."""
    if name.endswith((".dist-info", ".egg-info")):
        return name.split("-")[0].lower() + "-info"
    if name.endswith((".py", ".so")):
        return name.split(".")[0]
    return name


def _environment(inside: Mapping[Path, str], extra: int) -> Path:
    """A host folder that is a virtual environment when seen at `_VENV`: made once for what it holds."""
    interpreter = _interpreter()
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    links: dict[str, str] = {}
    for name in ("python", "python3", version):
        links[f"bin/{name}"] = str(interpreter)
    packages = f"lib/{version}/site-packages"
    taken: set[str] = set()
    for number, (folder, target) in enumerate(inside.items()):
        shown = [name for name in _shown(folder) if number < extra or name not in _OWN]
        links |= {f"{packages}/{name}": f"{target}/{name}" for name in shown if _stands_for(name) not in taken}
        taken |= {_stands_for(name) for name in shown}
    files = {
        "pyvenv.cfg": f"home = {interpreter.parent}\ninclude-system-site-packages = false\n"
        f"version = {sys.version.split()[0]}\n",
        "bin/pytest": f"#!{_VENV}/bin/python\nimport sys\nfrom pytest import console_main\nsys.exit(console_main())\n",
    }

    def fill(made: Path) -> None:
        make_folder(made / packages)
        make_folder(made / "bin")
        for name, content in files.items():
            write_file(made / name, content, 0o755 if name.startswith("bin/") else 0o644)
        for name, goal in links.items():
            (made / name).symlink_to(goal)

    return kept_folder("python", (files, links), fill)


def _empty() -> Path:
    return kept_folder("empty", None, lambda folder: None)

"""A command prefix that runs a program of ours with few files and no network but a proxy's socket: for fetching.

By bubblewrap, whatever backend the tests use. The program is trusted, what it downloads is not; code of repositories
and packages runs in `sandbox.protocol.Sandbox` only.
"""

import functools
import os
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from sandbox.bubblewrap import programs
from sandbox.root_filesystem import etc_folder, system_mounts

_TRY_SECONDS = 20.0


def confined(
    command: Sequence[str],
    variables: Mapping[str, str],
    readable: Iterable[Path],
    writable: Iterable[Path],
    cwd: Path,
    moved: Mapping[str, Path],
) -> list[str] | None:
    """The command line that runs `command` with these variables, and these paths at the same places as here; `moved`
    are paths by their place inside. None when bubblewrap does not work on this machine."""
    program = _program()
    if program is None:
        return None
    arguments = [*_base(program)]
    for path in dict.fromkeys(readable):
        if path.exists() and not path.is_relative_to("/usr"):
            arguments += ["--ro-bind", str(path), str(path)]
    for place, path in moved.items():
        arguments += ["--ro-bind", str(path), place]
    for path in dict.fromkeys(writable):
        arguments += ["--bind", str(path), str(path)]
    for name, value in variables.items():
        arguments += ["--setenv", name, value]
    return [*arguments, "--chdir", str(cwd), "--", *command]


def _base(program: Path) -> list[str]:
    system = system_mounts()
    arguments = [str(program), "--unshare-all", "--die-with-parent", "--new-session", "--clearenv", "--cap-drop", "ALL",
                 "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]  # noqa: S108  # fmt: skip
    for path in system.binds:
        arguments += ["--ro-bind", path, path]
    for name, goal in system.links:
        arguments += ["--symlink", goal, name]
    # Read-only, because the step may run as the host's root, who may write to /proc/sys even without capabilities.
    return [*arguments, "--remount-ro", "/proc", "--ro-bind", str(etc_folder()), "/etc"]


@functools.cache
def _program() -> Path | None:
    """The first bubblewrap that starts a program here."""
    for program in programs():
        try:
            done = subprocess.run([*_base(program), "--", "/bin/true"], capture_output=True, timeout=_TRY_SECONDS,
                                  check=False, env={"PATH": os.defpath})  # fmt: skip
        except (OSError, subprocess.SubprocessError):
            continue
        if done.returncode == 0:
            return program
    return None

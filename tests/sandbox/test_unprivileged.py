"""The limits also hold when an unprivileged user runs Penstock, with the system's Python."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox import bubblewrap, gvisor
from sandbox.protocol import Sandbox

NOBODY = 65_534
REPOSITORY = Path(__file__).parents[2]
PROGRAM = """
import sys
sys.dont_write_bytecode = True
from dataclasses import replace
from pathlib import Path
from sandbox import attacks
from sandbox.bubblewrap import BubblewrapSandbox
from sandbox.gvisor import GvisorSandbox
from sandbox.protocol import Environment, Limits
kind = {"bubblewrap": BubblewrapSandbox, "gvisor": GvisorSandbox}[sys.argv[1]]
sandbox = kind(Path(sys.argv[2]), Path(sys.argv[3]))
small = Limits(60, 30, 256 << 20, 16, 8 << 20, 64 << 20, 1 << 18)
attempts = {
    "cpu": (attacks.BURN_CPU, replace(small, cpu_seconds=0.3)),
    "memory": (attacks.FILL_MEMORY, small),
    "processes": (attacks.FORK_BOMB, small),
    "disk": (attacks.MANY_FILES, small),
}
for limit, (code, limits) in attempts.items():
    with sandbox.open(Environment(Path(sys.argv[3]) / "workspace"), small) as session:
        print(limit, session.run(["/usr/bin/python3", "-c", code], limits=limits).limit)
# A folder that cannot be walked counts with what others write meanwhile, so its limit is not a small one.
roomy = replace(small, disk_bytes=8 << 30)
with sandbox.open(Environment(Path(sys.argv[3]) / "workspace"), roomy) as session:
    ended = session.run(["sh", "-c", "mkdir shut && touch shut/x && chmod 0 shut && cat /proc/self/uid_map"])
    print(ended.exit_code, ended.limit)
print(sorted(p.name for p in Path(sys.argv[3]).iterdir()))
"""
SETTINGS = """
import os, types
from pathlib import Path
def load_settings(): return types.SimpleNamespace(cache=Path(os.environ["PENSTOCK_CACHE"]))
"""


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder whose parents every user may enter, unlike those of `tmp_path`."""
    with tempfile.TemporaryDirectory(prefix="penstock-nobody-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def _copied(program: Path, folder: Path) -> Path:
    """A copy of a program that another user may run, with the libraries that its wheel has next to it."""
    package = program.parents[1]
    libraries = package.with_name(f"{package.name}.libs")
    if not libraries.is_dir():
        folder.mkdir()
        return Path(shutil.copy(program, folder))
    for part in (package, libraries):
        shutil.copytree(part, folder / part.name)
    return folder / program.relative_to(package.parent)


def test_limits_hold_without_privileges(backend: Sandbox, open_folder: Path) -> None:
    python = shutil.which("python3", path="/usr/bin")
    if os.geteuid() != 0 or python is None:
        pytest.skip("needs root, to become another user, and /usr/bin/python3")
    version = subprocess.run(
        [python, "-c", "import sys; print(sys.version_info >= (3, 11))"], capture_output=True, check=True
    )
    if version.stdout != b"True\n":
        pytest.skip(f"{python} is older than Python 3.11")
    found = bubblewrap.programs()[0] if backend.name == "bubblewrap" else gvisor.GvisorSandbox()._program()[0]
    home = open_folder / "home"
    (home / "workspace").mkdir(parents=True)
    (home / "penstock").mkdir()
    shutil.copytree(REPOSITORY / "sandbox", home / "penstock" / "sandbox")
    (home / "penstock/core").mkdir()
    (home / "penstock/core/settings.py").write_text(SETTINGS)
    program = _copied(found, home / "penstock" / "installed")
    for path in (home, *home.rglob("*")):
        path.chmod(0o755)
        os.chown(path, NOBODY, NOBODY)
    done = subprocess.run(
        [python, "-c", PROGRAM, backend.name, str(program), str(home)],
        user=NOBODY,
        group=NOBODY,
        extra_groups=[],
        cwd="/",
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(home / "penstock"),
            "PENSTOCK_CACHE": str(home / "penstock/cache"),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines() == [
        "cpu cpu",
        "memory memory",
        "processes processes",
        "disk disk",
        "0 None",
        "['penstock', 'workspace']",
    ], done.stderr
    assert sys.version_info >= (3, 11)

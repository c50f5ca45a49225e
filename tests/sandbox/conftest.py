"""The backends for these tests. One that does not work is skipped, with what to install; in CI it fails."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sandbox import BACKENDS, backends
from sandbox.bubblewrap import programs
from sandbox.gvisor import GvisorSandbox
from sandbox.protocol import Sandbox

NOBODY = 65_534
REPOSITORY = Path(__file__).parents[2]
SETTINGS = """
import os, types
from pathlib import Path
def load_settings(): return types.SimpleNamespace(cache=Path(os.environ["PENSTOCK_CACHE"]))
"""


def usable(name: str) -> Sandbox:
    sandbox = next(one for one in backends() if one.name == name)
    problem = sandbox.available()
    if problem is not None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{name}: {problem}")
        pytest.skip(f"{name}: {problem}")
    return sandbox


@pytest.fixture(scope="session", params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Sandbox:
    return usable(request.param)


@pytest.fixture(scope="session")
def bubblewrap() -> Sandbox:
    return usable("bubblewrap")


@pytest.fixture(scope="session")
def gvisor() -> Sandbox:
    return usable("gvisor")


AsNobody = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def as_nobody() -> Iterator[AsNobody]:
    """Runs a program with the system's Python as a user without rights. Its arguments are the backend's name, its
    program, a folder with the empty folder `workspace`, and those given."""
    python = shutil.which("python3", path="/usr/bin")
    if os.geteuid() != 0 or python is None:
        pytest.skip("needs root, to become another user, and /usr/bin/python3")
    version = subprocess.run(
        [python, "-c", "import sys; print(sys.version_info >= (3, 11))"], capture_output=True, check=True
    )
    if version.stdout != b"True\n":
        pytest.skip(f"{python} is older than Python 3.11")

    # Not below `tmp_path`, whose parents only its owner may enter.
    with tempfile.TemporaryDirectory(prefix="penstock-nobody-") as folder:
        Path(folder).chmod(0o755)
        home = Path(folder) / "home"

        def run(backend: Sandbox, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
            found = programs()[0] if backend.name == "bubblewrap" else GvisorSandbox()._program()[0]
            (home / "workspace").mkdir(parents=True)
            (home / "penstock").mkdir()
            shutil.copytree(REPOSITORY / "sandbox", home / "penstock" / "sandbox")
            (home / "penstock/core").mkdir()
            (home / "penstock/core/settings.py").write_text(SETTINGS)
            copy = _copied(found, home / "penstock" / "installed")
            for path in (home, *home.rglob("*")):
                path.chmod(0o755)
                os.chown(path, NOBODY, NOBODY)
            return subprocess.run(
                [python, "-c", program, backend.name, str(copy), str(home), *arguments],
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

        yield run


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

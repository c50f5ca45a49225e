"""A folder of wheels made here, so that environments are resolved and built without a network."""

import base64
import hashlib
import sys
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from sandbox import backends
from sandbox.environments.prepare import Options
from sandbox.protocol import Sandbox

BACKEND = '''"""A build backend that needs nothing: wheels of one module, editable ones by a path file."""
import base64, hashlib, os, zipfile

def _wheel(folder, name, version, files):
    target = f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    files = dict(files)
    files[f"{info}/METADATA"] = open("METADATA.in").read()
    files[f"{info}/WHEEL"] = "Wheel-Version: 1.0\\nGenerator: tiny\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
    if os.path.exists("entry_points.txt"):
        files[f"{info}/entry_points.txt"] = open("entry_points.txt").read()
    record = ""
    with zipfile.ZipFile(os.path.join(folder, target), "w") as out:
        for path, text in files.items():
            out.writestr(path, text)
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
            record += f"{path},sha256={digest},{len(text.encode())}\\n"
        out.writestr(f"{info}/RECORD", record + f"{info}/RECORD,,\\n")
    return target

def _facts():
    lines = open("METADATA.in").read().splitlines()
    return [line.split(": ", 1)[1] for line in lines if line.startswith(("Name: ", "Version: "))]

def build_editable(folder, config=None, metadata=None):
    name, version = _facts()
    if os.path.exists("on_build.py"):
        exec(open("on_build.py").read(), {"__name__": "on_build"})
    return _wheel(folder, name, version, {f"__editable__{name}.pth": os.path.abspath("src") + "\\n"})

def build_wheel(folder, config=None, metadata=None):
    name, version = _facts()
    sources = {p: open(os.path.join("src", p)).read() for p in os.listdir("src")} if os.path.isdir("src") else {}
    return _wheel(folder, name, version, sources)
'''


def make_wheel(
    folder: Path, name: str, version: str, files: Mapping[str, str], requires: tuple[str, ...] = (), extra: str = ""
) -> Path:
    """A wheel of modules with metadata; `extra` is the text of entry_points.txt."""
    info = f"{name.replace('-', '_')}-{version}.dist-info"
    lines = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}", *(f"Requires-Dist: {r}" for r in requires)]
    content = {
        **files,
        f"{info}/METADATA": "\n".join(lines) + "\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    if extra:
        content[f"{info}/entry_points.txt"] = extra
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
    record = ""
    with zipfile.ZipFile(wheel, "w") as out:
        for path, text in content.items():
            out.writestr(path, text)
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
            record += f"{path},sha256={digest},{len(text.encode())}\n"
        out.writestr(f"{info}/RECORD", f"{record}{info}/RECORD,,\n")
    return wheel


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    """A folder with a stand-in for pytest, and the backend `tinybuild`."""
    folder = tmp_path / "wheels"
    make_wheel(folder, "pytest", "9.0", {"pytest.py": "whose = 'the environment'\n"})
    make_wheel(folder, "tinybuild", "1.0", {"tinybuild.py": BACKEND})
    return folder


@pytest.fixture
def options(tmp_path: Path, wheels: Path) -> Options:
    return Options(cache=tmp_path / "cache", scope="test", offline=True, wheels=(wheels,), version="3.1")


@pytest.fixture(scope="session")
def box() -> Sandbox:
    for one in reversed(backends()):
        if one.available() is None:
            return one
    pytest.skip("no sandbox backend works here")


Write = Callable[[Mapping[str, str]], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a repository's files, and returns its folder."""

    def written(files: Mapping[str, str]) -> Path:
        root = tmp_path / "repository"
        for path, text in files.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text)
        root.mkdir(exist_ok=True)
        return root

    return written


RUNNING = f"{sys.version_info.major}.{sys.version_info.minor}"

"""Builds wheels in the sandbox, without a network: of the repository's own packages (editable) and of sdists."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from sandbox.protocol import Environment, Limits, Mount, Sandbox, SandboxUnavailable, Session, WorkspaceRefused

from .install import Tree
from .interpreters import Interpreter
from .wanted import Project

BUILD_INSIDE = "/opt/penstock/build"
_WORKER = "/penstock/build_worker.py"
_LIMITS = Limits(wall_seconds=600, cpu_seconds=1200, memory_bytes=4 << 30, processes=256, disk_bytes=4 << 30)
_OUT = ".penstock-build"
_MOST_ANSWER = 8 << 20
_MOST_FILE = 128 << 20
_MOST_GENERATED = 256 << 20


class BuildFailed(Exception):
    """A wheel could not be built; the message is the end of what the backend said."""


@dataclass(frozen=True)
class Built:
    """A built wheel as a file name and its content, or `requires`: what the backend asks for in addition. `generated`
    are the files that the build wrote into the work tree."""

    name: str = ""
    wheel: bytes = b""
    editable: bool = False
    requires: tuple[str, ...] = ()
    generated: tuple[tuple[str, bytes], ...] = ()
    log: str = ""


def interpreter_mounts(interpreter: Interpreter) -> tuple[Mount, ...]:
    """The mounts that a Python needs inside which is not the distribution's: at the same path, without its packages."""
    from sandbox.python import prefix_mounts

    return prefix_mounts(interpreter.prefix)


def build(
    sandbox: Sandbox,
    source: Path,
    project: Project,
    tree: Tree,
    *,
    editable: bool,
    version: str,
) -> Built:
    """Builds the package of the folder `project.folder` of `source` with the build requirements in `tree`. `version` is
    the one that backends which ask git for it are told.

    Raises `BuildFailed` for what the package does wrong, `SandboxUnavailable` when the sandbox fails."""
    worker = Path(__file__).with_name("build_worker.py")
    mounts = (*interpreter_mounts(tree.interpreter), Mount(tree.folder, BUILD_INSIDE), Mount(worker, _WORKER))
    variables = {
        "PATH": f"{BUILD_INSIDE}/bin:/usr/local/bin:/usr/bin:/bin",
        "SETUPTOOLS_SCM_PRETEND_VERSION": version,
        "PDM_BUILD_SCM_VERSION": version,
        "PBR_VERSION": version,
        "POETRY_DYNAMIC_VERSIONING_BYPASS": version,
        "PIP_NO_INDEX": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        "NO_COLOR": "1",
    }
    request = {"folder": project.folder, "backend": project.backend, "backend_path": project.backend_path,
               "editable": editable}  # fmt: skip
    try:
        session = sandbox.open(Environment(source, mounts, variables), _LIMITS)
    except WorkspaceRefused as error:
        raise BuildFailed(str(error)) from error
    with session:
        done = session.run([f"{BUILD_INSIDE}/bin/python", _WORKER, json.dumps(request)])
        log = (done.stdout + b"\n" + done.stderr)[-6000:].decode(errors="replace").strip()
        if done.limit is not None:
            raise BuildFailed(f"the build exceeded its limit ({done.limit}): {log[-500:]}")
        answer = _answer(session, log)
        if "error" in answer:
            raise BuildFailed(_reason(str(answer["error"]), log))
        generated = _generated(session, answer)
        requires = tuple(text for text in _listed(answer, "requires")[:50] if isinstance(text, str))
        if requires:
            return Built(requires=requires, log=log)
        name = str(answer.get("wheel", ""))
        if not re.fullmatch(r"[\w.!+-]{1,200}\.whl", name):
            raise BuildFailed(f"the backend {project.backend} made no wheel: {log[-500:]}")
        return Built(
            name, _read(session, f"{_OUT}/{name}", _MOST_FILE), answer.get("editable") is True, (), generated, log
        )


def _answer(session: Session, log: str) -> dict[str, object]:
    try:
        answer = json.loads(_read(session, f"{_OUT}/answer.json", _MOST_ANSWER))
    except ValueError as error:
        raise BuildFailed(log[-1500:] or "the build ended without an answer") from error
    return answer if isinstance(answer, dict) else {}


def _listed(answer: dict[str, object], key: str) -> list[object]:
    value = answer.get(key)
    return value if isinstance(value, list) else []


def _read(session: Session, path: str, most: int) -> bytes:
    try:
        return session.read(path, most)
    except SandboxUnavailable:
        raise
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error


def _generated(session: Session, answer: dict[str, object]) -> tuple[tuple[str, bytes], ...]:
    found: list[tuple[str, bytes]] = []
    left = _MOST_GENERATED
    for path in _listed(answer, "generated")[:2000]:
        if not isinstance(path, str) or path.startswith(_OUT):
            continue
        try:
            content = session.read(path, min(left, _MOST_FILE))
        except (OSError, ValueError):
            continue  # a link, or too large: the tests will say what they miss
        left -= len(content)
        found.append((path, content))
    return tuple(found)


def _reason(error: str, log: str) -> str:
    """The last line of a backend's traceback, and the end of its output where that alone says nothing."""
    lines = [line for line in error.strip().splitlines() if line.strip()]
    last = lines[-1].strip() if lines else ""
    tail = [line for line in log.splitlines() if re.search(r"error|not found|no such", line, re.IGNORECASE)][-2:]
    return f"{last[:600]}{' | ' + ' | '.join(tail)[:600] if tail else ''}"

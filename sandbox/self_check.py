"""Checks whether a backend's program works on this machine: it starts, and a session has the basic guarantees.

A program that is too old may start and yet break them, so each is tried: both sides see each other's files and their
modes, temporary folders and files have a size limit, and there is no network. The result is cached for a day, keyed by
all that it depends on. Not for attacks on a sandbox, which are in `sandbox.probing`.
"""

import hashlib
import json
import logging
import os
import platform
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from .protocol import Environment, Limit, Limits, SandboxUnavailable, Session

_log = logging.getLogger(__name__)
_results: dict[str, str | None] = {}
_lock = threading.Lock()
_CACHE_SECONDS = 86_400.0
_LIMITS = Limits(
    wall_seconds=120.0, cpu_seconds=60.0, memory_bytes=64 << 20, processes=16, file_bytes=64 << 20, disk_bytes=16 << 20
)
_SCRIPT = """
stat -c 'a copied file %a %s' given
stat -c 'a written file %s' written
for folder in /tmp /dev/shm; do
    head -c 40000000 /dev/zero >$folder/large && echo "$folder has no size limit"
    rm -f $folder/large
done 2>/dev/null
sed '1d; s/^/a network: /' /proc/net/route
echo made >new
"""
_EXPECTED = ["a copied file 750 5", "a written file 7"]


def first_failure(backend: str, program: Path, open_session: Callable[[Environment, Limits], Session]) -> str | None:
    """None when sessions of `open_session` work, else what went wrong. `backend` names all that they depend on besides
    `program`. Checked once per process, and once a day per machine for a program that starts; one that does not
    start is checked again by the next process."""
    try:
        file = program.resolve(strict=True)
        facts = file.stat()
    except OSError as error:
        return str(error)
    known = (str(file), facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)
    return remembered(backend, str(program), known, lambda: broken_guarantee(open_session))


def remembered(backend: str, what: str, known: object, check: Callable[[], str | None]) -> str | None:
    """The result of `check`, or the one of the last day for the same `known` (compared by its `repr`), on the same
    machine. `what` is what is not used when there is a problem, for the log."""
    key = _identity(backend, known)
    with _lock:
        if key not in _results:
            found, problem = _cached(key)
            if not found:
                try:
                    problem = check()
                except SandboxUnavailable as error:
                    problem = str(error)
                else:
                    _store(key, problem)
            _results[key] = problem
            if problem is not None:
                _log.warning("sandbox backend %s: %s is not used: %s", backend, what, problem)
        return _results[key]


def _identity(backend: str, known: object) -> str:
    """A hash of what a result depends on: what is known about the backend, the running kernel, the user, and the code
    of this package."""
    code = max(part.stat().st_mtime_ns for part in Path(__file__).parent.glob("**/*") if part.suffix in (".py", ".sh"))
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    facts = (backend, known, code, platform.release(), boot, os.geteuid())
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:32]


def _file(key: str) -> Path:
    from core.settings import load_settings

    return load_settings().cache / "sandbox" / f"checked-{key}.json"


def _cached(key: str) -> tuple[bool, str | None]:
    """Whether the cache has a recent result that this user wrote, and the result."""
    try:
        with _file(key).open("rb") as file:
            facts = os.fstat(file.fileno())
            if facts.st_uid != os.geteuid() or not 0 <= time.time() - facts.st_mtime < _CACHE_SECONDS:
                return False, None
            problem = json.loads(file.read(4096))["problem"]
    except (OSError, ValueError, TypeError, KeyError):
        return False, None
    return True, None if problem is None else str(problem)


def _store(key: str, problem: str | None) -> None:
    file = _file(key)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor, making = tempfile.mkstemp(prefix=".checked-", dir=file.parent)
        with os.fdopen(descriptor, "w") as made:
            json.dump({"problem": problem}, made)
        Path(making).replace(file)
    except OSError as error:
        _log.info("the result of the sandbox check cannot be cached: %s", error)


def broken_guarantee(
    open_session: Callable[[Environment, Limits], Session],
    script: str = _SCRIPT,
    more: Callable[[Session], str | None] = lambda session: None,
) -> str | None:
    """The first guarantee that a real session does not keep; None when it keeps all. `script` prints the lines that are
    expected and one for each thing that should not be, and makes the file `new`; `more` checks others. Raises
    `SandboxUnavailable`."""
    with tempfile.TemporaryDirectory(prefix="penstock-check-") as folder:
        given = Path(folder, "given")
        given.write_text("given")
        given.chmod(0o750)
        with open_session(Environment(Path(folder)), _LIMITS) as session:
            session.write("written", b"written")
            result = session.run(["sh", "-c", script])
            lines = result.stdout[:300].decode(errors="replace").splitlines()
            if missing := [line for line in _EXPECTED if line not in lines]:
                tail = "; ".join(result.stderr[-300:].decode(errors="replace").splitlines())
                return f"a command does not see {missing[0]} ({result.limit or result.exit_code}: {tail})"
            if lines != _EXPECTED or not result.ok:
                ended = "" if result.ok else f" ended with {result.limit or result.exit_code} and"
                return f"a command{ended} found: {'; '.join(line for line in lines if line not in _EXPECTED)}"
            if session.read("new") != b"made\n":
                return "a file that a command wrote is not visible outside"
            large = session.run(
                ["sh", "-c", "head -c 3000000 /dev/zero >large"], limits=replace(_LIMITS, file_bytes=1 << 20)
            )
            if large.limit is not Limit.FILE_SIZE:
                return f"writing a file above the limit ended the command with {large.limit or large.exit_code}"
            return more(session)

"""The steps that make an environment: fetching outside of the repository's code, and building in the sandbox."""

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from core.archives import ArchiveRefused, unpack_archive
from sandbox.environments.fetching import Fetching
from sandbox.environments.wanted import FetchFailed
from sandbox.protocol import (
    Environment,
    Limits,
    Mount,
    Sandbox,
    SandboxUnavailable,
    Session,
    WorkspaceRefused,
    in_folder,
)

from .protocol import INSIDE, SCRATCH, BuildFailed, Registry, Toolchain

LIMITS = Limits(cpu_seconds=3600, memory_bytes=6 << 30, processes=256, file_bytes=2 << 30, disk_bytes=6 << 30)
"""For builds; their wall time is what is left of the time for making the environment."""
_MOST_KEPT = 1 << 30
_MOST_KEPT_FILES = 200_000
_NETWORK = ("connection refused", "connection reset", "no such host", "timed out", "timeout", "could not resolve host",
            "eai_again", "enotfound", "econnrefused", "tunnel", "502 bad gateway", "503 service",
            "temporary failure")  # fmt: skip


class Fetch:
    """`protocol.FetchStep` by the fetch step's namespace and proxy; `log` gets what programs said."""

    def __init__(
        self,
        fetching: Fetching,
        folder: Path,
        made: Path,
        toolchain: Toolchain,
        registry: Registry,
        until: float,
        log: list[str],
    ) -> None:
        self.folder, self.made, self.registry = folder, made, registry
        self.wanted: tuple[str, ...] = ()
        self._fetching, self._toolchain, self._until, self._log = fetching, toolchain, until, log

    @property
    def seconds(self) -> float:
        return max(1.0, self._until - time.monotonic())

    def run(self, command: Sequence[str], variables: Mapping[str, str], cwd: str = "") -> str:
        given = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/tmp", "NO_COLOR": "1", **self._toolchain.variables}  # noqa: S108
        place = self.folder / cwd
        done = self._fetching.run(command, self.seconds, place, {**given, **variables},
                                  readable=self._toolchain.readable, writable=(self.folder, self.made))  # fmt: skip
        output = f"{done.output}\n{done.errors}".strip()
        self._log.append(f"# {' '.join(command)[:300]}\n{output[-6000:]}")
        if done.exit_code == 0:
            return output
        said = output.lower()
        lines = [line.strip() for line in output.splitlines() if line.strip()]
        reason = " ".join(lines[-6:])[:900] or f"exit code {done.exit_code}"
        raise FetchFailed(f"`{' '.join(command)[:120]}` failed: {reason}",
                          unreachable=any(word in said for word in _NETWORK))  # fmt: skip


class Build:
    """`protocol.BuildStep` in a session, which `close` ends."""

    def __init__(
        self,
        sandbox: Sandbox,
        root: Path,
        made: Path,
        toolchain: Toolchain,
        variables: Mapping[str, str],
        until: float,
        log: list[str],
        notes: list[str],
    ) -> None:
        self._made, self._until, self._log, self._notes = made, until, log, notes
        mounts = (*toolchain.mounts, Mount(made, INSIDE))
        try:
            self._session: Session = sandbox.open(
                Environment(root, mounts, {**toolchain.variables, **variables, "NO_COLOR": "1"}), LIMITS
            )
        except WorkspaceRefused as error:
            raise BuildFailed(str(error)) from error

    @property
    def seconds(self) -> float:
        return max(1.0, self._until - time.monotonic())

    def run(self, command: Sequence[str], variables: Mapping[str, str], cwd: str = "") -> str:
        limits = LIMITS.with_wall(self.seconds)
        done = self._session.run(in_folder(cwd, command), limits=limits, variables=variables)
        text = (done.stdout[-20_000:] + b"\n" + done.stderr[-20_000:]).decode(errors="replace").strip()
        self._log.append(f"# {' '.join(command)[:300]}\n{text[-6000:]}")
        if done.limit is not None:
            raise BuildFailed(f"`{' '.join(command)[:120]}` exceeded its limit ({done.limit})")
        if not done.ok:
            raise BuildFailed(f"`{' '.join(command)[:120]}` ended with {done.exit_code}: {text[-900:]}")
        return text

    def keep(self, path: str, name: str) -> None:
        place = self._made / name
        with self._unpacked(path, "find .") as new:
            shutil.rmtree(place, ignore_errors=True)
            place.parent.mkdir(parents=True, exist_ok=True)
            new.rename(place)

    def add(self, path: str, name: str) -> None:
        place = self._made / name
        with self._unpacked(path, "find . -type f") as new:
            for file in [one for one in new.rglob("*") if not one.is_dir()]:
                target = place / file.relative_to(new)
                target.parent.mkdir(parents=True, exist_ok=True)
                file.replace(target)

    @contextlib.contextmanager
    def _unpacked(self, path: str, listing: str) -> Iterator[Path]:
        """A copy of what `listing` names in a folder of the workspace, beside the environment's own folders."""
        archive = f"{SCRATCH}-kept.tar"
        script = f'to=$PWD/$2; cd "$1" && {listing} -print0 | tar --null --no-recursion -T - -cf "$to"'
        self.run(["/bin/sh", "-c", script, "sh", path, archive], {})
        try:
            content = self._session.read(archive, _MOST_KEPT)
        except SandboxUnavailable:
            raise
        except (OSError, ValueError) as error:
            raise BuildFailed(f"what was built in {path} cannot be kept: {error}") from error
        finally:
            with contextlib.suppress(BuildFailed):
                self.run(["rm", "-f", archive], {})
        new = self._made / ".kept"
        with tempfile.TemporaryDirectory(prefix="penstock-kept-") as scratch:
            file = Path(scratch) / "kept.tar"
            file.write_bytes(content)
            try:
                unpack_archive(file, new, max_files=_MOST_KEPT_FILES, max_bytes=_MOST_KEPT)
            except ArchiveRefused as error:
                shutil.rmtree(new, ignore_errors=True)
                raise BuildFailed(f"what was built in {path} cannot be kept: {error}") from error
        now = time.time()
        for kept in new.rglob("*"):  # builders build again what is older than what it is made from
            os.utime(kept, (now, now), follow_symlinks=False)
        try:
            yield new
        finally:
            shutil.rmtree(new, ignore_errors=True)

    def note(self, text: str) -> None:
        self._notes.append(text)

    def close(self) -> None:
        self._session.close()

"""Archives of a workspace: one for the start of a session, and its snapshots, which are kept on this machine, where no
command can change them. An archive that comes from a pod is checked and never unpacked here."""

import contextlib
import itertools
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

from sandbox.protocol import SandboxUnavailable, WorkspaceRefused
from sandbox.scratch import Scratch
from sandbox.workspace_copy import copy_workspace

from .pod import Pod

_SECONDS = 600.0
_CHUNK = 1 << 18
_MOST = 32
_HEADERS = 64 << 20


@contextlib.contextmanager
def packed(workspace: Path, max_bytes: int, scratch: Path | None) -> Iterator[Path]:
    """A tar archive of a workspace, made from a private copy, which is checked while it is made and does not change
    while it is packed. Raises `WorkspaceRefused`, and `SandboxUnavailable` when this machine cannot make it."""
    with _scratch(scratch) as folder:
        copy, archive = folder / "workspace", folder / "workspace.tar"
        try:
            copy_workspace(workspace, copy, max_bytes)
            with tarfile.open(archive, "w", format=tarfile.GNU_FORMAT) as opened:
                for entry in sorted(os.listdir(copy)):  # noqa: PTH208
                    opened.add(copy / entry, entry, filter=_anonymous)
        except OSError as error:
            raise SandboxUnavailable(f"the workspace {workspace} cannot be packed: {error}") from error
        yield archive


def unpack(archive: Path, pod: Pod) -> None:
    """Makes an archive the content of the workspace in a pod. Raises `SandboxUnavailable`."""
    code, _ = pod.call("unpack", [str(archive.stat().st_size)], _SECONDS, _chunks(archive))
    if code != 0:
        raise SandboxUnavailable(f"the workspace cannot be unpacked in pod {pod.name}: exit code {code}")


class PodSnapshots:
    """Snapshots of the workspace in a pod, each of at most `max_bytes`."""

    def __init__(self, pod: Pod, max_bytes: int, scratch: Path | None) -> None:
        self._pod = pod
        self._max_bytes = max_bytes
        self._scratch = scratch
        self._undo = contextlib.ExitStack()
        self._folder: Path | None = None
        self._numbers = itertools.count(1)
        self._kept: dict[int, Path] = {}

    def take(self) -> int:
        """Raises `WorkspaceRefused`, `SandboxUnavailable` and `OSError`."""
        if len(self._kept) >= _MOST:
            raise WorkspaceRefused(f"a session keeps at most {_MOST} snapshots: drop one")
        if self._folder is None:
            self._folder = self._undo.enter_context(_scratch(self._scratch))
        number = next(self._numbers)
        archive = self._folder / f"{number}.tar"
        most = 2 * self._max_bytes + _HEADERS
        try:
            with archive.open("wb") as file:
                code, _ = self._pod.call("pack", [str(most)], _SECONDS, most=most, into=file)
            if archive.stat().st_size >= most:
                raise WorkspaceRefused(f"the workspace is larger than {self._max_bytes:,} bytes")
            if code != 0:
                raise SandboxUnavailable(f"the workspace in pod {self._pod.name} cannot be packed: exit code {code}")
            self._check(archive)
        except BaseException:
            archive.unlink(missing_ok=True)
            raise
        self._kept[number] = archive
        return number

    def _check(self, archive: Path) -> None:
        total = 0
        try:
            with tarfile.open(archive, "r:") as opened:
                for entry in opened:
                    if not (entry.isreg() or entry.isdir() or entry.issym() or entry.islnk()):
                        raise WorkspaceRefused(
                            f"the workspace holds {entry.name}, which is not a file, folder or link: remove it"
                        )
                    total += entry.size
        except tarfile.TarError as error:
            raise WorkspaceRefused(f"the workspace cannot be packed: {error}") from error
        if total > self._max_bytes:
            raise WorkspaceRefused(f"the workspace is larger than {self._max_bytes:,} bytes")

    def restore(self, number: int) -> None:
        """Raises `ValueError` for an unknown snapshot, and `SandboxUnavailable`."""
        unpack(self._place(number), self._pod)

    def drop(self, number: int) -> None:
        """Raises `ValueError` for an unknown snapshot, and `OSError`."""
        self._place(number).unlink()
        del self._kept[number]

    def _place(self, number: int) -> Path:
        if number not in self._kept:
            raise ValueError(f"there is no snapshot {number!r} in this session")
        return self._kept[number]

    def close(self) -> None:
        self._kept.clear()
        self._undo.close()


@contextlib.contextmanager
def _scratch(parent: Path | None) -> Iterator[Path]:
    try:
        made = Scratch(parent)
    except OSError as error:
        raise SandboxUnavailable(f"the workspace cannot be packed: {error}; free some disk space") from error
    try:
        yield made.folder
    finally:
        made.remove()


def _anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk

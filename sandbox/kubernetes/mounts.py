"""Where the mounts of an environment are in the cluster: in the volume that holds Penstock's cache.

Small folders from elsewhere, such as a part of Penstock's own code, are copied into the cache once.
"""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sandbox.cached_folders import cached_folder
from sandbox.protocol import Mount
from sandbox.root_filesystem import checked_mounts

from .options import PodOptions

_MOST_COPIED = 16 << 20
_MOST_ENTRIES = 5000


@dataclass(frozen=True)
class ClaimMount:
    """A path in the volume, mounted read-only at `target`."""

    sub_path: str
    target: str


def claim_mounts(mounts: tuple[Mount, ...], options: PodOptions) -> tuple[ClaimMount, ...]:
    """Raises `ValueError` for a mount that is not allowed, or that the volume does not and cannot hold."""
    return tuple(ClaimMount(_sub_path(mount, options), mount.target) for mount in checked_mounts(mounts))


def _sub_path(mount: Mount, options: PodOptions) -> str:
    if not options.claim:
        raise ValueError(
            f"mount source {mount.source} cannot be reached from a pod: set kubernetes_cache_claim to a "
            f"PersistentVolumeClaim that holds {options.claim_folder}"
        )
    root = options.claim_folder.resolve()
    source = mount.source.resolve()
    if not source.is_relative_to(root):
        source = _copied(source).resolve()
    if not source.is_relative_to(root) or source == root:
        raise ValueError(f"mount source {mount.source} is not inside {root}, which the claim {options.claim} holds")
    return source.relative_to(root).as_posix()


def _copied(source: Path) -> Path:
    """A copy of a small file or folder in the cache, named by its content's sizes and times."""
    facts: list[tuple[str, int, int, int]] = []
    total = 0
    for path in _files(source):
        about = path.lstat()
        total += about.st_size
        if total > _MOST_COPIED or len(facts) >= _MOST_ENTRIES:
            raise ValueError(
                f"mount source {source} is outside Penstock's cache and larger than {_MOST_COPIED >> 20} MiB or "
                f"{_MOST_ENTRIES:,} files: install it in the image of the sandbox, or below the cache"
            )
        facts.append((str(path), about.st_size, about.st_mtime_ns, about.st_mode))
    if source.is_dir():
        return cached_folder("mounted", ("folder", facts), lambda made: _copy(source, made))
    folder = cached_folder("mounted", ("file", facts), lambda made: _copy_file(source, made / source.name))
    return folder / source.name


def _files(source: Path) -> Iterator[Path]:
    if not source.is_dir():
        yield source
        return
    for at, folders, files in os.walk(source):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        for name in (*folders, *sorted(files)):
            yield Path(at, name)


def _copy(source: Path, made: Path) -> None:
    shutil.copytree(source, made, symlinks=True, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    made.chmod(0o755)


def _copy_file(source: Path, made: Path) -> None:
    shutil.copy2(source, made)

"""A newer Maven than this machine's, taken from the registry for builds with a plugin that asks for one."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from core.archives import ArchiveRefused, unpack_archive
from sandbox.environments.wanted import FetchFailed

FOLDER = "maven"
"""Where it lies in an environment."""
_WANTED = re.compile(r"requires Maven version [\[(]?(3(?:\.\d{1,4}){1,3})\b")
_DISTRIBUTION = "org/apache/maven/apache-maven"
_MOST_BYTES, _MOST_FILES = 100 << 20, 2_000


def wanted(output: str) -> Iterator[str]:
    """What Maven says of its own version: a line `maven`, a tab, and a range of versions."""
    least = [tuple(int(part) for part in one.split(".")) for one in _WANTED.findall(output)]
    if least:
        yield f"maven\t[{'.'.join(map(str, max(least)))},4.0.0-alpha-1)"


def unpack(local: Path, made: Path) -> None:
    """Moves a distribution that was fetched into the local repository to its place in the environment. Raises
    `FetchFailed`."""
    for archive in sorted((local / _DISTRIBUTION).glob("*/*-bin.tar.gz")):
        whole = made / ".maven"
        try:
            unpack_archive(archive, whole, max_files=_MOST_FILES, max_bytes=_MOST_BYTES)
            (inner,) = whole.iterdir()
            inner.rename(made / FOLDER)
        except (ArchiveRefused, OSError, ValueError) as error:
            raise FetchFailed(f"Maven from the registry cannot be used: {error}") from error
        finally:
            shutil.rmtree(whole, ignore_errors=True)
            archive.unlink(missing_ok=True)

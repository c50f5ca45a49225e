"""Which modules the files of a repository import, found by their import statements."""

import os
import re
from pathlib import Path

from .requirement_files import normal

_IMPORT = re.compile(rb"^[ \t]*(?:from|import)[ \t]+([A-Za-z_]\w*)", re.MULTILINE)
_MOST_BYTES = 16 << 20
_MOST_FILES = 3000
_SKIPPED = re.compile(r"\.|docs?$|examples?$|benchmarks?$|node_modules$|__pycache__$|build$")


def imported_modules(root: Path) -> frozenset[str]:
    """Names of top-level modules, as distributions are named, of the first files; documentation is left out."""
    found: set[bytes] = set()
    size = count = 0
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not _SKIPPED.match(name))
        for name in files:
            path = Path(folder, name)
            if not name.endswith(".py") or path.is_symlink():
                continue
            with path.open("rb") as file:
                text = file.read(1 << 20)
            found.update(_IMPORT.findall(text))
            size, count = size + len(text), count + 1
        if size > _MOST_BYTES or count > _MOST_FILES:
            break
    return frozenset(normal(name.decode()) for name in found)

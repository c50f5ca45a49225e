"""Which files of a commit are not indexed, each with its reason for people to read."""

import re
from pathlib import PurePosixPath

from core.git import Entry

VERSION = 1
"""Goes up when a rule changes."""

LARGEST = 1 << 20
"""Bytes; a larger file is skipped unread."""

LONGEST_PATH = 500

_FOLDERS = frozenset({"node_modules", "vendor", "_vendor", "third_party", "site-packages", "bower_components"})
_LOCKS = frozenset(
    {
        "Cargo.lock",
        "Gemfile.lock",
        "composer.lock",
        "go.sum",
        "package-lock.json",
        "pnpm-lock.yaml",
        "poetry.lock",
        "uv.lock",
        "yarn.lock",
    }
)
_MINIFIED = re.compile(r"\.min\.(js|css)$|\.map$", re.IGNORECASE)
_LONG_LINE = 5000


def skip_entry(entry: Entry) -> str | None:
    """The reason to skip a path without reading it, or None."""
    if entry.mode == "160000":
        return "submodule"
    if entry.mode == "120000":
        return "symlink"
    try:
        entry.path.encode()
    except UnicodeEncodeError:
        return "its path is not UTF-8"
    if len(entry.path) > LONGEST_PATH:
        return f"its path is longer than {LONGEST_PATH} characters"
    if entry.size > LARGEST:
        return f"larger than {LARGEST >> 20} MiB ({entry.size} bytes)"
    path = PurePosixPath(entry.path)
    if found := _FOLDERS.intersection(path.parts[:-1]):
        return f"vendored (below {min(found)}/)"
    if path.name in _LOCKS:
        return "lock file"
    return "minified" if _MINIFIED.search(path.name) else None


def skip_content(content: bytes) -> str | None:
    """The reason to skip a file after looking at its content, or None."""
    if b"\0" in content[:8000]:
        return "binary"
    if content.startswith(b"version https://git-lfs.github.com/spec/"):
        return "Git LFS pointer"
    if len(content) > _LONG_LINE and len(content) > _LONG_LINE * (content.count(b"\n") + 1) // 10:
        longest = max(map(len, content.split(b"\n")))
        if longest > _LONG_LINE:
            return "minified or generated (very long lines)"
    return None

"""Which files are not indexed, each with a readable reason.

The functions check one path or one content at a time; a repository's own rules are in
`assets.context.source.rules`.
"""

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the processes that cut files only check contents and don't need git
    from core.git import Entry

VERSION = 2
"""Raised when a rule changes."""

LARGEST = 1 << 20
"""Bytes; a larger file is skipped unread."""

LONGEST_PATH = 500

_FOLDERS = frozenset(
    {
        ".yarn",
        "Godeps",
        "Pods",
        "_vendor",
        "bower_components",
        "jspm_packages",
        "node_modules",
        "site-packages",
        "third-party",
        "third_party",
        "thirdparty",
        "vendor",
    }
)
_LOCKS = frozenset(
    {
        ".terraform.lock.hcl",
        "Cargo.lock",
        "Gemfile.lock",
        "Package.resolved",
        "Pipfile.lock",
        "Podfile.lock",
        "bun.lock",
        "composer.lock",
        "conan.lock",
        "deno.lock",
        "flake.lock",
        "go.sum",
        "go.work.sum",
        "gradle.lockfile",
        "mix.lock",
        "npm-shrinkwrap.json",
        "package-lock.json",
        "packages.lock.json",
        "pdm.lock",
        "pnpm-lock.yaml",
        "poetry.lock",
        "pubspec.lock",
        "pylock.toml",
        "uv.lock",
        "yarn.lock",
    }
)
_MINIFIED = re.compile(r"[.-]min\.(js|mjs|cjs|css)$|\.(js|mjs|cjs|css|ts)\.map$", re.IGNORECASE)
_GENERATED = re.compile(r"_pb2(_grpc)?\.pyi?$|\.pb\.(go|gw\.go|h|cc)$|\.g\.dart$|\.designer\.cs$", re.IGNORECASE)
_LONG_LINE = 5000
_HEAD_BYTES = 4096
_HEAD_LINES = 40
_DECODED = 1 << 16


def never_read(entry: "Entry") -> str | None:
    """The reason why an entry cannot be indexed, whatever the repository's rules, or None."""
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
    if any(part in ("", ".", "..") or part.lower() == ".git" for part in entry.path.split("/")):
        return "its path leads out of the repository"
    if entry.size > LARGEST:
        return f"larger than {LARGEST >> 20} MiB ({entry.size} bytes)"
    return None


def usually_left_out(path: str) -> str | None:
    """The reason to skip a path by its name or folders, or None; the repository's rules may override it."""
    place = PurePosixPath(path)
    if found := _FOLDERS.intersection(place.parts[:-1]):
        return f"vendored (below {min(found)}/)"
    if place.name in _LOCKS:
        return "lock file"
    if _MINIFIED.search(place.name):
        return "minified"
    return "generated (by its name)" if _GENERATED.search(place.name) else None


def skip_content(content: bytes) -> str | None:
    """The reason to skip a file by its content, or None."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "undecodable (UTF-16; only UTF-8 is read)"
    if b"\0" in content[:8000]:
        return "binary"
    if content.startswith(b"version https://git-lfs.github.com/spec/"):
        return "Git LFS pointer"
    if _undecodable(content[:_DECODED]):
        return "undecodable (not UTF-8)"
    if len(content) > _LONG_LINE and len(content) > _LONG_LINE * (content.count(b"\n") + 1) // 10:
        longest = max(map(len, content.split(b"\n")))
        if longest > _LONG_LINE:
            return "minified or generated (very long lines)"
    return "generated (its first comment says so)" if _says_generated(content[:_HEAD_BYTES]) else None


def _undecodable(content: bytes) -> bool:
    """Whether over 30% of the characters are not UTF-8. A few wrong bytes are common (old comments, test data) and are
    replaced when the file is read."""
    if content.isascii():
        return False
    text = content.decode("utf-8", "replace")
    return text.count("\ufffd") * 10 > len(text) * 3


_MARKER = re.compile(
    r"code generated .{0,200}\bdo not edit|@generated\b"
    r"|\bgenerated\b.{0,200}\bdo not (?:edit|modify|change)|\bdo not (?:edit|modify|change)\b.{0,200}\bgenerated\b",
    re.IGNORECASE | re.DOTALL,
)
_COMMENT = re.compile(r"\s*(?:#|//|--|;|%|\*|'|dnl\b|REM\b|@REM\b|<!--|/\*|\"\"\"|''')")
_BEFORE = re.compile(r"\s*(?:<\?|#!|<!DOCTYPE|['\"]use strict['\"]|$)")
_BLOCKS = (("/*", "*/"), ("<!--", "-->"), ('"""', '"""'), ("'''", "'''"))


def _says_generated(head: bytes) -> bool:
    """Whether the comment at the start of a file has one of the usual markers. Further down they are only quoted, as
    in code generators."""
    lowered = head.lower()
    return b"generated" in lowered and bool(_MARKER.search(_first_comment(head.decode("utf-8", "replace"))))


def _first_comment(text: str) -> str:
    kept: list[str] = []
    end = ""
    for line in text.splitlines()[:_HEAD_LINES]:
        if not end:
            if not (_COMMENT.match(line) or _BEFORE.match(line)):
                break
            opened = next((block for block in _BLOCKS if line.lstrip().startswith(block[0])), None)
            if opened and opened[1] not in line.lstrip()[len(opened[0]) :]:
                end = opened[1]
        elif end in line:
            end = ""
        kept.append(line)
    return "\n".join(kept)

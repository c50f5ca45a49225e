"""A repository's rules for its own files: `.penstockignore`, and the linguist attributes of `.gitattributes`.

Both are read from the indexed commit, in every folder, as git reads `.gitignore`: a file applies below its folder
and overrides those of the folders above. `.gitignore` is not used, since it is for files that are not committed:
users expect to find a tracked file even if a pattern matches it.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from assets.context.source.skips import never_read, usually_left_out
from core.git import Entry, GitError, Repository
from core.git.matching import match_attributes, match_ignore

IGNORE_FILE = ".penstockignore"
ATTRIBUTES_FILE = ".gitattributes"
LARGEST_IGNORE = 64 << 10
LARGEST_ATTRIBUTES = 256 << 10
MOST_FILES = 2000
"""The most files of each name that are read."""

_GENERATED, _VENDORED = "linguist-generated", "linguist-vendored"


class RulesError(GitError):
    """A repository's rules cannot be used; the message says why and what to do."""


@dataclass(frozen=True)
class Rules:
    """The rules of one commit: the content of each file by its folder (an empty string is the root). `tag` identifies
    the rules; it is empty if there are none.

    A file that `.penstockignore` matches is skipped. A pattern with `!` also includes files that would be skipped by
    name as vendored, generated, minified or as a lock file: `!vendor/ours/**`.
    """

    ignore: Mapping[str, bytes] = field(default_factory=dict)
    attributes: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def tag(self) -> str:
        if not self.ignore and not self.attributes:
            return ""
        digest = sha256()
        for name, held in ((IGNORE_FILE, self.ignore), (ATTRIBUTES_FILE, self.attributes)):
            for folder, content in sorted(held.items()):
                place = os.fsencode(folder)
                digest.update(b"%s %d %s %d %s" % (name.encode(), len(place), place, len(content), content))
        return f"rules-{digest.hexdigest()[:16]}"

    def reasons(self, entries: Sequence[Entry]) -> dict[str, str | None]:
        """Maps each path to the reason to skip it unread, or None. Raises `GitError` when matching takes too long."""
        found = {entry.path: never_read(entry) for entry in entries}
        asked = [path for path, reason in found.items() if reason is None]
        ignored = match_ignore(self.ignore, asked, where=IGNORE_FILE)
        said = match_attributes(self.attributes, (_GENERATED, _VENDORED), asked, where=ATTRIBUTES_FILE)
        for path in asked:
            last = ignored.get(path)
            if last is None:
                found[path] = _by_attributes(said.get(path, {}), usually_left_out(path))
            elif not last.pattern.startswith("!"):
                file = f"{last.folder[-80:]}/{IGNORE_FILE}" if last.folder else IGNORE_FILE
                found[path] = f"{file} ({last.pattern[:80]})"
        return found


def _by_attributes(attributes: Mapping[str, str], usual: str | None) -> str | None:
    for name, kind in ((_GENERATED, "generated"), (_VENDORED, "vendored")):
        value = attributes.get(name)
        if value in ("set", "true"):
            return f"{kind} ({ATTRIBUTES_FILE})"
        if value in ("unset", "false") and usual and usual.startswith(kind):
            return None
    return usual


def read_rules(repository: Repository, commit: str) -> Rules:
    """The rules of a commit. Raises `RulesError` for a `.penstockignore` above `LARGEST_IGNORE` bytes, or more than
    `MOST_FILES` of them."""
    paths: dict[str, list[str]] = {IGNORE_FILE: [], ATTRIBUTES_FILE: []}
    for path in repository.paths(commit):
        if (name := path.rpartition("/")[2]) in paths:
            paths[name].append(path)
    if len(paths[IGNORE_FILE]) > MOST_FILES:
        raise RulesError(
            f"the repository has {len(paths[IGNORE_FILE])} {IGNORE_FILE} files, at most {MOST_FILES} are allowed: "
            "put their patterns into fewer files"
        )
    ignores = repository.regular_files(commit, paths[IGNORE_FILE])
    large = next((entry for entry in ignores if entry.size > LARGEST_IGNORE), None)
    if large:
        raise RulesError(
            f"{large.path[-200:]} has {large.size} bytes, at most {LARGEST_IGNORE} are allowed: shorten it. "
            "It is not ignored, since then files that it excludes would be indexed"
        )
    # These are only hints: files that are too large or too many are ignored.
    hints = repository.regular_files(commit, paths[ATTRIBUTES_FILE][:MOST_FILES])
    hints = [entry for entry in hints if entry.size <= LARGEST_ATTRIBUTES]
    content = dict(repository.read_blobs(sorted({entry.blob for entry in ignores + hints})))
    # Most attribute files only set line ends; a change of those must not cause every file to be processed again.
    return Rules(
        ignore=_by_folder((entry, content[entry.blob]) for entry in ignores),
        attributes=_by_folder((entry, content[entry.blob]) for entry in hints if b"linguist-" in content[entry.blob]),
    )


def _by_folder(read: Iterable[tuple[Entry, bytes]]) -> Mapping[str, bytes]:
    return {entry.path.rpartition("/")[0]: content for entry, content in read}

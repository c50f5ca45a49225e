"""What a repository says of its own files: `.penstockignore`, and the linguist attributes of `.gitattributes`.

Both are read from the commit that is indexed, in every folder, as git reads `.gitignore`: the file of a folder
is about what lies below it, and has the last word there. `.gitignore` itself is not asked: it is about files
that nobody has committed, and people expect to find a file that is tracked although a pattern covers it.
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
"""Files of each name that are read."""

_GENERATED, _VENDORED = "linguist-generated", "linguist-vendored"


class RulesError(GitError):
    """What a repository says of its files cannot be used; the message says why and what to do."""


@dataclass(frozen=True)
class Rules:
    """The rules of one commit, by the folder of each file (`` is the root). `tag` differs when they do, and is empty
    when there are none.

    A file that `.penstockignore` matches is skipped. Its patterns with `!` also bring back what would be
    skipped as vendored, generated, minified or as a lock file by name: `!vendor/ours/**`.
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
        """Path -> the reason to skip it unread, or None. Raises `GitError` when matching takes too long."""
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
    """The rules of a commit. Raises `RulesError` when a `.penstockignore` is too large to be meant, or there are too
    many of them."""
    paths: dict[str, list[str]] = {IGNORE_FILE: [], ATTRIBUTES_FILE: []}
    for path in repository.paths(commit):
        if (name := path.rpartition("/")[2]) in paths:
            paths[name].append(path)
    if len(paths[IGNORE_FILE]) > MOST_FILES:
        raise RulesError(
            f"there are {len(paths[IGNORE_FILE])} files {IGNORE_FILE}, the most is {MOST_FILES}: "
            "put their patterns into fewer"
        )
    ignores = repository.regular_files(commit, paths[IGNORE_FILE])
    large = next((entry for entry in ignores if entry.size > LARGEST_IGNORE), None)
    if large:
        raise RulesError(
            f"{large.path[-200:]} has {large.size} bytes, the most is {LARGEST_IGNORE}: shorten it, "
            "since without it files would be indexed that it is meant to leave out"
        )
    # Hints only: the usual rules go on without those that are too large or too many.
    hints = repository.regular_files(commit, paths[ATTRIBUTES_FILE][:MOST_FILES])
    hints = [entry for entry in hints if entry.size <= LARGEST_ATTRIBUTES]
    content = dict(repository.read_blobs(sorted({entry.blob for entry in ignores + hints})))
    # Most files of attributes are about line ends, and no reason to look at every file again.
    return Rules(
        ignore=_by_folder((entry, content[entry.blob]) for entry in ignores),
        attributes=_by_folder((entry, content[entry.blob]) for entry in hints if b"linguist-" in content[entry.blob]),
    )


def _by_folder(read: Iterable[tuple[Entry, bytes]]) -> Mapping[str, bytes]:
    return {entry.path.rpartition("/")[0]: content for entry, content in read}

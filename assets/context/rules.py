"""What a repository says of its own files: `.penstockignore`, and the linguist attributes of `.gitattributes`.

Both are read from the root of the commit that is indexed. `.gitignore` is not asked: it is about files
that nobody has committed, and people expect to find a file that is tracked although a pattern covers it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from assets.context.skips import never_read, usually_left_out
from core.git import Entry, GitError, Repository
from core.git.matching import match_attributes, match_ignore

IGNORE_FILE = ".penstockignore"
ATTRIBUTES_FILE = ".gitattributes"
LARGEST_IGNORE = 64 << 10
LARGEST_ATTRIBUTES = 256 << 10

_GENERATED, _VENDORED = "linguist-generated", "linguist-vendored"


class RulesError(GitError):
    """What a repository says of its files cannot be used; the message says why and what to do."""


@dataclass(frozen=True)
class Rules:
    """The rules of one commit. `tag` differs when they do, and is empty when there are none.

    A file that `.penstockignore` matches is skipped. Its patterns with `!` also bring back what would be
    skipped as vendored, generated, minified or as a lock file by name: `!vendor/ours/**`.
    """

    ignore: bytes = b""
    attributes: bytes = b""

    @property
    def tag(self) -> str:
        if not self.ignore and not self.attributes:
            return ""
        return "rules-" + sha256(b"%d %s%s" % (len(self.ignore), self.ignore, self.attributes)).hexdigest()[:16]

    def reasons(self, entries: Sequence[Entry]) -> dict[str, str | None]:
        """Path -> the reason to skip it unread, or None. Raises `GitError` when matching takes too long."""
        found = {entry.path: never_read(entry) for entry in entries}
        asked = [path for path, reason in found.items() if reason is None]
        ignored = match_ignore(self.ignore, asked, where=IGNORE_FILE)
        said = match_attributes(self.attributes, (_GENERATED, _VENDORED), asked, where=ATTRIBUTES_FILE)
        for path in asked:
            pattern = ignored.get(path)
            if pattern is None:
                found[path] = _by_attributes(said.get(path, {}), usually_left_out(path))
            elif not pattern.startswith("!"):
                found[path] = f"{IGNORE_FILE} ({pattern[:80]})"
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
    """The rules of a commit. Raises `RulesError` when `.penstockignore` is too large to be meant."""
    found = {entry.path: entry for entry in repository.regular_files(commit, (IGNORE_FILE, ATTRIBUTES_FILE))}
    ignore, attributes = found.get(IGNORE_FILE), found.get(ATTRIBUTES_FILE)
    if ignore and ignore.size > LARGEST_IGNORE:
        raise RulesError(
            f"{IGNORE_FILE} has {ignore.size} bytes, the most is {LARGEST_IGNORE}: shorten it, "
            "since without it files would be indexed that it is meant to leave out"
        )
    if attributes and attributes.size > LARGEST_ATTRIBUTES:
        attributes = None  # hints only: the usual rules go on without them
    wanted = [entry.blob for entry in (ignore, attributes) if entry]
    content = dict(repository.read_blobs(wanted))
    rules = Rules(
        ignore=content[ignore.blob] if ignore else b"",
        attributes=content[attributes.blob] if attributes else b"",
    )
    # Most files of attributes are about line ends, and no reason to look at every file again.
    return rules if b"linguist-" in rules.attributes else Rules(ignore=rules.ignore)

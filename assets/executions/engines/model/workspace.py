"""The model's changes so far, in memory over a checkout that is never written to.

Any text file may be changed, added or deleted if the repository's rules allow patches to do so. All paths are
confined to the checkout.
"""

import ast
import difflib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from assets.executions.engines.protocol import Candidate, FileChange
from assets.executions.engines.search.source import MAX_BYTES, Edit, SourceFile
from sandbox.confined_files import read_confined

from .paths import linked, plain, text_files

MAX_READ_BYTES = 1 << 20
MAX_EDIT_CHARACTERS = 20_000
MAX_FILE_CHARACTERS = 60_000
MAX_CHANGED_FILES = 40
MAX_SCANNED_BYTES = 64 << 20


class NotPossible(ValueError):
    """The model's request cannot be done; the message, for the model, says what to do instead."""


@dataclass(frozen=True)
class Hit:
    """A line that contains a text; `line` counts from 1."""

    path: str
    line: int
    text: str


def _sources_only(path: str) -> str | None:
    return "only the program's sources may be changed"


class Workspace:
    """`sources` are the program's parsed files, `root` is the checkout; `refusal` returns why a file outside `sources`
    may not be changed, None if it may; `suffixes` are those of the program's files."""

    def __init__(
        self,
        sources: Mapping[str, SourceFile],
        root: Path,
        refusal: Callable[[str], str | None] = _sources_only,
        suffixes: tuple[str, ...] = (".py",),
    ) -> None:
        self._suffixes = suffixes
        self._sources = sources
        self._root = root
        self._refusal = refusal
        self._changed: dict[str, str | None] = {}
        self._listed: tuple[str, ...] | None = None

    # -- looking ---------------------------------------------------------------------------------------------

    def text(self, path: str) -> str:
        """A file's current text, with `\\n` as line end. Raises `NotPossible`."""
        now = self._now(plain(path))
        if now is None:
            raise NotPossible(f"there is no file {plain(path)!r}")
        return _unix(now)

    def files(self, folder: str = "") -> list[str]:
        """Sorted paths of the text files under a folder, with the changes so far."""
        inside = f"{plain(folder).strip('/')}/" if plain(folder).strip("/.") else ""
        present = set(self._all_files()) - {path for path, text in self._changed.items() if text is None}
        present |= {path for path, text in self._changed.items() if text is not None}
        return sorted(path for path in present if path.startswith(inside))

    def find(self, words: str, most: int) -> Iterator[Hit]:
        """At most `most` lines that contain a text, in all text files including tests; the program's files first."""
        found = read = 0
        for path in sorted(self.files(), key=lambda path: not path.endswith(self._suffixes)):
            try:
                text = self.text(path)
            except NotPossible:
                continue
            read += len(text)
            if read > MAX_SCANNED_BYTES:
                return
            if words not in text:
                continue
            for number, line in enumerate(text.split("\n"), 1):
                if words in line:
                    yield Hit(path, number, line.strip()[:160])
                    found += 1
                    if found >= most:
                        return

    # -- changing --------------------------------------------------------------------------------------------

    def replace(self, path: str, old: str, new: str) -> int:
        """Replaces the only occurrence of `old`; returns the number of the line on which it begins, from 1. Raises
        `NotPossible`."""
        path = self._allowed(path)
        now = self._now(path)
        if now is None:
            raise NotPossible(f"there is no file {path!r}: `write` makes one")
        if not old or len(old) + len(new) > MAX_EDIT_CHARACTERS:
            raise NotPossible(f"`old` must not be empty, and both texts hold at most {MAX_EDIT_CHARACTERS} characters")
        _check_writable(new, "new")
        newline = "\r\n" if "\r\n" in now else "\n"
        old, new = (_unix(text).replace("\n", newline) for text in (old, new))
        if old == new:
            raise NotPossible("`old` and `new` are the same")
        places = _places(now, old)
        if len(places) != 1:
            raise NotPossible(_not_once(now, old, path, places))
        self._keep(path, now, now[: places[0]] + new + now[places[0] + len(old) :])
        return now.count("\n", 0, places[0]) + 1

    def write(self, path: str, content: str) -> None:
        """Adds a file. Raises `NotPossible`, also when the file exists."""
        path = self._allowed(path)
        if self._now(path) is not None:
            raise NotPossible(f"{path!r} exists already: use `edit`")
        if len(content) > MAX_FILE_CHARACTERS:
            raise NotPossible(f"a new file holds at most {MAX_FILE_CHARACTERS} characters")
        _check_writable(content, "content")
        self._keep(path, None, content)

    def delete(self, path: str) -> None:
        """Deletes a file. Raises `NotPossible`."""
        path = self._allowed(path)
        if self._now(path) is None:
            raise NotPossible(f"there is no file {path!r}")
        self._changed[path] = None

    def changes(self) -> dict[str, str | None]:
        """The text of each file that differs from the checkout; None for a deleted one."""
        return {path: text for path, text in sorted(self._changed.items()) if self._original(path) != text}

    def candidate(self) -> Candidate | None:
        """The changes against the checkout: edits of whole lines in sources, other files as a whole; None when nothing
        is different."""
        edits: list[Edit] = []
        whole: list[FileChange] = []
        for path, text in sorted(self._changed.items()):
            before = self._original(path)
            if before == text:
                continue
            if before is not None and text is not None and path in self._sources:
                edits.extend(_edits(path, before, text))
            else:
                whole.append(FileChange(path, before, text))
        if not edits and not whole:
            return None
        path, line = whole[0].path if whole else "", 1
        if edits:
            path, line = edits[0].path, self._sources[edits[0].path].line_of(edits[0].start)
        return Candidate(tuple(edits), "model", 1.0, 1.0, path, line, whole=tuple(whole), deliberate=True)

    # -- small things ----------------------------------------------------------------------------------------

    def _now(self, path: str) -> str | None:
        return self._changed[path] if path in self._changed else self._original(path)

    def _original(self, path: str) -> str | None:
        """A file's text in the checkout; None when it does not exist. Raises `NotPossible` if it is not text."""
        source = self._sources.get(path)
        if source is not None:
            return source.text
        try:
            return read_confined(self._root, path, MAX_READ_BYTES).decode()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except UnicodeDecodeError:
            raise NotPossible(f"{path!r} is not a text file") from None
        except (ValueError, OSError) as error:
            raise NotPossible(f"{path!r} cannot be read: {error}") from None

    def _all_files(self) -> tuple[str, ...]:
        if self._listed is None:
            self._listed = tuple(text_files(self._root))
        return self._listed

    def _allowed(self, path: str) -> str:
        """The path of a file that may be changed. Raises `NotPossible`."""
        path = plain(path)
        if path not in self._sources:
            why = self._refusal(path)
            if why is None and linked(self._root, path):
                why = "it is a folder, or a part of its path is a link or a file"
            if why is not None:
                raise NotPossible(f"{path!r} cannot be changed: {why}")
        if path not in self._changed and len(self._changed) >= MAX_CHANGED_FILES:
            raise NotPossible(f"{MAX_CHANGED_FILES} files are changed already, which is the most")
        return path

    def _keep(self, path: str, before: str | None, text: str) -> None:
        if len(text.encode()) > MAX_BYTES:
            raise NotPossible(f"{path} would be larger than {MAX_BYTES} bytes")
        problem = _broken(text) if path.endswith(".py") else ""
        if problem and (before is None or not _broken(before)):
            raise NotPossible(f"{path} would not parse with this change ({problem}); nothing was changed")
        self._changed[path] = text


def _check_writable(text: str, name: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        writable = False
    else:
        writable = "\0" not in text
    if not writable:
        raise NotPossible(f"`{name}` contains NUL, or characters that UTF-8 cannot encode")


def _unix(text: str) -> str:
    return text.replace("\r\n", "\n")


def _places(text: str, part: str) -> list[int]:
    found: list[int] = []
    at = text.find(part)
    while at >= 0 and len(found) < 10:
        found.append(at)
        at = text.find(part, at + 1)
    return found


def _not_once(text: str, old: str, path: str, places: list[int]) -> str:
    if places:
        lines = ", ".join(str(text.count("\n", 0, at) + 1) for at in places)
        return f"`old` occurs {len(places)} times in {path} (lines {lines}): give more lines around it"
    first = next((line.strip() for line in old.split("\n") if line.strip()), "")
    near = [str(n) for n, line in enumerate(text.split("\n"), 1) if first and line.strip() == first][:5]
    hint = f"; a line like its first one is at {', '.join(near)}, perhaps indented otherwise" if near else ""
    return f"`old` does not occur in {path}{hint}: read the file and copy the lines exactly"


def _broken(text: str) -> str:
    try:
        ast.parse(text.removeprefix("\ufeff"))
    except SyntaxError as error:
        return f"{error.msg}, line {error.lineno}"
    except (ValueError, RecursionError, MemoryError) as error:
        return str(error)
    return ""


def _edits(path: str, before: str, after: str) -> list[Edit]:
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    starts = [0]
    for line in old:
        starts.append(starts[-1] + len(line))
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    return [
        Edit(path, starts[a], starts[b], "".join(new[c:d]))
        for tag, a, b, c, d in matcher.get_opcodes()
        if tag != "equal"
    ]

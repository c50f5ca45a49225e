"""The program as the model has changed it so far: texts in memory over a checkout that is never written to."""

import ast
import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from sandbox.confined_files import read_confined

from ..engine import Candidate
from ..source import MAX_BYTES, Edit, SourceFile
from ..test_command import python_files

MAX_READ_BYTES = 1 << 20
MAX_EDIT_CHARACTERS = 20_000
MAX_SCANNED_FILES = 3000


class NotPossible(ValueError):
    """What was asked for cannot be done; the message tells the model what to do instead."""


@dataclass(frozen=True)
class Hit:
    """A line that holds a text; `line` counts from 1."""

    path: str
    line: int
    text: str


class Workspace:
    """`sources` are the files that may be changed, `root` the folder of all."""

    def __init__(self, sources: Mapping[str, SourceFile], root: Path) -> None:
        self._sources = sources
        self._root = root
        self._changed: dict[str, str] = {}
        self._files: tuple[str, ...] | None = None

    def text(self, path: str) -> str:
        """A file's present text with `\\n` at its lines' ends. Raises `NotPossible`."""
        path = _plain(path)
        if path in self._changed:
            return _unix(self._changed[path])
        try:
            return _unix(read_confined(self._root, path, MAX_READ_BYTES).decode())
        except FileNotFoundError:
            raise NotPossible(f"there is no file {path!r}") from None
        except UnicodeDecodeError:
            raise NotPossible(f"{path!r} is no text") from None
        except (ValueError, OSError) as error:
            raise NotPossible(f"{path!r} cannot be read: {error}") from None

    def replace(self, path: str, old: str, new: str) -> int:
        """Replaces the one place of `old`; the line it begins on. Raises `NotPossible`."""
        path = _plain(path)
        source = self._sources.get(path)
        if source is None:
            raise NotPossible(f"{path!r} is no file that can be changed: only Python files that are no tests can")
        if not old or len(old) + len(new) > MAX_EDIT_CHARACTERS:
            raise NotPossible(f"`old` must not be empty, and both texts hold at most {MAX_EDIT_CHARACTERS} characters")
        if "\0" in new or not _writable(new):
            raise NotPossible("`new` holds characters that no UTF-8 file can hold")
        now = self._changed.get(path, source.text)
        old, new = (_unix(text).replace("\n", source.newline) for text in (old, new))
        if old == new:
            raise NotPossible("`old` and `new` are the same")
        places = _places(now, old)
        if len(places) != 1:
            raise NotPossible(_not_once(now, old, path, places))
        text = now[: places[0]] + new + now[places[0] + len(old) :]
        if len(text.encode()) > MAX_BYTES:
            raise NotPossible(f"{path} would grow above {MAX_BYTES} bytes")
        problem = _broken(text)
        if problem and not _broken(now):
            raise NotPossible(f"with this edit {path} would not parse ({problem}); nothing was changed")
        self._changed[path] = text
        return now.count("\n", 0, places[0]) + 1

    def find(self, words: str, most: int) -> Iterator[Hit]:
        """Lines of Python files that hold a text, tests included."""
        if self._files is None:
            self._files = tuple(python_files(self._root)[:MAX_SCANNED_FILES])
        found = 0
        for path in self._files:
            try:
                text = self.text(path)
            except NotPossible:
                continue
            if words not in text:
                continue
            for number, line in enumerate(text.split("\n"), 1):
                if words in line:
                    yield Hit(path, number, line.strip()[:160])
                    found += 1
                    if found >= most:
                        return

    def candidate(self) -> Candidate | None:
        """What has been changed, as edits of whole lines against the checkout; None when nothing is different."""
        edits: list[Edit] = []
        for path, text in sorted(self._changed.items()):
            edits.extend(_edits(path, self._sources[path].text, text))
        if not edits:
            return None
        first = edits[0]
        line = self._sources[first.path].line_of(first.start)
        return Candidate(tuple(edits), "model", 1.0, 1.0, first.path, line)


def _plain(path: str) -> str:
    return path.strip().removeprefix("/workspace/").removeprefix("./")


def _writable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


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

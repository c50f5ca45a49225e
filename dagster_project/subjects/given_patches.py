"""An engine that proposes given patches and searches for nothing, so that what happens to them measures the gate."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from assets.executions.engines.protocol import Candidate, FileChange, Observation, Problem
from assets.executions.engines.search.source import Edit, SourceFile
from assets.executions.engines.search.spectrum import Suspect
from core.work import ModelUse
from sandbox.confined_files import read_confined

MAX_BYTES = 1 << 20
_HUNK = re.compile(r"@@ -(\d+)(?:,(\d+))? \+\d+(?:,\d+)? @@")


class UnreadablePatch(ValueError):
    """A text that is not a unified diff, or that does not fit the files."""


@dataclass(frozen=True)
class Block:
    """Consecutive changed lines: `old` at line `start` (from 1) become `new`. Lines keep their ends."""

    start: int
    old: tuple[str, ...]
    new: tuple[str, ...]


@dataclass(frozen=True)
class FilePatch:
    """The changes of one file; `made` and `deleted` say that it does not exist before or after."""

    path: str
    made: bool
    deleted: bool
    blocks: tuple[Block, ...]


def file_patches(diff: str) -> list[FilePatch]:
    """Parses a unified diff. Unlike git, it accepts every path: refusing one is the task of who receives the change.
    Raises `UnreadablePatch`."""
    found: list[FilePatch] = []
    lines = diff.split("\n")
    at = 0
    while at < len(lines):
        if not lines[at].startswith("--- ") or at + 1 >= len(lines) or not lines[at + 1].startswith("+++ "):
            at += 1
            continue
        old, new = (line[4:].partition("\t")[0] for line in lines[at : at + 2])
        at, blocks = _blocks(lines, at + 2)
        path = (old if new == "/dev/null" else new)[2:]
        found.append(FilePatch(path, old == "/dev/null", new == "/dev/null", tuple(blocks)))
    if not found:
        raise UnreadablePatch("the patch changes no file")
    return found


def _blocks(lines: list[str], at: int) -> tuple[int, list[Block]]:
    """The blocks of the hunks that start at a line, and the line after them."""
    blocks: list[Block] = []
    while at < len(lines) and (head := _HUNK.match(lines[at])):
        line = int(head[1]) + (head[2] == "0")
        left = int(head[2] or 1)
        old: list[str] = []
        new: list[str] = []
        at += 1
        while at < len(lines) and lines[at][:1] in (" ", "+", "-", "\\") and (left > 0 or lines[at][:1] in "+\\"):
            mark, text = lines[at][:1], lines[at][1:]
            if mark == "\\":  # no newline at the end of the file
                last = new if lines[at - 1].startswith("+") else old
                if last:
                    last[-1] = last[-1].removesuffix("\n")
            elif mark == " ":
                if old or new:
                    blocks.append(Block(line - len(old), tuple(old), tuple(new)))
                    old, new = [], []
                line, left = line + 1, left - 1
            elif mark == "-":
                old.append(text + "\n")
                line, left = line + 1, left - 1
            else:
                new.append(text + "\n")
            at += 1
        if left:
            raise UnreadablePatch(f"a hunk at line {head[1]} ends early")
        if old or new:
            blocks.append(Block(line - len(old), tuple(old), tuple(new)))
    return at, blocks


def candidate_of(diff: str, sources: Mapping[str, SourceFile], root: Path) -> Candidate:
    """A diff as a candidate: edits of the sources, other files as a whole. Raises `UnreadablePatch` if lines that it
    removes are not there."""
    edits: list[Edit] = []
    whole: list[FileChange] = []
    for file in file_patches(diff):
        source = sources.get(file.path)
        if source is not None and not file.made and not file.deleted:
            edits.extend(_edit(source, block) for block in file.blocks)
        else:
            whole.append(_change(file, root))
    path, line = whole[0].path if whole else "", 1
    if edits:
        path, line = edits[0].path, sources[edits[0].path].line_of(edits[0].start)
    return Candidate(tuple(edits), "given", 1.0, 1.0, path, line, whole=tuple(whole))


def _edit(source: SourceFile, block: Block) -> Edit:
    """The block as an edit, without what both texts have in common at their start and end."""
    last = block.start > source.lines
    start = len(source.text) if last else source.line_start(block.start)
    old, new = "".join(block.old), "".join(block.new)
    if source.text[start : start + len(old)] != old:
        raise UnreadablePatch(f"{source.path}:{block.start} is not what the patch removes")
    head = 0
    while head < min(len(old), len(new)) and old[head] == new[head]:
        head += 1
    tail = 0
    while tail < min(len(old), len(new)) - head and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    return Edit(source.path, start + head, start + len(old) - tail, new[head : len(new) - tail])


def _change(file: FilePatch, root: Path) -> FileChange:
    if file.made:
        return FileChange(file.path, None, "".join(line for block in file.blocks for line in block.new))
    try:
        before = read_confined(root, file.path, MAX_BYTES).decode()
    except (OSError, ValueError) as error:
        raise UnreadablePatch(f"{file.path} cannot be changed: {error}") from error
    if file.deleted:
        return FileChange(file.path, before, None)
    lines = before.splitlines(keepends=True)
    for block in reversed(file.blocks):
        at = slice(block.start - 1, block.start - 1 + len(block.old))
        if tuple(lines[at]) != block.old:
            raise UnreadablePatch(f"{file.path}:{block.start} is not what the patch removes")
        lines[at] = block.new
    return FileChange(file.path, before, "".join(lines))


class GivenPatches:
    """Proposes the same patches, in order and together, for each set of failing tests.

    One patch is tried like a model's, in a fresh process; several compete like those of a search.
    """

    name = "given"
    ending = "every given patch was tried"
    use: ModelUse | None = None

    def __init__(self, diffs: Sequence[str], problem: Problem | None = None) -> None:
        self._diffs = tuple(diffs)
        self.deliberate = self.any_language = len(self._diffs) == 1
        self._candidates: Iterator[Candidate] = iter(())
        self.suspects: list[Suspect] = []
        self.generated = 0
        self.faults: list[str] = []
        self.notes: list[str] = []
        if problem is not None:
            self._candidates = iter([candidate_of(diff, problem.sources, problem.root) for diff in self._diffs])

    def start(self, problem: Problem) -> "GivenPatches":
        return GivenPatches(self._diffs, problem)

    def propose(self, count: int) -> list[Candidate]:
        found = [candidate for _, candidate in zip(range(count), self._candidates, strict=False)]
        self.generated += len(found)
        return found

    def observe(self, observations: list[Observation]) -> None:
        pass

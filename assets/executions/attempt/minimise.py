"""Makes a patch minimal: edits and hunks without which it still passes are left out, so that each one is needed.

Works on a candidate's edits and on the hunks of its whole-file changes. The caller decides what "passes" means; nothing
is run here.
"""

import ast
import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from assets.executions.engines.protocol import Candidate, FileChange
from assets.executions.engines.search.source import Edit, SourceFile, apply_edits

T = TypeVar("T")
MAX_CALLS = 40
MAX_LINES = 5_000
"""A change of a file with more lines is one part."""
StillPasses = Callable[[Candidate], bool]


@dataclass(frozen=True)
class Minimised:
    """`candidate` is the smallest that was found to pass, at worst the given one. `parts` and `kept` count edits and
    hunks before and after; `calls` counts trials; `minimal` says whether every part that is left was shown to be
    needed."""

    candidate: Candidate
    parts: int
    kept: int
    calls: int
    minimal: bool


@dataclass(frozen=True)
class _Hunk:
    """A part of the change of a whole file, as an edit of its old text; `change` alone is a file added or deleted."""

    change: FileChange
    edit: Edit | None = None


_Part = Edit | _Hunk


def minimise(
    candidate: Candidate, sources: Mapping[str, SourceFile], still_passes: StillPasses, calls: int = MAX_CALLS
) -> Minimised:
    """The candidate with as few of its edits and hunks as still pass, after at most `calls` trials. `still_passes` is
    not called for the candidate itself, nor for subsets that do not parse."""
    parts: list[_Part] = list(candidate.edits)
    for change in candidate.whole:
        parts += _hunks(change)
    parses = _parses(candidate, sources)

    def passes(subset: Sequence[_Part]) -> bool | None:
        made = _made(candidate, subset)
        if parses and not _parses(made, sources):
            return None
        return still_passes(made)

    found, used, minimal = minimal_subset(parts, passes, calls)
    made = candidate if len(found) == len(parts) else _made(candidate, found)
    return Minimised(made, len(parts), len(found), used, minimal)


def minimal_subset(
    parts: Sequence[T], passes: Callable[[Sequence[T]], bool | None], calls: int
) -> tuple[list[T], int, bool]:
    """A smallest passing subset in the sense of delta debugging (Zeller and Hildebrandt 2002, IEEE TSE 28:183): no
    single part of it can be left out. Also the number of calls, and whether they sufficed. `passes` returns None for a
    subset that cannot be tried, which costs no call."""
    kept = list(range(len(parts)))
    known: dict[tuple[int, ...], bool] = {}
    used = 0
    pieces = 2
    while len(kept) > 1:
        size = max(1, len(kept) // pieces)
        groups = [kept[at : at + size] for at in range(0, len(kept), size)]
        rests = [[n for n in kept if n not in set(group)] for group in groups]
        # With two groups, each is the other's rest.
        for subset in (*(groups if len(groups) > 2 else ()), *rests):
            key = tuple(subset)
            if not subset or len(subset) == len(kept):
                continue
            if key not in known:
                if used >= calls:
                    return [parts[n] for n in kept], used, False
                answer = passes([parts[n] for n in subset])
                used += answer is not None
                known[key] = bool(answer)
            if known[key]:
                kept, pieces = subset, max(2, pieces - 1)
                break
        else:
            if size == 1:
                break
            pieces = min(len(kept), pieces * 2)
    return [parts[n] for n in kept], used, True


def _hunks(change: FileChange) -> list[_Part]:
    """The change of a text as edits, one for each run of changed lines."""
    if change.before is None or change.after is None:
        return [_Hunk(change)]
    old, new = _lines(change.before), _lines(change.after)
    if max(len(old), len(new)) > MAX_LINES:
        return [_Hunk(change)]
    starts = [0]
    for line in old:
        starts.append(starts[-1] + len(line))
    found: list[_Part] = []
    for tag, a, b, c, d in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag != "equal":
            found.append(_Hunk(change, Edit(change.path, starts[a], starts[b], "".join(new[c:d]))))
    return found or [_Hunk(change)]


def _made(candidate: Candidate, parts: Sequence[_Part]) -> Candidate:
    """The candidate with these parts only. A parent that had exactly these edits is returned instead."""
    edits = tuple(part for part in parts if isinstance(part, Edit))
    hunks = [part for part in parts if isinstance(part, _Hunk)]
    whole: list[FileChange] = []
    for change in candidate.whole:
        own = [hunk for hunk in hunks if hunk.change is change]
        if own and (own[0].edit is None or change.before is None):
            whole.append(change)
        elif own and change.before is not None:
            text = apply_edits(change.before, tuple(hunk.edit for hunk in own if hunk.edit is not None))
            whole.append(FileChange(change.path, change.before, text))
    for parent in candidate.parents:
        if not whole and not parent.whole and set(parent.edits) == set(edits):
            return parent
    path = edits[0].path if edits and candidate.path not in {edit.path for edit in edits} else candidate.path
    return replace(candidate, edits=edits, whole=tuple(whole), path=path)


def _parses(candidate: Candidate, sources: Mapping[str, SourceFile]) -> bool:
    try:
        for path, text in candidate.files(sources).items():
            if text is not None and path.endswith(".py"):
                ast.parse(text.removeprefix("\ufeff"))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)

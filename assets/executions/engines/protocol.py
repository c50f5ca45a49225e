"""The protocol of engines, which propose candidate patches and observe what became of them.

`search` works without a model, `model` with a chat model, `hybrid` with both. The attempt does everything else: the
baseline, the sandbox, trying, verifying, counting and the trajectory.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from assets.executions.engines.search.source import Edit, SourceFile, apply_edits
from assets.executions.engines.search.spectrum import Placed
from assets.executions.trial.baseline import Baseline
from assets.executions.trial.targets import TargetSet
from core.work import Location, ModelUse, TaskContext
from sandbox.checks import Diagnostic

OutcomeT = TypeVar("OutcomeT")
SearchIndex = Callable[[str, int], Sequence[Location]]
"""Returns the likeliest places in the repository for a text, at most a given number."""


@dataclass(frozen=True, slots=True)
class FileChange:
    """A change of a whole text file: `before` is None for a new file, `after` for a deleted one."""

    path: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class Candidate:
    """A candidate patch. `priority` orders trials; `weight` is the operator's prior times its boosts; `path` and `line`
    are those of the suspicious statement. `edits` change parsed sources; `whole` changes other files, and adds or
    deletes files. `parents` are the candidates that were combined. `deliberate`: it is one of few that were carefully
    made, and is tried at once, in a fresh process, and observed with the full message of its failure."""

    edits: tuple[Edit, ...]
    operator: str
    priority: float
    weight: float
    path: str
    line: int
    parents: tuple["Candidate", ...] = ()
    whole: tuple[FileChange, ...] = ()
    deliberate: bool = False

    @property
    def key(self) -> tuple[Edit | FileChange, ...]:
        if len(self.edits) == 1:
            return (*self.edits, *self.whole)
        return (*sorted(self.edits, key=lambda e: (e.path, e.start, e.end)), *self.whole)

    def before(self, sources: Mapping[str, SourceFile]) -> dict[str, str | None]:
        """The old text of every file that the candidate changes; None for a new one."""
        edited: dict[str, str | None] = {edit.path: sources[edit.path].text for edit in self.edits}
        return edited | {change.path: change.before for change in self.whole}

    def files(self, sources: Mapping[str, SourceFile]) -> dict[str, str | None]:
        """The new text of every file that the candidate changes; None for one that is deleted."""
        by_path: dict[str, list[Edit]] = {}
        for edit in self.edits:
            by_path.setdefault(edit.path, []).append(edit)
        edited: dict[str, str | None] = {
            path: apply_edits(sources[path].text, tuple(edits)) for path, edits in by_path.items()
        }
        return edited | {change.path: change.after for change in self.whole}


@dataclass(frozen=True)
class Observation:
    """What became of a candidate. `status`: `pass` (every target passes), `regress` (every target passes, but the test
    `broken` does not), `fail`, `hang`, `crash`, `compile` (it does not compile). Later for one that passed: `rejected`
    (the gate rejects it), `draft` (it is good for a draft only), `known` (the same change was verified before), and
    `broken` says why. `passed`: indices of the targets that passed. `signature`: identifies the first failure."""

    candidate: Candidate
    status: str
    passed: tuple[int, ...] = ()
    signature: str = ""
    broken: str = ""
    message: str = ""
    """The first failure's message; for deliberate candidates only."""


@dataclass(frozen=True)
class Checked:
    """What the repository's own checkers say about changes: `new` diagnostics that the unchanged files do not have, how
    many of theirs are gone, and the names of the checkers that ran."""

    new: tuple[Diagnostic, ...] = ()
    gone: int = 0
    ran: tuple[str, ...] = ()


@dataclass(frozen=True)
class Coverage:
    """What tests execute, as lines by path: one entry for each failing and each passing test that was run for it."""

    failing: tuple[Mapping[str, frozenset[int]], ...] = ()
    passing: tuple[Mapping[str, frozenset[int]], ...] = ()


@dataclass(frozen=True)
class Spoken:
    """What somebody said about the task while the attempt ran, and the places that it names."""

    author: str
    text: str
    places: tuple[Location, ...] = ()


def nobody() -> Sequence[Spoken]:
    return ()


@dataclass(frozen=True)
class Problem:
    """What an engine works on: failing tests that must pass, and what is known about them."""

    issue: str
    targets: TargetSet
    baseline: Baseline
    context: TaskContext
    sources: Mapping[str, SourceFile]
    """Files that may be edited, parsed."""
    test_sources: Mapping[str, str]
    """The text of each target test."""
    should_stop: Callable[[], bool]
    root: Path
    """The checkout, read-only."""
    until: float
    """The deadline, on `clock`."""
    record: Callable[[str, dict[str, Any]], object]
    """Appends to the trajectory: an action before it begins, an observation after."""
    refusal: Callable[[str], str | None]
    """Why a file outside `sources` may not be added, changed or deleted; None if it may."""
    search: SearchIndex | None = None
    """Finds places in the repository; None without an index."""
    check: Callable[[Mapping[str, str | None]], Checked] | None = None
    """Runs the repository's linters, type checkers and compilers on changed files (text by path, None: deleted)."""
    spoken: Callable[[], Sequence[Spoken]] = nobody
    """All that people have said since the attempt began. An engine that acts on it asks between its actions."""
    already: int = 0
    """How many of `spoken` are part of `issue`."""
    perform: "Perform | None" = None
    """Carries out an action whose outcome is kept, so that a resumed attempt does not do it again; see `carry_out`."""
    clock: Callable[[], float] = time.monotonic
    """Seconds; stands still while an attempt is resumed."""
    cover: Callable[[], Coverage | None] | None = None
    """Measures what the targets and passing tests beside them execute, in other languages than Python, where the
    baseline does not; its answer is None where that is not possible."""
    language: str = "Python"
    suffixes: tuple[str, ...] = (".py",)
    """Of the program's files, which are in `sources` if it is written in Python."""

    def carry_out(
        self,
        kind: str,
        body: dict[str, Any],
        key: object,
        run: Callable[[], OutcomeT],
        *,
        encode: Callable[[OutcomeT], Any],
        decode: Callable[[Any], OutcomeT],
    ) -> OutcomeT:
        """The outcome of an action of the engine's own, as `Journal.perform`, which `perform` is in an attempt."""
        if self.perform is not None:
            return self.perform(kind, body, key, run, encode=encode, decode=decode)
        self.record(kind, body)
        return run()


class Perform(Protocol):
    """`Journal.perform`."""

    def __call__(
        self,
        kind: str,
        body: dict[str, Any],
        key: object,
        run: Callable[[], OutcomeT],
        *,
        encode: Callable[[OutcomeT], Any],
        decode: Callable[[Any], OutcomeT],
    ) -> OutcomeT: ...


class Engine(Protocol):
    """Proposes candidates and observes their outcome, until it has nothing more to propose."""

    @property
    def name(self) -> str: ...

    @property
    def deliberate(self) -> bool:
        """Whether all its candidates are few and carefully made: the likeliest failing tests then get all the time."""

    @property
    def any_language(self) -> bool:
        """Whether it repairs programs in other languages than Python too."""

    @property
    def notes(self) -> list[str]:
        """Sentences for the report: what it could not use."""

    @property
    def ending(self) -> str:
        """Why it proposes nothing more, as a clause of a sentence."""

    @property
    def use(self) -> ModelUse | None:
        """The use of a model so far; None for an engine without one."""

    @property
    def suspects(self) -> Sequence[Placed]:
        """The statements or lines that may be at fault, most suspicious first."""

    @property
    def generated(self) -> int:
        """How many candidates it has made for the current problem, proposed or not."""

    @property
    def faults(self) -> list[str]:
        """Errors inside the engine that did not end it."""

    def start(self, problem: Problem) -> "Engine":
        """An engine that works on this problem. Called again with other targets when the first ones lead to no patch;
        unless the engine is deliberate, those returned earlier remain usable."""

    def propose(self, count: int) -> list[Candidate]:
        """Up to `count` candidates that have not been proposed before; empty when there are no more."""

    def observe(self, observations: list[Observation]) -> None:
        """Receives what became of proposed candidates, in order."""

"""What an engine is: something that proposes candidate patches and is told what became of them.

`search` is one; `model` asks a chat model. The execution loop owns everything else: the baseline, the
sandbox, trying, verifying, counting and the trajectory.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from assets.executions.engines.search.source import Edit, SourceFile, apply_edits
from assets.executions.engines.search.spectrum import Suspect
from assets.executions.trial.baseline import Baseline
from assets.executions.trial.targets import TargetSet
from core.work import Location, ModelUse, TaskContext

SearchIndex = Callable[[str, int], Sequence[Location]]
"""The likeliest places of the repository for a text, at most so many."""


@dataclass(frozen=True, slots=True)
class FileChange:
    """A text file as a whole: `before` is None for a new one, `after` for one that is deleted."""

    path: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class Candidate:
    """Edits that belong together. `priority` orders trying; `weight` is the operator's prior with its boosts;
    `line` is where the suspicious statement stands. `edits` are within sources; `whole` are files that are none, and
    files that come or go."""

    edits: tuple[Edit, ...]
    operator: str
    priority: float
    weight: float
    path: str
    line: int
    parents: tuple["Candidate", ...] = ()
    whole: tuple[FileChange, ...] = ()

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
    """What became of a candidate. `status`: `pass` (every target passes), `regress` (so it does, but breaks
    `broken`), `rejected` (so it does, but the gate does not let it out, as `broken` says), `fail`, `hang`, `crash`,
    `compile`. `passed`: indices of the targets that passed."""

    candidate: Candidate
    status: str
    passed: tuple[int, ...] = ()
    signature: str = ""
    line: tuple[str, int] | None = None
    broken: str = ""
    said: str = ""
    """The first failure's message; for deliberate engines only."""


@dataclass(frozen=True)
class Problem:
    """What an engine works on: failing tests to be made to pass, and what is known about them."""

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
    """The checkout, which is only read."""
    until: float
    """On the monotonic clock."""
    record: Callable[[str, dict[str, Any]], object]
    """Appends to the trajectory: an action before it begins, an observation after."""
    refusal: Callable[[str], str | None]
    """Why a file that is not among `sources` may not be made, changed or deleted; None where it may."""
    search: SearchIndex | None = None
    """Finds places in the repository; None where there is no index."""


class Engine(Protocol):
    """Proposes and observes until it has nothing more to propose."""

    @property
    def name(self) -> str: ...

    @property
    def deliberate(self) -> bool:
        """Whether its candidates are few and thought out: each is then tried in a fresh process with its failure
        told in full, and one that verification turns down is observed too."""

    @property
    def ending(self) -> str:
        """Why it proposes nothing more, as the end of a sentence."""

    @property
    def use(self) -> ModelUse | None:
        """What a model was used for, so far; None without one."""

    @property
    def suspects(self) -> list[Suspect]:
        """Where it looks, most suspicious first; empty when it has nowhere to look."""

    @property
    def generated(self) -> int:
        """How many candidates it has made for the current problem, proposed or not."""

    @property
    def faults(self) -> list[str]:
        """What went wrong inside the engine without ending it."""

    def start(self, problem: Problem) -> "Engine":
        """Takes on a problem: the engine to ask for its candidates. Called again with other targets when the first ones
        lead nowhere; unless it is deliberate, what was returned before can still be asked then."""

    def propose(self, count: int) -> list[Candidate]:
        """Up to `count` candidates that have not been proposed before; empty when there are no more."""

    def observe(self, observations: list[Observation]) -> None:
        """What became of proposed candidates, in order."""

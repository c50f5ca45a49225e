"""An engine whose candidates are defined by a test."""

from collections.abc import Callable, Iterator

from assets.executions.engines.protocol import Candidate, Observation, Problem
from assets.executions.engines.search.source import Edit
from assets.executions.engines.search.spectrum import Suspect
from core.work import ModelUse

Script = Callable[[Problem], Iterator[Candidate]]


def replacing(problem: Problem, path: str, old: str, new: str, priority: float = 1.0) -> Candidate:
    """The candidate that replaces a text which occurs once."""
    source = problem.sources[path]
    start = source.text.index(old)
    edit = Edit(path, start, start + len(old), new)
    return Candidate((edit,), "scripted", priority, priority, path, source.line_of(start))


class ScriptedEngine:
    """Proposes what `script(problem)` yields, one candidate at a time."""

    name = "scripted"
    deliberate = any_language = False
    ending = "the script is at its end"
    use: ModelUse | None = None

    def __init__(self, script: Script, problem: Problem | None = None) -> None:
        self._script = script
        self._candidates = script(problem) if problem else iter(())
        self.suspects: list[Suspect] = []
        self.generated = 0
        self.faults: list[str] = []
        self.notes: list[str] = []
        self.observed: list[Observation] = []

    def start(self, problem: Problem) -> "ScriptedEngine":
        started = ScriptedEngine(self._script, problem)
        started.observed = self.observed
        return started

    def propose(self, count: int) -> list[Candidate]:
        found = [candidate for candidate in [next(self._candidates, None)] if candidate is not None]
        self.generated += len(found)
        return found

    def observe(self, observations: list[Observation]) -> None:
        self.observed.extend(observations)

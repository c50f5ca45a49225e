"""The engine `auto`: one of the others, chosen by rules once the attempt knows the facts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from assets.executions.engines.protocol import Candidate, Engine, Observation, Problem
from assets.executions.engines.search.spectrum import Placed
from core.engine_rules import EngineRule, Facts, choose_engine
from core.work import ModelUse


@dataclass
class AutoEngine:
    """`open` opens an engine by its name; `model`: a chat model is configured. The chosen engine does everything, so
    `choose` comes first."""

    rules: tuple[EngineRule, ...]
    model: bool
    open: Callable[[str], Engine]
    _chosen: Engine | None = None

    def choose(self, language: str, seconds: float, *, searchable: bool, derived: bool) -> str:
        """Chooses the engine by these facts (see `Facts`), and returns why. Raises what opening it raises."""
        facts = Facts(language.lower(), searchable, derived, seconds, self.model)
        name, why = choose_engine(self.rules, facts)
        self._chosen = self.open(name)
        return why

    @property
    def _engine(self) -> Engine:
        if self._chosen is None:
            raise RuntimeError("no engine is chosen yet")
        return self._chosen

    @property
    def name(self) -> str:
        return self._chosen.name if self._chosen is not None else "auto"

    @property
    def any_language(self) -> bool:
        return self._chosen.any_language if self._chosen is not None else self.model

    @property
    def use(self) -> ModelUse | None:
        return self._chosen.use if self._chosen is not None else None

    @property
    def deliberate(self) -> bool:
        return self._chosen is not None and self._chosen.deliberate

    @property
    def ending(self) -> str:
        return self._engine.ending

    @property
    def suspects(self) -> Sequence[Placed]:
        return self._engine.suspects

    @property
    def generated(self) -> int:
        return self._engine.generated

    @property
    def faults(self) -> list[str]:
        return self._engine.faults

    @property
    def notes(self) -> list[str]:
        return self._engine.notes

    def start(self, problem: Problem) -> Engine:
        return self._engine.start(problem)

    def propose(self, count: int) -> list[Candidate]:
        return self._engine.propose(count)

    def observe(self, observations: list[Observation]) -> None:
        self._engine.observe(observations)

"""The engine `hybrid`: search first, then a chat model that names places and proposes edits; tests decide.

1. The search tries edits until its share of the time is over, nothing is left, or what is left is unlikely.
2. The model is asked which places are at fault. Those that exist become more suspicious, and the search goes on.
3. The model is asked several times for a whole change. Equal answers are one candidate.
4. The model works with tools, as in the engine `model`, and knows what was found out.
5. The search uses the time that is left.

Without a model, or once its server does not answer, it is the search alone, and says so.
"""

from dataclasses import dataclass, field, replace
from enum import IntEnum, auto

from assets.executions.engines.protocol import Candidate, Observation, Problem
from assets.executions.engines.search.engine import Search
from assets.executions.engines.search.spectrum import Suspect
from core.chat.protocol import ChatUnavailable
from core.work import ModelUse

from .advice import Advice
from .learnt import Learnt
from .normal import normal_form
from .samples import Group

FIRST_SHARE, FIRST_SECONDS = 0.4, 60.0
"""The search's first turn ends after this share of the time, at most so many seconds."""
AGAIN_SHARE, AGAIN_SECONDS = 0.2, 30.0
"""Likewise its turn with the model's places."""
MODEL_SHARE = 0.9
"""The model is asked nothing more after this share of the time."""
LEAST_TRIED, UNLIKELY = 400, 0.02
"""A turn ends when this many candidates were proposed in it and the next one has less than this part of the highest
priority."""


AS_SEARCH = "the engine hybrid worked as search."
"""The end of a note that says why."""


class Turn(IntEnum):
    FIRST = auto()
    PLACES = auto()
    AGAIN = auto()
    SAMPLES = auto()
    TOOLS = auto()
    REST = auto()


@dataclass
class _Shared:
    """What the engines of all sets of target tests share. `advice` is None without a model."""

    advice: Advice | None
    notes: list[str] = field(default_factory=list)
    ended: str = ""
    """How the model's work ended, as a clause."""


class HybridEngine:
    """Opened for one attempt. Without `advice` it is the search, and `why_alone` says why."""

    name = "hybrid"

    def __init__(self, search: Search, advice: Advice | None, why_alone: str = "") -> None:
        notes = [f"{why_alone.rstrip('.')}: {AS_SEARCH}"] if why_alone else []
        self._shared = _Shared(advice, notes)
        self._search = search
        self.deliberate = False
        self.suspects: list[Suspect] = []
        self._proposed = 0

    def start(self, problem: Problem) -> "HybridEngine":
        python = problem.language == "Python"
        started = HybridEngine(self._search.start(problem) if python else self._search, None)
        started._shared = self._shared
        started._begin(problem)
        return started

    def _begin(self, problem: Problem) -> None:
        self._problem = problem
        self.suspects = self._search.suspects
        python = problem.language == "Python"
        self.deliberate = not python
        began = problem.clock()
        total = max(0.0, problem.until - began)
        self._limited = replace(problem, until=began + MODEL_SHARE * total)
        self._turn = Turn.FIRST if python else Turn.TOOLS
        self._turn_until = began + min(FIRST_SHARE * total, FIRST_SECONDS)
        self._again_seconds = min(AGAIN_SHARE * total, AGAIN_SECONDS)
        self._in_turn = 0
        self._top = 0.0
        self._unverified = 0
        self._learnt = Learnt(problem.sources)
        self._groups: list[Group] = []
        self._outcomes: dict[str, Observation] = {}
        self._sampled = self._told = False

    # -- what is asked of every engine -------------------------------------------------------------------------

    @property
    def any_language(self) -> bool:
        return self._shared.advice is not None

    @property
    def ending(self) -> str:
        searched = "every candidate that the operators proposed was tried"
        if self._shared.ended:
            return f"{searched}, and {self._shared.ended}" if not self.deliberate else self._shared.ended
        return searched

    @property
    def use(self) -> ModelUse | None:
        use = self._shared.advice.use if self._shared.advice is not None else None
        return use.model_copy(update={"ended": self._shared.ended or use.ended}) if use is not None else None

    @property
    def generated(self) -> int:
        return self._search.generated + self._proposed

    @property
    def faults(self) -> list[str]:
        return self._search.faults

    @property
    def notes(self) -> list[str]:
        return self._shared.notes

    def propose(self, count: int) -> list[Candidate]:
        """Candidates of the present turn; empty while one of the model's is verified, and at the end."""
        while not self._problem.should_stop():
            advice = self._shared.advice
            if advice is None or self._shared.ended or self._turn is Turn.REST:
                return [] if self.deliberate else self._search.propose(count)
            if self._turn in (Turn.FIRST, Turn.AGAIN):
                found = self._search.propose(count)
                if found and (self._unverified or not self._is_over(found)):
                    self._in_turn += len(found)
                    return found
                self._search.put_back(found)
                if not self._unverified:
                    self._next_turn()
                    continue
            if self._unverified:
                return []
            try:
                found = self._advised(advice)
            except ChatUnavailable as error:
                if self.deliberate:
                    raise
                self._shared.notes.append(f"The chat model's server does not answer ({error}): {AS_SEARCH}")
                self._end_of_model("the chat model's server does not answer")
                continue
            if found or advice.model.awaits_verdict:
                return found
        return []

    def observe(self, observations: list[Observation]) -> None:
        self._learnt.add(observations)
        for observation in observations:
            candidate = observation.candidate
            if observation.status == "pass":
                self._unverified += 1
            elif observation.status in ("rejected", "draft", "known"):
                self._unverified = max(0, self._unverified - 1)
            if candidate.deliberate:
                self._outcomes[normal_form(candidate, self._problem.sources)] = observation
        advice = self._shared.advice
        if advice is not None and self._told:
            advice.model.observe([one for one in observations if one.candidate.deliberate])
        if any(one.candidate.deliberate and one.status == "draft" for one in observations):
            self._end_of_model("the model's change is good for a draft")
        # Edits of the model that make progress are combined with those of the search.
        if not self.deliberate:
            self._search.observe([one for one in observations if one.candidate.edits and not one.candidate.whole])

    # -- the turns ---------------------------------------------------------------------------------------------

    def _is_over(self, found: list[Candidate]) -> bool:
        """Whether the search's turn ends before these candidates."""
        self._top = max(self._top, *(candidate.priority for candidate in found))
        unlikely = self._in_turn >= LEAST_TRIED and found[0].priority < UNLIKELY * self._top
        return unlikely or self._problem.clock() >= self._turn_until

    def _next_turn(self) -> None:
        self._turn, self._in_turn = Turn(self._turn + 1), 0
        self._problem.record("turn", {"turn": self._turn.name.lower(), "candidates": self.generated})

    def _advised(self, advice: Advice) -> list[Candidate]:
        """What the model proposes in its turn; empty when its turn is over or its candidate is being verified."""
        if advice.open(self._limited):
            self._told = False
        if self._turn is Turn.PLACES:
            lines = advice.places(self._limited, self._ranked, self._learnt.text)
            self._next_turn()
            if not self._search.suspect(lines):
                self._next_turn()
            self._turn_until = self._problem.clock() + self._again_seconds
            return []
        return self._from_samples(advice) if self._turn is Turn.SAMPLES else self._from_tools(advice)

    @property
    def _ranked(self) -> list[Suspect]:
        return sorted(self.suspects, key=lambda suspect: -suspect.score)

    def _from_samples(self, advice: Advice) -> list[Candidate]:
        if not self._sampled:
            self._sampled = True
            self._groups = list(advice.edits(self._limited, self._ranked, self._learnt.text).groups)
        while self._groups:
            group = self._groups.pop(0)
            if group.form not in self._outcomes:
                return self._proposing(group.candidate)
        self._next_turn()
        return []

    def _from_tools(self, advice: Advice) -> list[Candidate]:
        if not self._told:
            self._told = True
            advice.tell(self._ranked, self._learnt.text)
        for candidate in advice.model.propose(1):
            known = self._outcomes.get(normal_form(candidate, self._problem.sources))
            if known is None:
                return self._proposing(candidate)
            self._problem.record("observed", {"same as before": known.status})
            advice.model.observe([replace(known, candidate=candidate)])
            return []
        if advice.model.ending and not advice.model.awaits_verdict:
            self._end_of_model(advice.model.ending)
        return []

    def _proposing(self, candidate: Candidate) -> list[Candidate]:
        self._proposed += 1
        return [candidate]

    def _end_of_model(self, why: str) -> None:
        self._shared.ended, self._turn = why, Turn.REST
        self._problem.record("turn", {"turn": "rest", "why": why, "candidates": self.generated})

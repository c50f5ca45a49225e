"""What the engine `hybrid` asks its chat model: for places, for samples of edits, and for a repair with tools.

All of it stays within one set of bounds, those of the engine `model`, and is shared by all sets of target tests.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from assets.executions.engines.model.briefing import places_text, tests_text
from assets.executions.engines.model.engine import ModelEngine
from assets.executions.engines.model.prompts import data, read_prompts
from assets.executions.engines.model.tools import cut
from assets.executions.engines.protocol import Problem
from assets.executions.engines.search.spectrum import Suspect
from core.chat.protocol import ChatModel
from core.work import ModelUse

from .places import MOST, Places, lines_of
from .samples import Proposal, Sampled, grouped

VERSION = "v1"
PROMPTS = read_prompts(Path(__file__).parent / "prompts" / VERSION, ("system", "places", "edits", "learnt"), "hybrid")
_SHOWN_FUNCTIONS, _AROUND, _LONGEST = 6, 8, 120
Sampler = Callable[[int], ChatModel]
"""The chat model for a sample, by its number from 0: the same one, with a seed and a temperature of its own."""


@dataclass
class Advice:
    """A chat model for one attempt, and how often it was asked. `samples` answers are asked for at once."""

    model: ModelEngine
    sampler: Sampler
    samples: int = 3
    asked: bool = False
    abstained: list[str] = field(default_factory=list)
    """What the model said that it does not know."""

    @property
    def use(self) -> ModelUse | None:
        """None before the first question."""
        if not self.asked:
            return None
        use = self.model.use
        return use.model_copy(update={"prompts": {**use.prompts, **PROMPTS.hashes}})

    _problem: Problem | None = None

    def open(self, problem: Problem) -> bool:
        """Turns to a problem; false when it is the present one."""
        if self._problem is problem:
            return False
        self._problem = problem
        self.model.survives = problem.language == "Python"
        self.model.start(problem)
        return True

    def places(self, problem: Problem, suspects: list[Suspect], learnt: str) -> dict[str, set[int]]:
        """Lines that the model holds to be at fault, by path; only such that exist. Raises `ChatUnavailable`."""
        self.asked = True
        question = self._question("places", problem, suspects, learnt, most=str(MOST))
        answer = self.model.consult("places", self._rules(problem), question, Places)
        if answer is None:
            return {}
        if not answer.known:
            self.abstained.append("which places are at fault")
        lines, unknown = lines_of(answer, problem.sources)
        kept = {path: len(numbers) for path, numbers in sorted(lines.items())}
        problem.record("observed", {"places": kept, "unknown": unknown, "known": answer.known})
        return lines

    def edits(self, problem: Problem, suspects: list[Suspect], learnt: str) -> Sampled:
        """Several answers to the question for a patch, grouped. Raises `ChatUnavailable`."""
        self.asked = True
        question = self._question("edits", problem, suspects, learnt)
        answers: list[Proposal | None] = []
        for number in range(self.samples):
            if self.model.ending or problem.should_stop():
                break
            answer = self.model.consult("edits", self._rules(problem), question, Proposal, self.sampler(number))
            if answer is not None or not self.model.ending:
                answers.append(answer)
        found = grouped(answers, problem)
        if found.guesses:
            self.abstained.append("which change is right")
        said = {"groups": [group.answers for group in found.groups], "abstained": found.abstained}
        problem.record("observed", {**said, "unusable": list(found.unusable)})
        return replace(found, groups=()) if found.guesses else found

    def tell(self, suspects: list[Suspect], learnt: str) -> None:
        """Begins the conversation with tools, which tells what was found out so far."""
        self.asked = True
        self.model.suspects = suspects
        self.model.begin(PROMPTS.fill("learnt", learnt=data("findings", cut(learnt, self._most))))

    @property
    def _most(self) -> int:
        """Characters of one part of a question."""
        return min(12_000, self.model.room // 8)

    def _rules(self, problem: Problem) -> str:
        return PROMPTS.fill("system", language=problem.language)

    def _question(self, name: str, problem: Problem, suspects: list[Suspect], learnt: str, **more: str) -> str:
        most = self._most
        return PROMPTS.fill(
            name,
            issue=data("issue", cut(problem.issue, most)),
            tests=data("failing tests", cut(tests_text(problem), most)),
            places=data("places", cut(places_text(suspects, problem), most)),
            learnt=data("findings", cut(learnt, most)),
            code=data("program", code_text(suspects, most) or "unknown"),
            **more,
        )


def code_text(suspects: Sequence[Suspect], most: int) -> str:
    """The functions of the most suspicious statements, each once, without line numbers; at most `most` characters."""
    shown: dict[tuple[str, int], str] = {}
    size = 0
    for suspect in suspects:
        source, statement = suspect.source, suspect.statement
        if source.syntax_error is not None or len(shown) == _SHOWN_FUNCTIONS:
            continue
        function = source.function_of(statement)
        if function is not None:
            first, last = source.first_line(function), function.end_lineno or function.lineno
        else:
            first, last = max(1, statement.lineno - _AROUND), min(source.lines, statement.lineno + _AROUND)
        if last - first > _LONGEST:
            first = max(first, statement.lineno - _LONGEST // 2)
            last = min(last, first + _LONGEST)
        if (source.path, first) in shown:
            continue
        text = "\n".join(source.line_text(line) for line in range(first, last + 1))
        text = f"{source.path}, from line {first}:\n{text}"
        if size + len(text) > most:
            break
        size += len(text)
        shown[source.path, first] = text
    return "\n\n".join(shown.values())

"""Several answers of a model to the question for a patch, grouped: equal changes are one candidate."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pydantic import BaseModel, ConfigDict, Field

from assets.executions.engines.model.workspace import NotPossible, Workspace
from assets.executions.engines.protocol import Candidate, Problem

from .normal import changes_program, normal_form

MOST_EDITS = 12


class Replacement(BaseModel):
    model_config = ConfigDict(frozen=True)

    path: str = Field(max_length=1000, description="A file, relative to the repository's root.")
    old: str = Field(description="The exact text to be replaced, which must occur once.")
    new: str = Field(description="What stands there afterwards.")


class Proposal(BaseModel):
    """`known` is false when the model does not know."""

    model_config = ConfigDict(frozen=True)

    known: bool = Field(description="False if you do not know a change that is right.")
    edits: tuple[Replacement, ...] = Field(default=(), description="The edits of one change.")


@dataclass(frozen=True)
class Group:
    """A candidate with the number of answers that it stands for, and its normal form."""

    candidate: Candidate
    answers: int
    form: str


@dataclass(frozen=True)
class Sampled:
    """`groups`, the largest first; `abstained`: how many answers said that the model does not know; `unusable`: why
    others give no candidate."""

    groups: tuple[Group, ...] = ()
    abstained: int = 0
    unusable: tuple[str, ...] = ()

    @property
    def guesses(self) -> bool:
        """Whether most answers say that the model does not know, so that the others are guesses."""
        return self.abstained > len(self.unusable) + sum(group.answers for group in self.groups)


def grouped(answers: Sequence[Proposal | None], problem: Problem) -> Sampled:
    """Groups answers by what they change; None is an answer that could not be read."""
    counted: dict[str, Group] = {}
    unusable: list[str] = []
    abstained = 0
    for answer in answers:
        made = "the answer could not be read" if answer is None else _candidate(answer, problem)
        if made is None:
            abstained += 1
        elif isinstance(made, str):
            unusable.append(made)
        else:
            form = normal_form(made, problem.sources)
            known = counted.setdefault(form, Group(made, 0, form))
            counted[form] = replace(known, answers=known.answers + 1)
    groups = sorted(counted.values(), key=lambda group: -group.answers)
    return Sampled(tuple(groups), abstained, tuple(unusable))


def _candidate(answer: Proposal, problem: Problem) -> Candidate | str | None:
    """None for an answer that the model does not know; a text for one that gives no candidate."""
    if not answer.known:
        return None
    if not 0 < len(answer.edits) <= MOST_EDITS:
        return f"{len(answer.edits)} edits"
    workspace = Workspace(problem.sources, problem.root, problem.refusal, problem.suffixes)
    try:
        for edit in answer.edits:
            workspace.replace(edit.path, edit.old, edit.new)
        candidate = workspace.candidate()
    except NotPossible as reason:
        return str(reason)[:500]
    if candidate is None or not changes_program(candidate, problem.sources):
        return "nothing but formatting is different"
    return candidate

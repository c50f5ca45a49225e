"""Which engine works on a task: rules over a few general facts. Pure functions.

A rule is `ENGINE` or `ENGINE:CONDITION+CONDITION`, as in `search:no-model` or `model:go+over-60s`. The first rule whose
conditions all hold decides; one whose engine cannot work on the task is passed over. The setting `engine_rules` holds
them, for tasks whose engine is `auto`.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

ENGINES = ("search", "model", "hybrid")
DEFAULT_RULES = ("search:no-model", "model:other-language", "search:under-20s", "hybrid")
MOST_RULES = 20
LANGUAGES = ("python", "go", "javascript", "rust", "java", "c")
_SECONDS = re.compile(r"(under|over)-(\d{1,6})s")
_FLAGS = {
    "failing-test": "a test of the repository fails",
    "derived-test": "the failing test was derived from the task's text",
    "model": "a chat model is configured",
    "no-model": "no chat model is configured",
    "other-language": "the program is not written in Python",
    **{name: f"the program's language is {name}" for name in LANGUAGES},
}


class BadEngineRule(ValueError):
    """A rule cannot be read; the message quotes it and says how rules are written."""


@dataclass(frozen=True)
class Facts:
    """`language` in lower case; `searchable`: the engine `search` repairs programs in it; `derived`: the failing test
    was derived from the task's text, so that none of the repository's own fails for it; `seconds` is the attempt's
    budget; `model`: a chat model is configured."""

    language: str
    searchable: bool
    derived: bool
    seconds: float
    model: bool

    def hold(self, condition: str) -> bool:
        """Whether a condition of a rule holds."""
        if bound := _SECONDS.fullmatch(condition):
            limit = float(bound[2])
            return self.seconds < limit if bound[1] == "under" else self.seconds >= limit
        return {
            "failing-test": not self.derived,
            "derived-test": self.derived,
            "model": self.model,
            "no-model": not self.model,
            "other-language": self.language != "python",
        }.get(condition, self.language == condition)

    def can(self, engine: str) -> bool:
        """Whether an engine can work on the task at all."""
        if engine == "model":
            return self.model
        return self.searchable or (engine == "hybrid" and self.model)


@dataclass(frozen=True)
class EngineRule:
    engine: str
    conditions: tuple[str, ...] = ()

    @property
    def why(self) -> str:
        """Its conditions as a clause."""
        said = [_FLAGS.get(one) or f"the budget is {one.replace('-', ' ').removesuffix('s')} s" for one in
                self.conditions]  # fmt: skip
        return " and ".join(said) or "no earlier rule holds"

    def __str__(self) -> str:
        return f"{self.engine}:{'+'.join(self.conditions)}" if self.conditions else self.engine


def read_engine_rules(texts: Iterable[str]) -> tuple[EngineRule, ...]:
    """Raises `BadEngineRule`."""
    rules = tuple(_read(text) for text in texts)
    if len(rules) > MOST_RULES:
        raise BadEngineRule(f"there are {len(rules)} rules: at most {MOST_RULES} can be in effect")
    return rules


def _read(text: str) -> EngineRule:
    engine, colon, rest = text.partition(":")
    conditions = tuple(part.strip() for part in rest.split("+")) if colon else ()
    if engine.strip() not in ENGINES:
        raise BadEngineRule(
            f"{text!r} names none of the engines {', '.join(ENGINES)}: write ENGINE:CONDITION+CONDITION"
        )
    for one in conditions:
        if one not in _FLAGS and not _SECONDS.fullmatch(one):
            known = ", ".join([*_FLAGS, "under-Ns", "over-Ns"])
            raise BadEngineRule(f"{text!r}: {one!r} is no condition; known: {known}")
    return EngineRule(engine.strip(), conditions)


def choose_engine(rules: Iterable[EngineRule], facts: Facts) -> tuple[str, str]:
    """The engine, and why it was chosen as a sentence."""
    for rule in rules:
        if all(facts.hold(one) for one in rule.conditions) and facts.can(rule.engine):
            return rule.engine, f"Engine {rule.engine} was chosen by the rule `{rule}`: {rule.why}."
    engine = "search" if facts.can("search") else "model"
    return engine, f"Engine {engine} was chosen since no rule of `engine_rules` fits this task."

"""How likely an edit is to be what a maintainer would write, learned from small edits between releases of packages.

The coefficients are in `likelihood.json`. `python -m tests.bench.edit_priors` learns and measures them; the packages
that it learns on are in no eval set.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

_FILE = Path(__file__).with_name("likelihood.json")
_TOKEN = re.compile(r"[A-Za-z_]\w*|\d+|[^\w\s]")
LEAST_WEIGHT = 1e-4
_MOST_TEXT = 200
"""Characters of an edit's text that are looked at."""


@dataclass(frozen=True)
class Likelihood:
    """Coefficients of a log-linear model: of the logarithm of an operator's weight, of operators, their families,
    kinds of statements, and `features`. `strength` from 0 to 1 says how far they count against the weight alone, and
    `zero` is the score, less the logarithm of the weight, at which nothing changes."""

    weight: float = 1.0
    operators: Mapping[str, float] = field(default_factory=dict)
    families: Mapping[str, float] = field(default_factory=dict)
    statements: Mapping[str, float] = field(default_factory=dict)
    features: Mapping[str, float] = field(default_factory=dict)
    strength: float = 0.0
    zero: float = 0.0

    def score(self, operator: str, weight: float, statement: str, old: str, new: str) -> float:
        """The logarithm of the odds, up to a constant, of an edit from `old` to `new` in a statement of this kind."""
        value = self.weight * math.log(max(weight, LEAST_WEIGHT))
        value += self.operators.get(operator, 0.0) + self.families.get(operator.split(":", 1)[0], 0.0)
        value += self.statements.get(statement, 0.0)
        if self.features:
            value += sum(self.features.get(name, 0.0) * x for name, x in features(old, new).items())
        return value

    def weigh(self, operator: str, weight: float, statement: str, old: str, new: str) -> float:
        """An operator's weight for this edit, as the histories correct it."""
        if not self.strength or weight <= 0:
            return weight
        score = self.score(operator, weight, statement, old, new)
        return weight * math.exp(self.strength * (score - math.log(max(weight, LEAST_WEIGHT)) - self.zero))


def features(old: str, new: str) -> dict[str, float]:
    """Counts that describe an edit's text, on a logarithmic scale where they can be large."""
    was, now = _TOKEN.findall(old[:_MOST_TEXT]), _TOKEN.findall(new[:_MOST_TEXT])
    before = set(was)
    fresh = [token for token in now if token not in before]
    gone = [token for token in was if token not in set(now)]
    return {
        "tokens added": math.log1p(len(fresh)),
        "tokens removed": math.log1p(len(gone)),
        "only removes": float(not fresh and len(now) < len(was)),
        "only inserts": float(not old and bool(new)),
        "new numbers": float(any(token.isdigit() for token in fresh)),
        "new texts": float(bool({'"', "'"} & set(fresh))),
        "new branch": float("if" in fresh),
        "new return": float("return" in fresh),
        "new raise": float("raise" in fresh),
        "new not": float("not" in fresh),
        "new none": float("None" in fresh),
    }


@lru_cache(1)
def learned() -> Likelihood:
    """The coefficients that the engine uses; all operators alike if there is no file."""
    if not _FILE.is_file():
        return Likelihood()
    held = json.loads(_FILE.read_text(encoding="utf-8"))
    return Likelihood(**held)

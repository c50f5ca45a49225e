"""A subject of settable quality, so that runner, statistics and reports can be checked from end to end.

It solves nothing: whether it succeeds is drawn from the case's difficulty, its own skill and the seed.
"""

import math
import time
from dataclasses import asdict, dataclass

import numpy as np

from .subject import Attempt, CaseOutcome, CaseResult, InfrastructureFailure


@dataclass(frozen=True)
class Quality:
    """`skill` is a logit added to each case's ease; `effort` multiplies iterations and tokens; `noise` is how much of a
    case's luck differs between repeats (0: each repeat ends alike). `broken` is the share of attempts whose
    infrastructure fails; `seconds` is really waited."""

    skill: float = 0.6
    effort: float = 1.0
    noise: float = 1.0
    broken: float = 0.0
    seconds: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        values = asdict(self)
        odd = [f"{name}={value}" for name, value in values.items() if not math.isfinite(value)]
        odd += [
            f"{name}={values[name]}" for name in ("effort", "noise", "broken", "seconds", "seed") if values[name] < 0
        ]
        if odd or self.broken > 1 or self.effort == 0:
            said = ", ".join(odd) or f"effort={self.effort}, broken={self.broken}"
            raise ValueError(
                f"{said}: give finite numbers that are not negative, an effort above 0, broken from 0 to 1"
            )


class ScriptedSubject:
    """Understands plain sets; `input.difficulty` of a case (a logit, 0 if missing) is taken off its skill."""

    kinds: tuple[str, ...] = ("plain",)

    def __init__(self, quality: Quality, name: str = "scripted") -> None:
        self.name = name
        self.quality = quality
        self._tries: dict[tuple[str, int], int] = {}

    def identity(self) -> dict[str, str]:
        return {"engine": "scripted", **{key: str(value) for key, value in asdict(self.quality).items()}}

    def start(self) -> None:
        """Needs nothing."""

    def solve(self, attempt: Attempt) -> CaseResult:
        quality, case = self.quality, attempt.case
        tried = self._tries[case.id, attempt.repeat] = self._tries.get((case.id, attempt.repeat), 0) + 1
        if quality.broken and np.random.default_rng([attempt.seed, tried, 7]).random() < quality.broken:
            raise InfrastructureFailure("the scripted infrastructure failed, as asked")
        if quality.seconds:
            time.sleep(quality.seconds)
        rng = np.random.default_rng([quality.seed, attempt.seed])
        hardness = float(getattr(case.payload, "input", {}).get("difficulty", 0.0))
        ease = quality.skill - hardness + quality.noise * float(rng.logistic()) * 0.5
        success = ease > 0
        iterations = math.ceil(quality.effort * math.exp(1.5 + 0.4 * hardness + 0.3 * float(rng.normal())) + 1)
        metrics = {
            "iterations": float(iterations),
            "tokens": float(900 * iterations),
            "cost": 0.002 * iterations,
            "wrong_patch": 0.0,
        }
        if success:
            metrics["code_lines"] = float(math.ceil(4 * math.exp(0.3 * float(rng.normal()))))
            return CaseResult(CaseOutcome.CORRECT, True, metrics, "solved")
        return CaseResult(CaseOutcome.UNRESOLVED, False, metrics, "gave up")

"""A synthetic subject of configurable quality, for testing runner, statistics and reports end to end.

It solves nothing: its success is drawn at random from the case's difficulty, its own skill and the seed.
"""

import math
import time
from dataclasses import asdict, dataclass

import numpy as np

from .subject import Attempt, CaseOutcome, CaseResult, InfrastructureFailure


@dataclass(frozen=True)
class Quality:
    """`skill` is a logit from which the case's difficulty is subtracted; `effort` multiplies iterations and tokens;
    `noise` scales the random part of the result (with 0, all repeats of a case end alike). `broken` is the share of
    attempts whose infrastructure fails; `seconds` is the time that each attempt sleeps."""

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
                f"{said}: give finite numbers, none negative but skill, an effort above 0, and broken from 0 to 1"
            )


class ScriptedSubject:
    """Solves plain sets. A case's `input.difficulty` (a logit, 0 if missing) is subtracted from the skill."""

    kinds: tuple[str, ...] = ("plain",)

    def __init__(self, quality: Quality, name: str = "scripted") -> None:
        self.name = name
        self.quality = quality
        self._tries: dict[tuple[str, int], int] = {}

    def identity(self) -> dict[str, str]:
        return {"engine": "scripted", **{key: str(value) for key, value in asdict(self.quality).items()}}

    def start(self) -> None:
        """Does nothing."""

    def solve(self, attempt: Attempt) -> CaseResult:
        quality, case = self.quality, attempt.case
        tried = self._tries[case.id, attempt.repeat] = self._tries.get((case.id, attempt.repeat), 0) + 1
        if quality.broken and np.random.default_rng([attempt.seed, tried, 7]).random() < quality.broken:
            raise InfrastructureFailure("the scripted infrastructure failed, as configured")
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

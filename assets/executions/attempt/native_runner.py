"""Tries candidates in other languages than Python by their own runner: many at once where the language allows it."""

import time
from dataclasses import dataclass, field

from assets.executions.attempt.candidate_runner import FRESH_EFFORT, CandidateRunner, observation_of
from assets.executions.engines.protocol import Candidate, Observation
from assets.executions.engines.search.native.engine import NativeCandidate
from assets.executions.trial.worker_client import WorkerDied

BATCH = 24
"""Candidates that are compiled together."""
_BATCHED_EFFORT = 8
"""What a trial in a batch counts, where one by a run of its own counts `FRESH_EFFORT`."""
_LEAST_SECONDS = 2.0


@dataclass
class NativeRunner(CandidateRunner):
    """A batch says which candidates fail. One that passes in it is tried by itself too, so that nothing rests on how
    the batch was made."""

    batched: int = 0
    _known: dict[object, Observation] = field(default_factory=dict)
    """What batches said of candidates that were behind the first that passed, by their keys."""

    @property
    def effort(self) -> int:
        return FRESH_EFFORT * self.fresh + _BATCHED_EFFORT * self.batched

    def try_all(self, candidates: list[Candidate], seconds: float) -> list[Observation]:
        """Observations of what was tried within `seconds`, in order, up to the first that passes."""
        until = time.monotonic() + seconds
        observations: list[Observation] = []
        for at in range(0, len(candidates), BATCH):
            group = candidates[at : at + BATCH]
            self._try_together(group, until - time.monotonic())
            for candidate in group:
                seen = self._known.pop(candidate.key, None)
                if seen is None or seen.status == "pass":
                    if time.monotonic() >= until:
                        return observations
                    seen = self._fresh(candidate, until - time.monotonic())
                    self.fresh += 1
                observations.append(seen)
                if seen.status == "pass":
                    return observations
        return observations

    def _try_together(self, candidates: list[Candidate], seconds: float) -> None:
        own = [one for one in candidates if isinstance(one, NativeCandidate) and one.key not in self._known]
        if len(own) < 2 or seconds < _LEAST_SECONDS:
            return
        before: dict[str, str | None] = {}
        for candidate in own:
            before |= candidate.before(self.sources)
        try:
            answer = self.worker.ask(
                "try",
                seconds,
                before=before,
                candidates=[candidate.files(self.sources) for candidate in own],
                targets=list(self.targets),
                each=3.0 + 5 * self.cpu + 3 * self.worker.overhead,
                seconds=seconds,
            )
        except WorkerDied:
            return
        for candidate, trial in zip(own, answer["trials"], strict=True):
            if trial is not None:
                self._known[candidate.key] = observation_of(candidate, trial)
                self.batched += 1

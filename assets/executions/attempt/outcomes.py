"""Outcomes of an attempt's actions as JSON, for its journal."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from assets.executions.attempt.candidate_runner import CandidateRunner
from assets.executions.engines.protocol import Candidate, FileChange, Observation
from assets.executions.engines.search.source import Edit
from core.work import Evidence, Patch, Verdict


@dataclass
class Proposed:
    """The candidates that an engine has proposed, by number."""

    candidates: list[Candidate] = field(default_factory=list)
    _numbers: dict[int, int] = field(default_factory=dict)

    def add(self, candidates: Sequence[Candidate]) -> None:
        """Numbers those that are not numbered yet."""
        for candidate in candidates:
            if id(candidate) not in self._numbers:
                self._numbers[id(candidate)] = len(self.candidates)
                self.candidates.append(candidate)

    def number(self, candidate: Candidate) -> int:
        return self._numbers[id(candidate)]


@dataclass(frozen=True)
class Tried:
    """The outcome of a batch: an observation of each candidate that was tried. `died` says how the process that tries
    them ended, if it did; `restarted` whether it could be started again."""

    observations: list[Observation]
    died: str = ""
    restarted: bool = True


@dataclass(frozen=True)
class Judged:
    """The outcome of judging a survivor: the candidate, made minimal, and its patch with evidence and verdict. There
    is no verdict where the patch had been judged before, or the targets are `unsteady`; `broken` says why nothing can
    be tried any more, `failure` is the message of the first failure with the patch."""

    candidate: Candidate
    diff: str
    patch: Patch | None = None
    evidence: Evidence | None = None
    verdict: Verdict | None = None
    failure: str = ""
    steady: bool = False
    broken: str = ""


def encode_tried(tried: Tried, proposed: Proposed, runner: CandidateRunner) -> dict[str, Any]:
    """Equal results of different candidates are written once."""
    results: dict[tuple[Any, ...], int] = {}
    rows = []
    for one in tried.observations:
        result = (one.status, one.passed, one.signature, one.broken, one.message)
        rows.append([proposed.number(one.candidate), results.setdefault(result, len(results))])
    return {
        "results": list(results),
        "rows": rows,
        "died": tried.died,
        "restarted": tried.restarted,
        "runner": encode_runner(runner, proposed),
    }


def decode_tried(raw: dict[str, Any], proposed: Proposed, runner: CandidateRunner) -> Tried:
    """Also puts the runner into the state that it was left in."""
    results = [
        (s, tuple(passed), signature, broken, message) for s, passed, signature, broken, message in raw["results"]
    ]
    observations = [Observation(proposed.candidates[number], *results[result]) for number, result in raw["rows"]]
    decode_runner(raw["runner"], proposed, runner)
    return Tried(observations, raw["died"], raw["restarted"])


def encode_runner(runner: CandidateRunner, proposed: Proposed) -> dict[str, Any]:
    return {
        "waiting": [proposed.number(one) for one in runner.waiting],
        "suspended": [proposed.number(one) for one in runner.suspended],
        "counts": [runner.in_place, runner.fresh, runner.second],
        "leaky": runner.leaky,
        "quick": runner.quick,
    }


def decode_runner(raw: dict[str, Any], proposed: Proposed, runner: CandidateRunner) -> None:
    waiting = [proposed.candidates[number] for number in raw["waiting"]]
    suspended = [proposed.candidates[number] for number in raw["suspended"]]
    runner.in_place, runner.fresh, runner.second = raw["counts"]
    runner.waiting, runner.suspended = waiting, suspended
    runner.leaky, runner.quick = raw["leaky"], raw["quick"]


def encode_judged(judged: Judged) -> dict[str, Any]:
    def record(one: Patch | Evidence | Verdict | None) -> dict[str, Any] | None:
        return one.model_dump(mode="json") if one is not None else None

    return {
        "candidate": encode_candidate(judged.candidate),
        "diff": judged.diff,
        "patch": record(judged.patch),
        "evidence": record(judged.evidence),
        "verdict": record(judged.verdict),
        "failure": judged.failure,
        "steady": judged.steady,
        "broken": judged.broken,
    }


def decode_judged(raw: dict[str, Any]) -> Judged:
    return Judged(
        decode_candidate(raw["candidate"]),
        raw["diff"],
        Patch.model_validate(raw["patch"]) if raw["patch"] else None,
        Evidence.model_validate(raw["evidence"]) if raw["evidence"] else None,
        Verdict.model_validate(raw["verdict"]) if raw["verdict"] else None,
        raw["failure"],
        raw["steady"],
        raw["broken"],
    )


def encode_candidate(candidate: Candidate) -> dict[str, Any]:
    return {
        "edits": [[edit.path, edit.start, edit.end, edit.text] for edit in candidate.edits],
        "operator": candidate.operator,
        "priority": candidate.priority,
        "weight": candidate.weight,
        "at": [candidate.path, candidate.line],
        "parents": [encode_candidate(parent) for parent in candidate.parents],
        "whole": [[change.path, change.before, change.after] for change in candidate.whole],
        "deliberate": candidate.deliberate,
    }


def decode_candidate(raw: dict[str, Any]) -> Candidate:
    path, line = raw["at"]
    return Candidate(
        tuple(Edit(*edit) for edit in raw["edits"]),
        raw["operator"],
        raw["priority"],
        raw["weight"],
        path,
        line,
        tuple(decode_candidate(parent) for parent in raw["parents"]),
        tuple(FileChange(*change) for change in raw["whole"]),
        raw["deliberate"],
    )

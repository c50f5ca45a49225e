"""Collects patches that pass a case's visible tests, right and wrong: `python -m tests.bench.wrong_patches OUTPUT`.

The engine `search` runs on after its first survivor; held-back tests tell which survivors are right. The result is one
JSON object per line, which `tests.bench.doubts` reads.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from assets.evals.sets.repair import RepairCase, checkout, judge_patch, load_cases
from assets.executions.attempt.candidate_runner import CandidateRunner
from assets.executions.engines.protocol import Problem
from assets.executions.engines.search.engine import Search
from assets.executions.engines.search.files import EditableFiles
from assets.executions.judging.diff import unified_diff
from assets.executions.repository.settings import RepositorySettings
from assets.executions.repository.test_command import detect
from assets.executions.trial.baseline import Allowance
from assets.executions.trial.baseline import measure as measure_baseline
from assets.executions.trial.targets import TargetSet, test_source
from assets.executions.trial.worker_client import PytestWorker, WorkerDied
from core.work import TaskContext
from sandbox.protocol import Limits, Sandbox
from tests.bench.repair import SET

PER_CASE = 24
"""Survivors that are judged for each case."""


def survivors(case: RepairCase, root: Path, sandbox: Sandbox, seconds: float) -> list[dict[str, Any]]:
    """Patches that pass the target tests and the tests that cover them, in the order of their discovery."""
    command = detect(root, None)
    limits = Limits(wall_seconds=seconds + 60, cpu_seconds=2 * seconds + 60)
    worker = PytestWorker(sandbox, root, command, limits)
    try:
        baseline = measure_baseline(worker, command, Allowance(30.0))
        targets = TargetSet(tuple(baseline.failing), "Every failing test: a case has one fault.")
        sources = EditableFiles(root, RepositorySettings())
        empty = TaskContext(source="bench", commit="", index_version="", models=(), locations=())
        texts = {test: test_source(root, test) for test in targets.tests[:30]}
        until = time.monotonic() + seconds
        problem = Problem(case.issue, targets, baseline, empty, sources, texts, lambda: False, root, until,
                          lambda *_: None, sources.refusal)  # fmt: skip
        engine = Search().start(problem)
        runner = CandidateRunner(worker, baseline, sources)
        runner.set_targets(targets.tests)
        found: dict[str, dict[str, Any]] = {}
        while time.monotonic() < until and len(found) < PER_CASE:
            batch = engine.propose(160)
            if not batch and not runner.waiting:
                break
            observations = runner.try_all(batch, max(0.5, until - time.monotonic()))
            engine.observe(observations)
            for observation in observations:
                if observation.status == "pass":
                    candidate = observation.candidate
                    diff = unified_diff(candidate.before(sources), candidate.files(sources))
                    found.setdefault(diff, {"case": case.id, "operator": candidate.operator, "diff": diff})
        return list(found.values())[:PER_CASE]
    finally:
        worker.close()


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.wrong_patches", description=__doc__)
    parser.add_argument("output", type=Path)
    parser.add_argument("--split", default="dev", choices=("dev", "check"))
    parser.add_argument("--seconds", type=float, default=30.0, help="seconds of search for each case")
    parser.add_argument("--case", action="append", help="only cases whose id contains this; may be repeated")
    options = parser.parse_args(argv)
    from sandbox import open_sandbox

    sandbox = open_sandbox("bubblewrap")
    cases = [c for c in load_cases(SET, options.split) if c.fields.language == "python"]
    cases = [c for c in cases if not options.case or any(p in c.id for p in options.case)]
    with options.output.open("w", encoding="utf-8") as output:
        for case in cases:
            try:
                with checkout(case) as root:
                    found = survivors(case, root, sandbox, options.seconds)
            except WorkerDied as died:
                sys.stderr.write(f"{case.id}: {died}\n")
                continue
            right = 0
            for patch in found:
                judged = judge_patch(case, patch["diff"], sandbox)
                if not judged.plausible:
                    continue
                right += judged.correct
                output.write(json.dumps({**patch, "right": judged.correct}) + "\n")
                output.flush()
            sys.stdout.write(f"{case.id:32} {len(found):3} survivors, {right} right\n")
            sys.stdout.flush()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

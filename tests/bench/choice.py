"""Choosing among survivors, judged by held-back tests: `python -m tests.bench.choice --cache FILE`.

A survivor is a candidate that passes the visible suite. For each case the search continues for a fixed number of
candidates after its first survivor, and held-back tests label every survivor right or wrong. The labelled survivors
are stored in a file, so that another order can be measured in seconds. Reports how often the survivor that is ranked
first is right, against one drawn at random from the same case, with an interval over cases.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

from assets.evals.sets.repair import RepairCase, checkout, load_cases
from assets.evals.sets.set_files import EvalSetError
from assets.evals.sets.suite_runs import run_tests
from assets.executions.attempt.candidate_runner import CandidateRunner
from assets.executions.attempt.reproduce import find_tests, measure_baseline
from assets.executions.attempt.state import AttemptInput, AttemptState, Callbacks
from assets.executions.engines.protocol import Candidate, Problem
from assets.executions.engines.search.choice import naturalness
from assets.executions.engines.search.engine import Search
from assets.executions.engines.search.source import Edit, SourceFile
from assets.executions.judging.diff import unified_diff
from assets.executions.repository.checkout import Checkout
from assets.executions.repository.settings import RepositorySettings
from assets.executions.trial.targets import TargetSet, test_source
from assets.executions.trial.worker_client import WorkerDied
from core.git.command import GitError
from core.statistics import PairedData, TooFewClusters, cluster_interval
from core.work import Budget, Plan, TaskContext, TaskText
from sandbox.protocol import Sandbox

ROOT = Path(__file__).parents[2]
SET = ROOT / "eval_sets" / "repair"
BATCH = 80


@dataclass(frozen=True)
class Survivor:
    """One candidate that passes the visible suite. `right` says whether the held-back tests pass too. `edits` hold
    path, start, end and text."""

    edits: list[tuple[str, int, int, str]]
    operator: str
    priority: float
    weight: float
    path: str
    line: int
    combined: bool
    right: bool

    def candidate(self) -> Candidate:
        edits = tuple(Edit(*edit) for edit in self.edits)
        own = Candidate(edits, self.operator, self.priority, self.weight, self.path, self.line)
        return replace(own, parents=(own, own)) if self.combined else own


@dataclass(frozen=True)
class Choice:
    """The survivors of one case in order of arrival, with what a ranking may read."""

    case: str
    cluster: str
    issue: str
    sources: dict[str, str]
    test_sources: dict[str, str]
    tried: int
    survivors: list[Survivor]

    def problem(self) -> Problem:
        """A problem that holds what a ranking reads; a search could not run on it."""
        return Problem(
            issue=self.issue,
            targets=TargetSet(tuple(self.test_sources), ""),
            baseline=cast(Any, None),
            context=_context(),
            sources={path: SourceFile(path, text.encode(), broken_ok=True) for path, text in self.sources.items()},
            test_sources=self.test_sources,
            should_stop=lambda: False,
            root=ROOT,
            until=0.0,
            record=lambda kind, body: None,
            refusal=lambda path: None,
        )


@dataclass(frozen=True)
class Scores:
    """Per case: whether the first in rank is right, and the share of right survivors, which a random draw would get.
    Cases with survivors of one kind only are left out: no order changes them."""

    cases: list[str]
    clusters: list[str]
    first: list[float]
    random: list[float]

    def line(self) -> str:
        count = len(self.cases)
        if not count:
            return "no case has both right and wrong survivors"
        first, random = sum(self.first) / count, sum(self.random) / count
        text = f"first in rank right {first:.3f}, random {random:.3f}, {count} cases"
        try:
            interval = cluster_interval(PairedData.of(self.random, self.first, self.clusters), "difference")
        except TooFewClusters as few:
            return f"{text} ({few})"
        return f"{text}, difference {first - random:+.3f} (95%: {interval.low:+.3f} to {interval.high:+.3f})"


Rank = Callable[[Candidate, Problem], float]


def score(choices: Iterable[Choice], rank: Rank) -> Scores:
    """Ranks the survivors of each case. A tie counts as a random draw among the best."""
    found = Scores([], [], [], [])
    for choice in choices:
        right = [s.right for s in choice.survivors]
        if all(right) or not any(right):
            continue
        problem = choice.problem()
        ranks = [rank(s.candidate(), problem) for s in choice.survivors]
        best = [r for r, value in zip(right, ranks, strict=True) if value == max(ranks)]
        found.cases.append(choice.case)
        found.clusters.append(choice.cluster)
        found.first.append(sum(best) / len(best))
        found.random.append(sum(right) / len(right))
    return found


def collect(case: RepairCase, sandbox: Sandbox, after_first: int, most: int, seconds: float) -> Choice:
    """Searches on one case until `after_first` candidates were tried after the first survivor, `most` survivors were
    found or `seconds` have passed, and labels the survivors."""
    with checkout(case) as root:
        tree = Checkout(root, "0" * 40, RepositorySettings())
        task = TaskText(title=case.title, body=case.body)
        plan = Plan(goal="", hypotheses=(), steps=(), acceptance=(), budget=Budget(seconds=seconds))
        engine = Search()
        attempt = AttemptState(AttemptInput(task, _context(), plan, tree), engine, sandbox, Callbacks())
        try:
            found, problem, tried = _survivors(attempt, after_first, most)
        finally:
            attempt.close()
        if problem is None:
            return Choice(case.id, case.fields.cluster, task.text, {}, {}, tried, [])
        sources = {path: source.text for path, source in problem.sources.items()}
        kept = [(c, right) for c in found if (right := _judged(case, c, problem, sandbox)) is not None]
    survivors = [
        Survivor(
            [(e.path, e.start, e.end, e.text) for e in c.edits],
            c.operator,
            c.priority,
            c.weight,
            c.path,
            c.line,
            bool(c.parents),
            right,
        )
        for c, right in kept
    ]
    tests = dict(problem.test_sources)
    return Choice(case.id, case.fields.cluster, problem.issue, sources, tests, tried, survivors)


def _survivors(attempt: AttemptState, after_first: int, most: int) -> tuple[list[Candidate], Problem | None, int]:
    find_tests(attempt)
    worker, baseline = measure_baseline(attempt)
    if not baseline.failing:
        return [], None, 0
    root = attempt.checkout.root
    targets = TargetSet(tuple(baseline.failing), "Every failing test: a case has one fault.")
    until = time.monotonic() + attempt.left
    problem = Problem(
        issue=attempt.task.text,
        targets=targets,
        baseline=baseline,
        context=attempt.context,
        sources=attempt.files,
        test_sources={test: test_source(root, test) for test in targets.tests[:30]},
        should_stop=lambda: False,
        root=root,
        until=until,
        record=lambda kind, body: None,
        refusal=attempt.files.refusal,
    )
    engine = attempt.engine.start(problem)
    runner = CandidateRunner(worker, baseline, attempt.files)
    runner.set_targets(targets.tests)
    found: list[Candidate] = []
    tried = first = 0
    while time.monotonic() < until and len(found) < most and not (found and tried - first >= after_first):
        batch = engine.propose(BATCH)
        if not batch and not runner.waiting:
            break
        try:
            observations = runner.try_all(batch, max(0.5, until - time.monotonic()))
        except WorkerDied:
            break
        tried += len(observations)
        passing = [o.candidate for o in observations if o.status == "pass"]
        first = first if found else tried
        found += passing
        engine.observe(observations)
    return found[:most], problem, tried


def _judged(case: RepairCase, candidate: Candidate, problem: Problem, sandbox: Sandbox) -> bool | None:
    """Whether the held-back tests pass; None when the visible suite does not."""
    patch = unified_diff(candidate.before(problem.sources), candidate.files(problem.sources))
    try:
        with checkout(case, patch) as root:
            if not run_tests(root, case.fields.test, sandbox).passed:
                return None
        with checkout(case, patch, heldback=True) as root:
            return run_tests(root, case.fields.heldback, sandbox).passed
    except GitError:
        return None


def _context() -> TaskContext:
    return TaskContext(source="choice", commit="0" * 40, index_version="0", models=(), locations=())


def read(path: Path) -> list[Choice]:
    """The choices in a cache file; empty when there is none."""
    if not path.is_file():
        return []
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        fields = json.loads(line)
        survivors = [Survivor(**{**s, "edits": [tuple(edit) for edit in s["edits"]]}) for s in fields.pop("survivors")]
        found.append(Choice(**fields, survivors=survivors))
    return found


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.choice", description=__doc__)
    parser.add_argument("--set", type=Path, default=SET, help="folder of a repair set (default: eval_sets/repair)")
    parser.add_argument("--split", default="dev", choices=("dev", "check", "all"))
    parser.add_argument("--cache", type=Path, required=True, help="labelled survivors; missing cases are added to it")
    parser.add_argument("--after-first", type=int, default=400, help="candidates tried after the first survivor")
    parser.add_argument("--survivors", type=int, default=24, help="survivors that are labelled for each case at most")
    parser.add_argument("--seconds", type=float, default=60.0, help="time for the search of one case")
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--offline", action="store_true", help="measure the cached cases only")
    parser.add_argument("--show", action="store_true", help="print each case's first and best right survivor")
    options = parser.parse_args(argv)
    known = read(options.cache)
    if not options.offline:
        from sandbox import open_sandbox

        try:
            cases = [case for case in load_cases(options.set, options.split) if case.fields.language == "python"]
        except EvalSetError as error:
            parser.exit(1, f"choice: {error}\n")
        sandbox = open_sandbox(options.backend)
        for case in cases:
            if any(choice.case == case.id for choice in known):
                continue
            choice = collect(case, sandbox, options.after_first, options.survivors, options.seconds)
            known.append(choice)
            with options.cache.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(choice)) + "\n")
            right = sum(s.right for s in choice.survivors)
            _say(f"{choice.case:34} {choice.tried:>6} tried {len(choice.survivors):>3} survivors {right:>3} right")
    if options.show:
        for choice in known:
            _show(choice)
    _say(score(known, naturalness).line())
    return 0


def _show(choice: Choice) -> None:
    problem = choice.problem()
    ranked = sorted(choice.survivors, key=lambda s: -naturalness(s.candidate(), problem))
    if ranked and any(s.right for s in ranked) and not all(s.right for s in ranked):
        best = next(s for s in ranked if s.right)
        for survivor in (ranked[0], best) if not ranked[0].right else (best,):
            value = naturalness(survivor.candidate(), problem)
            _say(f"{choice.case:34} {'right' if survivor.right else 'WRONG'} {value:.4f} {survivor.operator}")
            for path, start, end, text in survivor.edits:
                _say(f"    {choice.sources[path][start:end].strip()!r} -> {text.strip()!r}")


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())

"""How well the relation between tasks and tests tells which failing tests a task is about:
`python -m tests.bench.relation --split dev`.

True pairs are issues, lines of changelogs and lines of release notes with the tests of their fixes. Unrelated pairs
are the same tests with issues of other cases, of the same project and of others, and with requests that ask for
something else. The first run executes the suites in the sandbox, which takes about ten minutes for each half.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from assets.executions.trial.relation.facts import Corpus, TestFacts
from assets.executions.trial.relation.measure import PLAUSIBLE, THRESHOLD, TaskMeasure
from core.statistics.intervals import wilson
from core.work import TaskText
from tests.bench.relation_facts import Project, projects, task_of
from tests.bench.relation_notes import Notes, notes

CACHE = Path("~/.cache/penstock/relation")
MOST_TESTS = 8
"""Failing tests of a case that are measured; the best of them counts."""
OTHERS = 5
"""Issues of other projects for each case."""
REQUESTS = (
    "Please add a dark mode\n\nA dark theme for the interface would be easier on the eyes.",
    "Fix typo in readme\n\nThere is a typo in the README, second paragraph.",
    "Update dependencies\n\nSome pinned versions are a year old.",
    "Refactor the parser\n\nThe parser module is too long and should be split.",
    "Docs: explain how to contribute to the tests\n\nA section on how the test suite is run would help new people.",
    "Improve performance\n\nIt is slow for large inputs, please make it faster.",
    "Add logging\n\nIt would be nice to see what happens at debug level.",
    "Support Python 3.14",
    "Licence file is missing\n\nPlease add the text of the licence to the source distribution.",
    "Add a CI badge to the readme",
    "Translate the messages into German",
    "Rename the package\n\nThe name is hard to remember and taken on other systems.",
    "Add type hints",
    "Add a test for the command line\n\nThe command line has no tests at all.",
)


@dataclass(frozen=True)
class Pair:
    """A task and failing tests with the score of the best of these. `kind` says where the pair is from."""

    kind: str
    true: bool
    title: str
    test: str
    score: float
    shared: tuple[str, ...]


def case_pairs(cases: Sequence[Project]) -> Iterator[Pair]:
    """The pairs of cases with their own texts, those of other cases, and requests for something else."""
    for number, case in enumerate(cases):
        corpus = Corpus(case.background, case.functions)
        for text, kind in zip(case.texts, (f"issues of {case.kind}", "lines of changelogs"), strict=False):
            yield from _pair(kind, True, text, case.failing, corpus)
        for other in cases:
            if other.cluster == case.cluster and other is not case:
                apart = {test.id for test in other.failing}
                tests = [test for test in case.failing if test.id not in apart]
                for text in other.texts if other.texts[0] != case.texts[0] else ():
                    yield from _pair("issues of the same project", False, text, tests, corpus)
        foreign = [one for one in (*cases[number:], *cases[:number]) if one.cluster != case.cluster]
        for other in foreign[:: max(1, len(foreign) // OTHERS)][:OTHERS]:
            yield from _pair("issues of other projects", False, other.texts[0], case.failing, corpus)
        for request in REQUESTS:
            yield from _pair("requests for something else", False, task_of(request), case.failing, corpus)


def note_pairs(project: Notes) -> Iterator[Pair]:
    """The pairs of lines of release notes with the tests that came with them and with those of two other lines."""
    corpus = Corpus(project.background, project.functions)
    for number, line in enumerate(project.lines):
        yield from _pair("lines of release notes", True, line.task, line.tests, corpus)
        for step in (3, 7):
            other = project.lines[(number + step) % len(project.lines)]
            if not line.references & other.references and not set(line.tests) & set(other.tests):
                yield from _pair("other lines of release notes", False, line.task, other.tests, corpus)


def _pair(kind: str, true: bool, task: TaskText, tests: Sequence[TestFacts], corpus: Corpus) -> Iterator[Pair]:
    measure = TaskMeasure(task, corpus)
    scored = [(relation, test) for test, relation in measure.relations(tests[:MOST_TESTS]).items()]
    if scored:
        relation, test = max(scored, key=lambda one: one[0].score)
        yield Pair(kind, true, task.title, test, relation.score, relation.shared)


def rates(pairs: Sequence[Pair]) -> list[str]:
    """A line for each kind of pair, for all true and for all unrelated ones: how many, and the share of errors at both
    thresholds with its 95% Wilson interval, as if pairs were independent."""
    lines = [f"{'pairs':40} {'':5} {'wrong at':>9} {PLAUSIBLE:<22} {'wrong at':>9} {THRESHOLD}"]
    for true in (True, False):
        found = [pair for pair in pairs if pair.true == true]
        groups = [(kind, [pair for pair in found if pair.kind == kind]) for kind in sorted({p.kind for p in found})]
        name = "true" if true else "unrelated"
        for kind, group in [*groups, (f"all {name}", found)] if found else ():
            shown = [
                _rate(sum((pair.score >= bar) != true for pair in group), len(group)) for bar in (PLAUSIBLE, THRESHOLD)
            ]
            lines.append(f"{name + ': ' + kind if kind[:3] != 'all' else kind:40} {len(group):5} {'  '.join(shown)}")
    return lines


def _rate(wrong: int, total: int) -> str:
    interval = wilson(wrong, total)
    return f"{wrong:9} {wrong / total:6.1%} ({interval.low:.1%} to {interval.high:.1%})"


def worst(pairs: Sequence[Pair], number: int) -> list[str]:
    """The pairs of each kind that are the most wrong."""
    lines = []
    for kind in sorted({pair.kind for pair in pairs}) if number else ():
        group = [pair for pair in pairs if pair.kind == kind]
        lines += ["", f"{kind}, {'lowest' if group[0].true else 'highest'} scores:"]
        for pair in sorted(group, key=lambda pair: pair.score if pair.true else -pair.score)[:number]:
            test = pair.test.partition("[")[0].rpartition("/")[2]
            lines.append(f"{pair.score:7.2f}  {pair.title[:60]!r:62} {test[:60]:60} {'; '.join(pair.shared)[:120]}")
    return lines


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.relation", description=__doc__)
    parser.add_argument("--split", default="dev", choices=("dev", "check"))
    parser.add_argument("--cache", type=Path, default=CACHE, help=f"folder of what was seen in earlier runs ({CACHE})")
    parser.add_argument("--backend", default="auto", help="sandbox backend, as `penstock sandbox probe` names them")
    parser.add_argument("--worst", type=int, default=5, help="pairs of each kind that are shown")
    options = parser.parse_args(argv)
    from sandbox import open_sandbox

    cases = list(projects(options.split, options.cache.expanduser(), open_sandbox(options.backend)))
    pairs = list(case_pairs(cases))
    for project in notes(options.split):
        pairs += note_pairs(project)
    sys.stdout.write("\n".join([*rates(pairs), *worst(pairs, options.worst)]) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""How near the engine `search` comes to true fixes, without trying a candidate: `python -m tests.bench.reach`.

For each case of `released-fixes` with the later tests laid over, the suite runs once, and the engine proposes all its
candidates. Prints where the fix's file and statements stand among the suspects, and at which place the fix itself, or
each changed function of it, is proposed. A fix that is never proposed needs an operator; one far behind needs better
suspicion or weights. Of `dev` only: the check half is for measuring.
"""

import argparse
import ast
import json
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from assets.evals.sets.released import ReleasedCase, load_released
from assets.evals.sets.released_laid_over import open_laid_over
from assets.evals.sets.repair import apply, checkout
from assets.executions.engines.protocol import Candidate, Problem
from assets.executions.engines.search.engine import Search
from assets.executions.engines.search.source import Edit, SourceFile, apply_edits
from core.settings import load_settings
from core.work import Budget, TaskText
from dagster_project.subjects.repair import solve_folder
from sandbox import open_sandbox
from tests.bench.edit_priors.history import functions

SET = Path(__file__).parents[2] / "eval_sets" / "released-fixes"
MOST = 20_000
SECONDS = 60.0
"""For the suite and the proposals of one case."""
_SPARE = 6
"""Characters by which brackets and quotation marks may differ."""
Function = ast.FunctionDef | ast.AsyncFunctionDef
FunctionName = tuple[str, str]
"""File and qualified name."""


@dataclass(frozen=True)
class Wanted:
    """A changed function: its new tree, and how many characters the change adds, white space apart."""

    tree: str
    longer: int


@dataclass
class Row:
    """Places count from 1; None where there is none. `functions` has the place of each changed function's new text."""

    case: str
    file: int | None = None
    statement: int | None = None
    fix: int | None = None
    functions: dict[str, int | None] = field(default_factory=dict)
    proposed: int = 0
    seconds: float = 0.0
    why: str = ""


def _changed(before: dict[str, str], after: dict[str, str]) -> dict[FunctionName, Wanted]:
    """The functions that differ and were there before, of those whose name is their own."""
    found: dict[FunctionName, Wanted] = {}
    for path, text in after.items():
        was, names = dict(functions(ast.parse(before.get(path, "")))), Counter[str]()
        names.update(name for name, _ in functions(ast.parse(text)))
        for name, node in functions(ast.parse(text)):
            old = was.get(name)
            if old is not None and names[name] == 1 and ast.dump(old) != ast.dump(node):
                found[path, name] = Wanted(ast.dump(node), _length(ast.unparse(node)) - _length(ast.unparse(old)))
    return found


def _length(text: str) -> int:
    return len("".join(text.split()))


class Reach(Search):
    """Proposes nothing to try, and notes where the true fix would have come."""

    def __init__(self, wanted: dict[FunctionName, Wanted], lines: dict[str, set[int]], row: Row) -> None:
        super().__init__()
        self._wanted, self._lines, self._row = wanted, lines, row

    def start(self, problem: Problem) -> "Reach":
        search = Reach(self._wanted, self._lines, self._row)
        search._load(problem)
        search._look(problem)
        return search

    def _look(self, problem: Problem) -> None:
        row = self._row
        files = list(dict.fromkeys(suspect.source.path for suspect in self.suspects))
        row.file = min((files.index(path) + 1 for path in self._lines if path in files), default=None)
        for place, suspect in enumerate(self.suspects, 1):
            lines = self._lines.get(suspect.source.path, set())
            statement = suspect.statement
            if lines & set(range(statement.lineno, (statement.end_lineno or statement.lineno) + 1)):
                row.statement = place
                break
        row.functions = {f"{path}:{name}": None for path, name in self._wanted}
        while row.proposed < MOST and (batch := super().propose(500)):
            for candidate in batch:
                row.proposed += 1
                self._compare(candidate, problem)

    def _compare(self, candidate: Candidate, problem: Problem) -> None:
        row = self._row
        done = {}
        for path in {edit.path for edit in candidate.edits}:
            for name, tree in self._edited(problem.sources[path], [e for e in candidate.edits if e.path == path]):
                if self._wanted[path, name].tree == tree:
                    done[path, name] = True
                    row.functions[f"{path}:{name}"] = row.functions.get(f"{path}:{name}") or row.proposed
        if done and len(done) == len(self._wanted):
            row.fix = row.fix or row.proposed

    def _edited(self, source: SourceFile, edits: Sequence[Edit]) -> Iterator[tuple[str, str]]:
        """The new trees of wanted functions that these edits change."""
        try:
            text = apply_edits(source.text, tuple(edits))
        except ValueError:
            return
        for name, node in functions(source.tree):
            if (source.path, name) not in self._wanted:
                continue
            start = source.line_start(source.first_line(node))
            last = node.end_lineno or node.lineno
            end = source.line_start(last + 1) if last < source.lines else len(source.text)
            inside = [edit for edit in edits if start <= edit.start and edit.end <= end]
            if not inside or any(edit.end < start for edit in edits):
                continue
            added = sum(_length(edit.text) - _length(source.text[edit.start : edit.end]) for edit in inside)
            if abs(added - self._wanted[source.path, name].longer) > _SPARE:
                continue  # parsing is what takes the time
            longer = sum(len(edit.text) - (edit.end - edit.start) for edit in inside)
            try:
                tree = ast.parse(_outdented(text[start : end + longer]))
            except (SyntaxError, ValueError):
                continue
            found = next(functions(tree), None)
            if found is not None:
                yield name, ast.dump(found[1])


def _outdented(text: str) -> str:
    return "if True:\n" + text if text[:1] in (" ", "\t") else text


def measure_case(case: ReleasedCase, backend: str) -> Row:
    """One case's row. Raises `ReleaseUnavailable`, `EvalSetError` and `SandboxUnavailable`."""
    row, began = Row(case.id), time.monotonic()
    with (
        open_laid_over(case) as repair,
        checkout(repair) as root,
        tempfile.TemporaryDirectory(prefix="penstock-reach-") as scratch,
    ):
        fixed = Path(scratch) / "fixed"
        shutil.copytree(root, fixed)
        apply(fixed, repair.fix)
        before, after = {}, {}
        for file in fixed.rglob("*.py"):
            path = file.relative_to(fixed).as_posix()
            old, new = (root / path).read_text() if (root / path).is_file() else "", file.read_text()
            if old != new:
                before[path], after[path] = old, new
        lines: dict[str, set[int]] = {}
        for part in case.fields.fix:
            lines.setdefault(part.path, set()).update(range(part.start, max(part.end, part.start + 1)))
        command = " ".join(_quoted(word) for word in repair.fields.test)
        task = TaskText(title=repair.title, body=repair.body)
        engine = Reach(_changed(before, after), lines, row)
        found = solve_folder(root, task, case.id, engine, open_sandbox(backend), load_settings(),
                             Budget(seconds=SECONDS), test_command=command)  # fmt: skip
        row.why = "" if row.proposed else found.execution.summary[:200]
    row.seconds = round(time.monotonic() - began, 1)
    return row


def _quoted(word: str) -> str:
    return f"'{word}'" if " " in word or "[" in word else word


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.reach", description=__doc__)
    parser.add_argument("--split", choices=("dev", "check"), default="dev")
    parser.add_argument("--case", action="append", default=[], help="only cases whose id contains this")
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = []
    for case in load_released(SET):
        named = not options.case or any(text in case.id for text in options.case)
        if case.fields.split != options.split or not named:
            continue
        row = measure_case(case, options.backend)
        rows.append(row)
        functions = {name.rpartition(":")[2]: place for name, place in row.functions.items()}
        sys.stdout.write(f"{row.case:44} file {row.file} statement {row.statement} fix {row.fix} of {row.proposed} "
                         f"{functions} {row.seconds:.0f} s {row.why}\n")  # fmt: skip
        sys.stdout.flush()
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

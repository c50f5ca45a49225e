"""The gate over traps and right patches: `python -m tests.bench.gate_traps [--split dev] [--case PART]`.

Each case's patch goes through a real attempt: sandbox, baseline, verification, gate. Prints a line per case, how often
each label got each verdict, and the same by kind; writes everything as JSON. `--check` runs the cases' tests instead
and prints what is unsound in the set itself.
"""

import argparse
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from assets.evals.sets.gate import GateCase, check_gate_case, load_gate_cases
from assets.evals.sets.set_files import EvalSetError
from dagster_project.subjects.gate import answer
from sandbox.protocol import Sandbox

SET = Path(__file__).parents[2] / "eval_sets" / "gate-traps"
VERDICTS = ("pass", "draft", "fail", "none", "broken")
"""`none`: no patch reached the gate; `broken`: the attempt itself failed."""


@dataclass(frozen=True)
class Row:
    """One case's result."""

    case: str
    label: str
    kind: str
    split: str
    verdict: str
    wrong_pass: bool
    lost_pass: bool
    seconds: float
    why: str
    summary: str

    @property
    def as_expected(self) -> bool:
        return self.verdict != "broken" and not self.wrong_pass and not self.lost_pass


def run_case(case: GateCase, sandbox: Sandbox, seconds: float) -> Row:
    began = time.monotonic()
    known = (case.id, case.fields.label, case.fields.kind, case.fields.split)
    try:
        found = answer(case, sandbox, seconds)
    except Exception as error:
        took = round(time.monotonic() - began, 1)
        return Row(*known, "broken", False, case.fields.label == "right", took, f"{type(error).__name__}: {error}", "")
    took = round(time.monotonic() - began, 1)
    why = " ".join(found.reasons)
    return Row(*known, found.verdict, found.wrong_pass, found.lost_pass, took, why, found.summary)


def totals(rows: Sequence[Row]) -> dict[str, Any]:
    """Counts by label and verdict, in all and by kind."""
    return {
        "cases": len(rows),
        "wrong_pass": sum(row.wrong_pass for row in rows),
        "lost_pass": sum(row.lost_pass for row in rows),
        "verdicts": {label: _counts(row for row in rows if row.label == label) for label in ("trap", "right")},
        "kinds": {
            f"{label} {kind}": _counts(row for row in rows if (row.label, row.kind) == (label, kind))
            for label, kind in sorted({(row.label, row.kind) for row in rows}, reverse=True)
        },
    }


def _counts(rows: Iterable[Row]) -> dict[str, int]:
    found = Counter(row.verdict for row in rows)
    return {verdict: found[verdict] for verdict in VERDICTS}


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.gate_traps", description=__doc__)
    parser.add_argument("--set", type=Path, default=SET, help="folder of the set (default: eval_sets/gate-traps)")
    parser.add_argument("--split", default="all", choices=("dev", "check", "check2", "all"))
    parser.add_argument("--case", action="append", help="only cases whose id contains this; may be repeated")
    parser.add_argument("--kind", action="append", help="only cases of this kind; may be repeated")
    parser.add_argument("--label", choices=("trap", "right"))
    parser.add_argument("--budget-seconds", type=float, default=120.0)
    parser.add_argument("--jobs", type=int, default=1, help="cases that are run at the same time")
    parser.add_argument("--backend", default="auto", help="sandbox backend, as `penstock sandbox probe` names them")
    parser.add_argument("--check", action="store_true", help="check the cases themselves; no gate is run")
    parser.add_argument("--output", type=Path, default=Path("gate-traps-results.json"), help="where the JSON goes")
    options = parser.parse_args(argv)
    from sandbox import open_sandbox

    try:
        cases = load_gate_cases(options.set, options.split)
    except EvalSetError as error:
        parser.exit(1, f"gate_traps: {error}\n")
    for wanted, value in ((options.case, "id"), (options.kind, "kind"), (options.label, "label")):
        if wanted:
            cases = [case for case in cases if _matches(case, wanted, value)]
    sandbox = open_sandbox(options.backend)
    if options.check:
        return _check(cases, sandbox, options.jobs)
    rows = list(_each(cases, lambda case: _shown(run_case(case, sandbox, options.budget_seconds)), options.jobs))
    found = totals(rows)
    _say("")
    for name, counts in [*found["verdicts"].items(), *found["kinds"].items()]:
        _say(f"{name:34} " + "  ".join(f"{verdict} {count:>3}" for verdict, count in counts.items()))
    _say(f"wrong pass: {found['wrong_pass']} of {sum(row.label == 'trap' for row in rows)} traps")
    _say(f"lost pass: {found['lost_pass']} of {sum(row.label == 'right' for row in rows)} right patches")
    result = {
        "set": (options.set / "version").read_text(encoding="utf-8").strip(),
        "split": options.split,
        "sandbox": sandbox.name,
        "budget_seconds": options.budget_seconds,
        "cpus": os.cpu_count(),
        "totals": found,
        "rows": [asdict(row) for row in rows],
    }
    options.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 1 if any(row.verdict == "broken" for row in rows) else 0


def _matches(case: GateCase, wanted: str | list[str], value: str) -> bool:
    if value == "id":
        return any(part in case.id for part in wanted)
    return getattr(case.fields, value) in ([wanted] if isinstance(wanted, str) else wanted)


def _each(cases: Sequence[GateCase], work: Callable[[GateCase], Any], jobs: int) -> Iterable[Any]:
    with ThreadPoolExecutor(max(1, jobs)) as pool:
        yield from pool.map(work, cases)


def _shown(row: Row) -> Row:
    mark = " " if row.as_expected else "!"
    told = (row.why or row.summary).replace("\n", " ")[:90]
    _say(f"{mark} {row.case:16} {row.label:5} {row.kind:18} {row.verdict:6} {row.seconds:>6.1f} s  {told}")
    return row


def _check(cases: Sequence[GateCase], sandbox: Sandbox, jobs: int) -> int:
    unsound = 0
    for case, problems in zip(cases, _each(cases, lambda case: check_gate_case(case, sandbox), jobs), strict=True):
        unsound += bool(problems)
        _say(f"{'!' if problems else ' '} {case.id:16} {case.fields.kind:18} {'; '.join(problems) or 'sound'}")
    _say(f"{unsound} of {len(cases)} cases are unsound")
    return 1 if unsound else 0


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())

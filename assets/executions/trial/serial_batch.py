"""Tries many candidates one after the other with one command in the sandbox, which spares starting one for each step.

Each is copied over the workspace, the tests' command is run, its reports are put aside, and what it replaced is copied
back. For languages in which compiling together has no use.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace

from sandbox.environments.languages.javascript.direct import direct_command
from sandbox.environments.languages.prepare import LanguageEnvironment
from sandbox.environments.languages.protocol import SCRATCH, Ran
from sandbox.environments.languages.suite import SuiteRun
from sandbox.protocol import WORKSPACE, Limits, SandboxUnavailable, Session
from sandbox.reports import unique

_FOLDER = f"{SCRATCH}/candidates"
_MOST_REPORT = 4 << 20
_RUN = """
folder=$1 place=$2 seconds=$3 mark=$4 reports=$5 numbers=$6
shift 6
for number in $numbers; do
    cp -r "$folder/$number/." .
    for report in $reports; do rm -f "./$report"; done
    (cd "./$place" && exec timeout -k 1 "$seconds" "$@") >"$folder/$number.out" 2>"$folder/$number.err"
    ended=$?
    kept=0
    for report in $reports; do
        if [ -f "./$report" ]; then mv "./$report" "$folder/$number.report.$kept"; fi
        kept=$((kept + 1))
    done
    cp -r "$folder/before/." .
    printf '%s %s %s\\n' "$mark" "$number" "$ended"
done
"""
_TIMED_OUT = (124, 137)


def run_each(
    environment: LanguageEnvironment,
    session: Session,
    limits: Limits,
    before: Mapping[str, str],
    candidates: Sequence[Mapping[str, str | None]],
    targets: Sequence[str],
    each: float,
    seconds: float,
) -> list[SuiteRun | None]:
    """The run of the targets with each candidate, None for those that were not reached or do not fit: those that add or
    delete files, and all if the targets need several commands. `each` is the time for one, in seconds."""
    runs: list[SuiteRun | None] = [None] * len(candidates)
    plans = environment.language.plans(environment.needs, targets, each)
    fitting = [n for n, files in enumerate(candidates) if all(t is not None and p in before for p, t in files.items())]
    if len(plans) != 1 or len(fitting) < 2 or any("*" in report for report in plans[0].reports):
        return runs
    plan = plans[0]
    quick = direct_command(plan) if environment.language.name == "javascript" else None
    session.run(["rm", "-rf", _FOLDER])
    for path, text in before.items():
        session.write(f"{_FOLDER}/before/{path}", text.encode())
    for number in fitting:
        for path, changed in candidates[number].items():
            session.write(f"{_FOLDER}/{number}/{path}", (changed or "").encode())
    mark = secrets.token_hex(16)
    command = ["/bin/sh", "-c", _RUN, "sh", f"{WORKSPACE}/{_FOLDER}", plan.folder or ".", f"{each:.1f}", mark,
               " ".join(plan.reports), " ".join(map(str, fitting)), *(quick or plan.command)]  # fmt: skip
    wide = replace(limits, disk_bytes=max(limits.disk_bytes, 4 << 30), file_bytes=max(limits.file_bytes, 1 << 30),
                   processes=max(limits.processes, 256))  # fmt: skip
    done = session.run(command, limits=wide.with_wall(seconds), variables=plan.variables, services=True)
    if done.limit is not None:
        for path, text in before.items():
            session.write(path, text.encode())
    for line in done.stdout.decode(errors="replace").splitlines():
        words = line.split(" ")
        if len(words) != 3 or words[0] != mark or not words[1].isdigit() or int(words[1]) not in fitting:
            continue
        number, ended = int(words[1]), int(words[2]) if words[2].isdigit() else 1
        reports = {
            report: content
            for kept, report in enumerate(plan.reports)
            if (content := _read(session, f"{_FOLDER}/{number}.report.{kept}")) is not None
        }
        late = ended in _TIMED_OUT
        ran = Ran(plan, None if late else ended, _read(session, f"{_FOLDER}/{number}.out") or b"",
                  _read(session, f"{_FOLDER}/{number}.err") or b"", reports)  # fmt: skip
        cases = environment.language.results(environment.needs, ran, environment.tree)
        runs[number] = SuiteRun(tuple(unique(cases)), 0.0, "wall" if late else "", "")
    return runs


def _read(session: Session, path: str) -> bytes | None:
    try:
        return session.read(path, _MOST_REPORT)
    except SandboxUnavailable:
        raise
    except (OSError, ValueError):
        return None

"""Compiles the tests of a Go package once, and runs the program with several values of a variable."""

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sandbox.protocol import WORKSPACE, Limits, Session, in_folder

from .go import module_of
from .prepare import LanguageEnvironment
from .protocol import SCRATCH
from .tree import folder_of

_PROGRAM = f"{WORKSPACE}/{SCRATCH}/candidates.test"
_RUN = """
mark=$1 program=$2 package=$3 seconds=$4 name=$5 tests=$6
shift 6
cd "$package" || exit 3
for value; do
    env "$name=$value" timeout -k 1 "$seconds" "$program" -test.v -test.run "$tests" 2>&1 |
        head -c 1000000 >"$program.out"
    printf '\\n%s %s\\n' "$mark" "$value"
    grep -E '^ *--- (PASS|FAIL|SKIP): ' "$program.out" | head -n 500
    printf '%s\\n' "$mark"
    tail -c 1500 "$program.out"
done
"""
_RESULT = re.compile(r"^\s*--- (PASS|FAIL|SKIP): (\S+) \(", re.MULTILINE)
_WHOLE_TEST = re.compile(r"[A-Za-z_]\w*")


@dataclass(frozen=True)
class Selected:
    """Tests of one package: `module` is the folder of its module, `package` its path inside of that."""

    module: str
    package: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class ProgramRun:
    """What a run says of each test by its name, and the end of its output. `ended`: it came to its end, and passed."""

    outcomes: dict[str, str]
    ended: bool
    said: str


def selected(environment: LanguageEnvironment, tests: Sequence[str]) -> Selected | None:
    """The tests, if all are of one package and can be chosen by their names."""
    packages, names = set(), []
    for test in tests:
        place, _, name = test.partition("::")
        packages.add(folder_of(place) if place.endswith(".go") else place)
        if not _WHOLE_TEST.fullmatch(name.split("/")[0]):
            return None
        names.append(name)
    if len(packages) != 1:
        return None
    (package,) = packages
    module = module_of(environment.needs.folders, package)
    inside = package.removeprefix(module).strip("/")
    return Selected(module, f"./{inside}" if inside else ".", tuple(names))


def compile_tests(session: Session, limits: Limits, chosen: Selected, seconds: float) -> str | None:
    """Compiles the program; returns None, or what the compiler said."""
    command = ["go", "test", "-c", "-vet=off", "-gcflags=-e", "-ldflags=-s -w", "-o", _PROGRAM, chosen.package]
    done = session.run(in_folder(chosen.module, command), limits=_wide(limits).with_wall(seconds))
    return None if done.ok else (done.stdout + b"\n" + done.stderr).decode(errors="replace")[:400_000] or "it failed"


def run_tests_with(
    session: Session,
    limits: Limits,
    chosen: Selected,
    variable: str,
    values: Sequence[str],
    each: float,
    seconds: float,
) -> dict[str, ProgramRun]:
    """Runs the compiled program for each value, for `each` seconds at most, within `seconds`. Values that were not
    reached are not there."""
    mark = secrets.token_hex(16)
    pattern = f"^({'|'.join(dict.fromkeys(name.partition('/')[0] for name in chosen.names))})$"
    command = ["/bin/sh", "-c", _RUN, "sh", mark, _PROGRAM, chosen.package, f"{each:.1f}", variable, pattern, *values]
    done = session.run(in_folder(chosen.module, command), limits=_wide(limits).with_wall(seconds), services=True)
    found: dict[str, ProgramRun] = {}
    pieces = done.stdout.decode(errors="replace").split(f"\n{mark} ")
    for piece in pieces[1:]:
        value, _, rest = piece.partition("\n")
        results, whole, said = rest.partition(f"{mark}\n")
        if whole and value in values:
            outcomes = {name: outcome for outcome, name in _RESULT.findall(results)}
            found[value] = ProgramRun(outcomes, said.rstrip().endswith("PASS"), said)
    return found


def _wide(limits: Limits) -> Limits:
    return replace(limits, output_bytes=64 << 20, disk_bytes=max(limits.disk_bytes, 4 << 30),
                   file_bytes=max(limits.file_bytes, 1 << 30), processes=max(limits.processes, 256))  # fmt: skip

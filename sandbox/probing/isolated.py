"""Runs the attempts of `sandbox.probing.inside` in a sandbox, and compares what they say with what the host saw."""

import contextlib
import json
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from sandbox.conformance import SMALL, Bench
from sandbox.protocol import SandboxUnavailable

from .inside.__main__ import FAMILIES  # noqa: F401 - fills the table of attempts
from .inside.attempt import ATTEMPTS, Attempt
from .inside.fetch import FAMILY as FETCH
from .inside.services import SLACK
from .record import Finding, Outcome, outcome
from .stage import Stage, setuid_copy

_LIMITS = replace(SMALL, processes=64, file_bytes=16 << 20)


def findings(bench: Bench, stage: Stage) -> Iterator[Finding]:
    """Raises `SandboxUnavailable` when the attempts did not run to their end."""
    attempts = [one for one in ATTEMPTS if one.family != FETCH]
    lacking = {one.name: why for one in attempts if one.lacking is not None and (why := one.lacking()) is not None}
    said = _run(bench, stage, [one for one in attempts if one.name not in lacking])
    for one in attempts:
        if one.name in lacking:
            yield Finding(one.family, one.name, one.what, Outcome.NOT_APPLICABLE, lacking[one.name])
            continue
        through, evidence = said[one.name]
        seen = stage.observed.get(one.name, lambda: None)()
        if seen is not None:
            through, evidence = True, seen
        yield Finding(one.family, one.name, one.what, outcome(through), evidence)


def add_attempts(folder: Path) -> None:
    """Puts the attempts into a folder, from where `python -m inside` runs them."""
    package = Path(__file__).parent / "inside"
    shutil.copytree(package, folder / "inside", ignore=shutil.ignore_patterns("__pycache__"))


def answers(output: bytes, errors: bytes, attempts: Sequence[Attempt]) -> dict[str, tuple[bool, str]]:
    """By the name of each attempt, whether it got through, and what it said. Raises `SandboxUnavailable` when one has
    not answered."""
    said = {}
    for line in output.splitlines():
        answer = json.loads(line)
        said[answer["name"]] = (bool(answer["through"]), str(answer["said"]))
    if missing := [one.name for one in attempts if one.name not in said]:
        tail = (errors or output)[-500:].decode(errors="replace")
        raise SandboxUnavailable(f"the attempts ended before {missing[0]!r}: {tail}")
    return said


def _run(bench: Bench, stage: Stage, attempts: list[Attempt]) -> dict[str, tuple[bool, str]]:
    other = bench.workspace(other__txt=stage.plan["secret"])
    mine = bench.workspace()
    add_attempts(mine)
    setuid_copy(mine)
    copied = f"{stage.plan['marker']}-copied.txt"
    plan = {
        **stage.plan,
        "names": [one.name for one in attempts],
        "other": str(other / "other.txt"),
        "copied": copied,
        "shown": _shown(bench),
        "mounted": [mount.target for mount in bench.runtime.mounts],
        "now": time.time(),
    }
    families = dict.fromkeys(one.family for one in attempts)
    with bench.open(other) as neighbour, bench.open(mine, _LIMITS) as session:
        neighbour.write(copied, b"of another session")
        result = session.run([bench.runtime.executable, "-m", "inside", *families], stdin=json.dumps(plan).encode())
        ended = time.time()
        with contextlib.suppress(OSError, ValueError):
            ahead = float(session.read("clock")) - ended
            stage.observed["clock"] = lambda: (
                f"the clock is {ahead:.0f} s ahead of the host's" if ahead > SLACK else None
            )
    return answers(result.stdout, result.stderr, attempts)


def _shown(bench: Bench) -> dict[str, list[str]]:
    """By folder, the entries that the mounts of the Python runtime add to it."""
    shown: dict[str, list[str]] = {}
    for mount in bench.runtime.mounts:
        parts = mount.target.strip("/").split("/")
        for depth in range(len(parts)):
            shown.setdefault("/" + "/".join(parts[:depth]), []).append(parts[depth])
    return shown

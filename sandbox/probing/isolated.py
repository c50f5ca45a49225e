"""Runs the attempts of `sandbox.probing.inside` in a sandbox, and compares what they say with what the host saw."""

import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from sandbox.conformance import SMALL, Bench
from sandbox.protocol import SandboxUnavailable

from .inside.__main__ import FAMILIES  # noqa: F401 - fills the table of attempts
from .inside.attempt import ATTEMPTS
from .record import Finding, Outcome, outcome
from .stage import Stage, setuid_copy

_LIMITS = replace(SMALL, processes=64, file_bytes=16 << 20)


def findings(bench: Bench, stage: Stage) -> Iterator[Finding]:
    """Raises `SandboxUnavailable` when the attempts did not run to their end."""
    lacking = {one.name: why for one in ATTEMPTS if one.lacking is not None and (why := one.lacking()) is not None}
    said = _run(bench, stage, [one.name for one in ATTEMPTS if one.name not in lacking])
    for one in ATTEMPTS:
        if one.name in lacking:
            yield Finding(one.family, one.name, one.what, Outcome.NOT_APPLICABLE, lacking[one.name])
            continue
        through, evidence = said[one.name]
        seen = stage.observed.get(one.name, lambda: None)()
        if seen is not None:
            through, evidence = True, seen
        yield Finding(one.family, one.name, one.what, outcome(through), evidence)


def workspace(bench: Bench) -> Path:
    """A folder with the attempts."""
    made = bench.workspace()
    package = Path(__file__).parent / "inside"
    shutil.copytree(package, made / "inside", ignore=shutil.ignore_patterns("__pycache__"))
    return made


def _run(bench: Bench, stage: Stage, names: list[str]) -> dict[str, tuple[bool, str]]:
    other = bench.workspace(other__txt=stage.plan["secret"])
    mine = workspace(bench)
    setuid_copy(mine)
    copied = f"{stage.plan['marker']}-copied.txt"
    plan = {
        **stage.plan,
        "names": names,
        "other": str(other / "other.txt"),
        "copied": copied,
        "shown": _shown(bench),
        "now": time.time(),
        "most_seconds": _LIMITS.wall_seconds,
    }
    families = dict.fromkeys(one.family for one in ATTEMPTS)
    with bench.open(other) as neighbour, bench.open(mine, _LIMITS) as session:
        neighbour.write(copied, b"of another session")
        result = session.run([bench.runtime.executable, "-m", "inside", *families], stdin=json.dumps(plan).encode())
    said = {}
    for line in result.stdout.splitlines():
        answer = json.loads(line)
        said[answer["name"]] = (bool(answer["through"]), str(answer["said"]))
    if missing := [name for name in names if name not in said]:
        tail = (result.stderr or result.stdout)[-300:].decode(errors="replace")
        raise SandboxUnavailable(
            f"the attempts ended with {result.limit or result.exit_code} before {missing[0]!r}: {tail}"
        )
    return said


def _shown(bench: Bench) -> dict[str, list[str]]:
    """By folder, the entries that the mounts of the Python runtime add to it."""
    shown: dict[str, list[str]] = {}
    for mount in bench.runtime.mounts:
        parts = mount.target.strip("/").split("/")
        for depth in range(len(parts)):
            shown.setdefault("/" + "/".join(parts[:depth]), []).append(parts[depth])
    return shown



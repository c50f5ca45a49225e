"""Makes the services of a repository ready to be started: their data are made once, in the sandbox, and cached."""

import hashlib
import json
import platform
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sandbox.environments.prepare import Options
from sandbox.environments.store import Entry, StoreBusy
from sandbox.environments.wanted import EnvironmentRefused
from sandbox.protocol import CommandResult, Environment, Limits, Mount, Sandbox, SandboxUnavailable
from sandbox.python import base_interpreter, base_mounts

from .declared import ServiceDeclarations
from .inside import FOLDER, MARK, NOT_READY
from .plans import ServicePlan, plan

_FORMAT = 1
"""Part of every key: raised when data are made in another way than before."""
_PROGRAM = "/penstock/services.py"
_ARCHIVES = "/opt/penstock/services"
_START_SECONDS = 60.0
"""How long services may take to get ready; on a calm machine they take less than a second."""
_SET_UP_SECONDS = 120.0
"""How long all commands may take that fill them."""
_LIMITS = Limits(wall_seconds=300, cpu_seconds=300)
_MOST_BYTES = 1 << 30


@dataclass
class Services:
    """Services that can be started, kept in the cache until `close`. `labels` are their names and versions, `notes` say
    what differs from what was declared, and `seconds` is how long they may take to get ready."""

    labels: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    mounts: tuple[Mount, ...] = ()
    supervisor: tuple[str, ...] = ()
    variables: Mapping[str, str] | None = None
    entry: Entry | None = None
    seconds: float = 0.0

    def added_to(self, environment: Environment) -> Environment:
        """An environment whose commands can be run with these services; its own variables take precedence."""
        return replace(
            environment,
            mounts=tuple(dict.fromkeys((*environment.mounts, *self.mounts))),
            variables={**(self.variables or {}), **environment.variables},
            supervisor=self.supervisor,
        )

    def close(self) -> None:
        if self.entry is not None:
            self.entry.release()


def problem_of(result: CommandResult) -> str:
    """Why services did not get ready for a command; empty if they did."""
    text = result.stderr.decode(errors="replace")
    return text.removeprefix(MARK).strip() if result.exit_code == NOT_READY and text.startswith(MARK) else ""


def open_services(
    declarations: ServiceDeclarations, sandbox: Sandbox, options: Options, progress: Callable[[str], object] = str
) -> Services:
    """The services that a repository declares; none when it declares none. `progress` is told each step.

    Raises `EnvironmentRefused` when one is not installed or does not start, and `SandboxUnavailable`."""
    plans = plan(declarations)
    if not plans:
        return Services()
    if sandbox.name == "kubernetes":
        raise EnvironmentRefused(
            f"{' and '.join(one.label for one in plans)} (penstock.toml, environment.services), which are not started "
            "in pods",
            "Run this repository's tasks with the sandbox gvisor or bubblewrap.",
        )
    key = _key(plans, options)
    for _ in range(3):  # one that was just made may be evicted by others before it is held
        if (entry := options.store.get(key)) is not None:
            return _services(declarations, plans, entry)
        try:
            with options.store.making(key, options.seconds) as made:
                if isinstance(made, Entry):
                    return _services(declarations, plans, made)
                progress(f"preparing {' and '.join(one.label for one in plans)}")
                facts = _make(plans, sandbox, made)
                options.store.publish(key, made, {**facts, "scope": options.scope})
        except StoreBusy as busy:
            raise SandboxUnavailable(str(busy)) from busy
    raise EnvironmentRefused("room for the data of its services", "Raise the setting `environments_gib`.")


def _key(plans: list[ServicePlan], options: Options) -> str:
    facts = [_FORMAT, options.scope, platform.machine(), platform.libc_ver(), [one.specification for one in plans]]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


def _services(declarations: ServiceDeclarations, plans: list[ServicePlan], entry: Entry) -> Services:
    specifications = []
    mounts = list(_supervisor_mounts(plans))
    for one in plans:
        given = dict(one.specification)
        if one.has_data:
            del given["initialise"]
            given["archive"] = f"{_ARCHIVES}/{given['kind']}.tar"
            mounts.append(Mount(entry.folder / f"{given['kind']}.tar", given["archive"]))
        specifications.append(given)
    return Services(
        labels=tuple(one.label for one in plans),
        notes=tuple(one.note for one in plans if one.note),
        mounts=tuple(dict.fromkeys(mounts)),
        supervisor=_supervisor(specifications, declarations.setup),
        seconds=_START_SECONDS + (_SET_UP_SECONDS if declarations.setup else 0.0),
        variables=declarations.environment(),
        entry=entry,
    )


def _supervisor(specifications: list[dict[str, Any]], set_up: tuple[str, ...] = ()) -> tuple[str, ...]:
    specification = {"services": specifications, "seconds": _START_SECONDS, "set_up": set_up,
                     "set_up_seconds": _SET_UP_SECONDS}  # fmt: skip
    return str(base_interpreter()), "-I", "-S", "-B", _PROGRAM, json.dumps(specification)


def _supervisor_mounts(plans: list[ServicePlan]) -> tuple[Mount, ...]:
    program = Mount(Path(__file__).with_name("inside.py"), _PROGRAM)
    return (program, *base_mounts(), *(mount for one in plans for mount in one.mounts))


def _make(plans: list[ServicePlan], sandbox: Sandbox, made: Path) -> dict[str, object]:
    """Starts the services once, and keeps the data that they start with as archives in the folder `made`."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="penstock-services-") as empty:
        environment = Environment(
            Path(empty), _supervisor_mounts(plans), supervisor=_supervisor([one.specification for one in plans])
        )
        kinds = [str(one.specification["kind"]) for one in plans if one.has_data]
        copy = ["cp", *(f"{FOLDER}/{kind}.tar" for kind in kinds), "."] if kinds else ["true"]
        with sandbox.open(environment, _LIMITS) as session:
            done = session.run(copy, services=True)
            if not done.ok:
                why = (
                    problem_of(done) or f"{done.limit or done.exit_code}: {done.stderr[-400:].decode(errors='replace')}"
                )
                raise EnvironmentRefused(
                    f"{' and '.join(one.label for one in plans)} (penstock.toml, environment.services), and they could "
                    f"not be started ({why})",
                    "Change what is declared there, or install another version where Penstock runs.",
                )
            for kind in kinds:
                (made / f"{kind}.tar").write_bytes(session.read(f"{kind}.tar", _MOST_BYTES))
    return {
        "services": [one.label for one in plans],
        "notes": [one.note for one in plans if one.note],
        "seconds": {"start": round(time.monotonic() - began, 3)},
        "made": time.time(),
    }

"""What people do to durable objects and types: go back, end, try again, submit code. Each act is in the audit log."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from core.access.errors import Conflict
from gateway.callers import acting
from gateway.object_calls import key_in
from gateway.objects import Key, Kind
from gateway.problems import bad_field, documented
from gateway.state import TheCaller, TheGateway, TheTeam
from objects import canary, lifecycle
from objects.lifecycle import ObjectRow
from objects.manifest import BadManifest
from objects.scenarios import BadScenario
from objects.submissions import Submission, submit

router = APIRouter(tags=["objects"])

_FAILURES = documented(400, 401, 403, 404, 408, 409, 413, 429, 503)


class Restore(BaseModel):
    model_config = ConfigDict(extra="forbid")

    version: int = Field(ge=0, lt=2**63, description="A version of the state's history.")


class End(BaseModel):
    model_config = ConfigDict(extra="forbid")

    reason: str = Field(default="by request", max_length=500, pattern=r"^[^\u0000]*$")
    drain: bool = Field(default=False, description="Let a step that runs end first.")


class CodeRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    source: str = Field(min_length=1, max_length=262_144, description="The handler, in Python.")
    manifest: dict[str, Any] = Field(description="Its methods with their schemas; see docs/objects.md.")
    scenarios: list[dict[str, Any]] = Field(default_factory=list, max_length=100, description="Its tests.")
    percent: int = Field(default=20, ge=1, le=100, description="The share of keys that get it first.")


class Submitted(BaseModel):
    type: str
    version: int
    sha256: str
    state: str = Field(description="submitted: a node checks it next; accepted; refused.")
    unused: str | None = Field(
        default=None, description="Why an accepted version serves no key, and what lets it serve: it was withdrawn."
    )


class Back(BaseModel):
    model_config = ConfigDict(extra="forbid")

    reason: str = Field(default="by request", max_length=500, pattern=r"^[^\u0000]*$")


class Serving(BaseModel):
    type: str
    active_version: int | None


@router.get("/objects/{type}/{key}/-/history", responses=documented(400, 401, 403, 404, 429, 503))
def object_history(type: Kind, key: Key, gateway: TheGateway, team: TheTeam) -> list[dict[str, Any]]:
    """The last states of an object, newest first, as JSON texts."""
    with gateway.database.team(team) as connection:
        lifecycle.get_object(connection, type, key_in(key))
        found = lifecycle.history(connection, type, key)
    return [{"version": v, "code_version": code, "at": at.isoformat(), "state": state} for v, code, at, state in found]


@router.post("/objects/{type}/{key}/-/restore", responses=_FAILURES)
def restore_state(
    type: Kind,
    key: Key,
    wanted: Restore,
    request: Request,
    gateway: TheGateway,
    caller: TheCaller,
) -> ObjectRow:
    """Gives an object a state of its history again."""
    subject = f"{type}/{key_in(key)}"
    with acting(gateway.database, request, caller, "object.restore", subject) as connection:
        lifecycle.restore(connection, caller.team_id, type, key, wanted.version)
        return lifecycle.get_object(connection, type, key)


@router.post("/objects/{type}/{key}/-/terminate", responses=_FAILURES)
def end_object(
    type: Kind,
    key: Key,
    wanted: End,
    request: Request,
    gateway: TheGateway,
    caller: TheCaller,
) -> ObjectRow:
    """Ends an object: what it held is deleted, and it stays dead. Ending it again changes nothing."""
    subject = f"{type}/{key_in(key)}"
    with acting(gateway.database, request, caller, "object.terminate", subject) as connection:
        lifecycle.terminate(connection, caller.team_id, type, key, wanted.reason, drain=wanted.drain)
        return lifecycle.get_object(connection, type, key)


@router.post("/objects/{type}/{key}/-/revive", responses=_FAILURES)
def revive_object(type: Kind, key: Key, request: Request, gateway: TheGateway, caller: TheCaller) -> ObjectRow:
    """Begins a new incarnation of a terminated object."""
    with acting(gateway.database, request, caller, "object.revive", f"{type}/{key_in(key)}") as connection:
        lifecycle.revive(connection, caller.team_id, type, key)
        return lifecycle.get_object(connection, type, key)


@router.post("/objects/{type}/{key}/-/retry", responses=_FAILURES)
def retry_object(type: Kind, key: Key, request: Request, gateway: TheGateway, caller: TheCaller) -> ObjectRow:
    """Lets a Failed object be made ready again, and tells it again of dead letters."""
    with acting(gateway.database, request, caller, "object.retry", f"{type}/{key_in(key)}") as connection:
        lifecycle.try_again(connection, caller.team_id, type, key)
        return lifecycle.get_object(connection, type, key)


@router.post("/object-types/{type}/versions", status_code=202, responses=_FAILURES)
async def submit_code(
    type: Annotated[str, Path(pattern=r"^[a-z][a-z0-9-]{0,62}$")],
    wanted: CodeRequest,
    request: Request,
    gateway: TheGateway,
    caller: TheCaller,
) -> Submitted:
    """Submits code for a type of the team's. A node tests it in the sandbox; if the gate lets it out, it serves a share
    of the keys first, or all of them if it is the first version. The same code again changes nothing."""

    def store() -> Submitted:
        with acting(gateway.database, request, caller, "object-type.submit", type) as connection:
            row = submit(
                connection,
                caller.team_id,
                Submission(type, wanted.source, wanted.manifest, wanted.scenarios, caller.name, wanted.percent),
            )
            unused = canary.why_unused(connection, type, row.version)
        return Submitted(type=type, version=row.version, sha256=row.sha256, state=row.state, unused=unused)

    try:
        made = await run_in_threadpool(store)
    except (BadManifest, BadScenario) as error:
        field, _, problem = str(error).partition(": ")
        raise bad_field(field if problem else "manifest", problem or str(error)) from None
    gateway.objects.wake()
    return made


@router.post("/object-types/{type}/back", responses=_FAILURES)
def go_back(type: Kind, wanted: Back, request: Request, gateway: TheGateway, caller: TheCaller) -> Serving:
    """Withdraws the canary, or returns to the version before."""
    with acting(gateway.database, request, caller, "object-type.back", type) as connection:
        version = canary.go_back(connection, caller.team_id, type, f"{caller.name}: {wanted.reason}")
        if version is None:
            raise Conflict(f"the type {type[:63]!r} has no version to go back to")
    return Serving(type=type, active_version=version)


@router.post("/object-types/{type}/promote", responses=_FAILURES)
def promote(type: Kind, request: Request, gateway: TheGateway, caller: TheCaller) -> Serving:
    """Lets the canary serve all keys now; without one, the newest version that was withdrawn."""
    with acting(gateway.database, request, caller, "object-type.promote", type) as connection:
        version = canary.promote(connection, caller.team_id, type, f"by {caller.name}")
        if version is None:
            raise Conflict(f"the type {type[:63]!r} has no canary, and no version that was withdrawn")
    return Serving(type=type, active_version=version)


@router.get("/object-types/{type}/versions/{version}", responses=documented(400, 401, 403, 404, 429, 503))
def show_code(
    type: Kind,
    version: int,
    gateway: TheGateway,
    team: TheTeam,
    source: Annotated[bool, Query(description="With the source.")] = False,
) -> dict[str, Any]:
    """A version's state, the gate's verdict and evidence."""
    from core.access.errors import NotFound
    from objects.catalogue import read_code

    with gateway.database.team(team) as connection:
        row = read_code(connection, type, version) if 0 < version < 2**31 else None
    if row is None:
        raise NotFound(f"the type {type[:63]!r} has no version {version}")
    shown = {"type": row.type, "version": row.version, "sha256": row.sha256, "state": row.state, "author": row.author,
             "created_at": row.created_at.isoformat(), "verdict": row.verdict, "manifest": row.manifest}  # fmt: skip
    return {**shown, "source": row.source, "scenarios": row.scenarios} if source else shown

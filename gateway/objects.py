"""Durable objects over HTTP: what types there are, what objects, and calls to their methods."""

import json
import time
import uuid
from dataclasses import asdict, dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Request, Response
from pydantic import BaseModel, Field

from gateway.object_calls import MOST_SECONDS, SECONDS, key_in, method_of, of_query, refused
from gateway.problems import Refused, bad_field, documented
from gateway.state import TheCaller, TheGateway, TheTeam
from objects import lifecycle
from objects.lifecycle import ObjectRow
from objects.model import CALL_ID, CALL_ID_CHARACTERS, MAX_ARGUMENT_BYTES, Address, Call, load
from objects.openapi import document
from objects.registry import TypeView, show_type, show_types

router = APIRouter(tags=["objects"])

_TEXT = r"^[^\u0000-\u001f\u007f-\u009f]*$"
Key = Annotated[
    str,
    Path(
        min_length=1,
        max_length=200,
        pattern=_TEXT,
        description="A printable text of at most 200 bytes in UTF-8; other texts are the key of no object (404).",
    ),
]
Kind = Annotated[
    str,
    Path(
        min_length=1,
        max_length=63,
        pattern=_TEXT,
        description="Name of a type: lower-case letters, digits and '-'; others name no type (404).",
    ),
]
_FAILURES = documented(400, 401, 403, 404, 409, 422, 429, 503)


@dataclass(frozen=True)
class ObjectDetail(ObjectRow):
    state: Any
    calls: list[dict[str, Any]]
    faults: list[dict[str, Any]]
    alarms: list[dict[str, Any]]


class ObjectPage(BaseModel):
    objects: list[ObjectRow]
    next: str | None = Field(default=None, description="What `after` gives the next page; null at the end.")


class TypePage(BaseModel):
    types: list[TypeView]
    next: str | None = Field(default=None, description="What `after` gives the next page; null at the end.")


@router.get("/object-types", responses=documented(400, 401, 403, 429, 503))
def list_types(
    gateway: TheGateway,
    team: TheTeam,
    label: Annotated[
        str | None,
        Query(
            max_length=130, pattern=r"^[^=\u0000]+=[^\u0000]*$", description="NAME=VALUE: only types with this label."
        ),
    ] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    after: Annotated[str, Query(max_length=63, pattern=_TEXT)] = "",
) -> TypePage:
    """The types that the team may use by name: those that come with Penstock, and its own."""
    wanted = None
    if label is not None:
        name, equals, value = label.partition("=")
        if not equals:
            raise bad_field("label", "must be NAME=VALUE")
        wanted = (name, value)
    with gateway.database.team(team) as connection:
        found = show_types(connection, wanted, after=after, limit=limit)
    return TypePage(types=found, next=found[-1].type if len(found) == limit else None)


@router.get("/object-types/{type}", responses=documented(400, 401, 403, 404, 429, 503))
def get_type(type: Kind, gateway: TheGateway, team: TheTeam) -> TypeView:
    """A type with its methods, versions and how its calls of the last hour went."""
    with gateway.database.team(team) as connection:
        return show_type(connection, team, type)


@router.get("/object-types/{type}/openapi.json", responses=documented(400, 401, 403, 404, 429, 503))
async def describe_type(type: Kind, gateway: TheGateway, team: TheTeam) -> dict[str, Any]:
    """OpenAPI of a type's methods, made from their schemas."""
    return document(await gateway.objects.spec(team, type))


@router.get("/objects", responses=documented(400, 401, 403, 429, 503))
def list_objects(
    gateway: TheGateway,
    team: TheTeam,
    type: Annotated[str | None, Query(max_length=63, pattern=_TEXT)] = None,
    status: Annotated[str | None, Query(pattern="^(Created|Active|Hibernating|Failed|Terminated)$")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    after: Annotated[str, Query(max_length=264, pattern=r"^[^\u0000]*$")] = "",
) -> ObjectPage:
    """The team's objects by type and key. `after`: the last of the page before, as TYPE/KEY. Without `/` it is a key of
    `type`, or where no type is given, the type to begin with."""
    kind, slash, key = after.partition("/")
    last = (kind, key) if slash or type is None else (type, after)
    with gateway.database.team(team) as connection:
        found = lifecycle.list_objects(connection, type, status=status, limit=limit, after=last)
    return ObjectPage(objects=found, next=f"{found[-1].type}/{found[-1].key}" if len(found) == limit else None)


@router.get("/objects/{type}/{key}", responses=documented(400, 401, 403, 404, 429, 503))
def get_object(type: Kind, key: Key, gateway: TheGateway, team: TheTeam) -> ObjectDetail:
    """An object with its state, last calls, faults and alarms. Unlike a call, this wakes nothing."""
    with gateway.database.team(team) as connection:
        row = lifecycle.get_object(connection, type, key_in(key))
        text = lifecycle.state_of(connection, type, key)
        return ObjectDetail(
            **asdict(row),
            state=json.loads(text) if text is not None else None,
            calls=lifecycle.calls_of(connection, type, key),
            faults=lifecycle.faults_of(connection, type, key),
            alarms=lifecycle.alarms_of(connection, type, key),
        )


@router.post("/objects/{type}/{key}/{method}", response_model=None, responses=_FAILURES)
async def call_method(
    type: Kind,
    key: Key,
    method: str,
    request: Request,
    gateway: TheGateway,
    caller: TheCaller,
    idempotency_key: Annotated[str | None, Header(min_length=1, max_length=CALL_ID_CHARACTERS)] = None,
    penstock_seconds: Annotated[float, Header(gt=0, le=MOST_SECONDS, description="Deadline of the call.")] = SECONDS,
) -> Response:
    """Calls a method with the JSON of the body. The answer comes after its effect is stored. With the header
    `Idempotency-Key` a repeat within 24 hours gets the first answer, and has no second effect."""
    spec = await gateway.objects.spec(caller.team_id, type)
    method_of(spec, method)
    raw = await request.body()
    if len(raw) > MAX_ARGUMENT_BYTES:
        raise Refused(413, "too-large", f"an argument has at most {MAX_ARGUMENT_BYTES:,} bytes")
    try:
        argument = load(raw) if raw.strip() else {}
    except ValueError as error:
        raise Refused(400, "malformed", f"the body is not JSON: {error}"[:300]) from None
    return await _call(type, key, method, argument, gateway, caller, idempotency_key, penstock_seconds)


@router.get("/objects/{type}/{key}/{method}", response_model=None, responses=_FAILURES)
async def read_method(
    type: Kind,
    key: Key,
    method: str,
    request: Request,
    gateway: TheGateway,
    caller: TheCaller,
) -> Response:
    """Calls a method that only reads. Parameters of the address are its argument."""
    spec = await gateway.objects.spec(caller.team_id, type)
    found = method_of(spec, method)
    if not found.reading or found.secret:
        why = "takes a secret, which belongs into no address" if found.secret else "may change the object"
        raise Refused(405, "method", f"{method} {why}: use POST", headers={"Allow": "POST"})
    return await _call(type, key, method, of_query(request.query_params, found), gateway, caller, None, None)


async def _call(
    kind: str,
    key: str,
    method: str,
    argument: Any,
    gateway: Any,
    caller: Any,
    identity: str | None,
    seconds: float | None,
) -> Response:
    if identity is not None and not CALL_ID.fullmatch(identity):
        raise bad_field(
            "Idempotency-Key", f"must be 1 to {CALL_ID_CHARACTERS} printable ASCII characters without spaces"
        )
    spec = await gateway.objects.spec(caller.team_id, kind)
    key = key_in(key)
    identity = identity or str(uuid.uuid4())
    reply = await gateway.objects.call(
        Call(
            Address(caller.team_id, kind, spec.object_key(key)),
            method,
            json.dumps(argument, ensure_ascii=False),
            f"{caller.actor.id}/{identity}",
            caller.name,
            time.time() + min(seconds or SECONDS, MOST_SECONDS),
            key=key if spec.shards else "",
        )
    )
    if not reply.ok:
        raise refused(reply)
    headers = {"Idempotency-Key": identity, "Penstock-State-Version": str(reply.version)}
    if reply.repeated:
        headers["Penstock-Repeated"] = "true"
    return Response(reply.body, media_type="application/json", headers=headers)

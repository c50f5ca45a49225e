"""The routes of threads. What they do is in `threads.service`; the protocol is described in docs/threads.md."""

import hashlib
import re
import uuid
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from core.payload import clean
from gateway.callers import REQUEST_KEY, Caller
from gateway.paging import read_cursor, write_cursor
from gateway.problems import Refused, bad_field, documented
from gateway.state import Gateway, TheCaller, TheGateway
from threads.mentions import MOST_LINES, read_lines
from threads.model import BLOB_BYTES, LARGEST, Join, Push, Sharing, Turn
from threads.principals import unknown_principals
from threads.service import MOST_WAIT, Member, ThreadError

router = APIRouter(tags=["threads"])

_MEDIA_TYPE = re.compile(r"[a-z]{1,20}/[a-z0-9.+-]{1,60}")
READS = documented(400, 401, 403, 404, 429, 503)
WRITES = documented(400, 401, 403, 404, 408, 409, 413, 429, 503)

Digest = Annotated[str, Path(pattern=r"^[0-9a-f]{64}$")]


def member_of(caller: Caller, request: Request | None = None) -> Member:
    """The principal that a caller is in its team's threads. All tokens of a person, and the person at the issuer, are
    one; a token that is nobody's is one of its own. A subject that the issuer gives no name to is not a user of that
    name."""
    actor = caller.actor
    person = actor.person if actor.kind == "token" else actor.name
    if actor.kind == "user" and actor.name == actor.id:
        principal = f"subject:{actor.id}"
    elif person is not None:
        principal = f"user:{person.lower()}"
    else:
        principal = f"token:{actor.id}"
    told = {"kind": actor.kind, "name": actor.name[:200], "id": actor.id, "person": actor.person}
    given = str(request.scope.get(REQUEST_KEY, "")) if request is not None else None
    return Member(caller.team_id, principal, caller.name, caller.role, {**told, "request": given})


def _json(text: str) -> Response:
    return Response(text, media_type="application/json", headers={"Cache-Control": "no-store"})


def refusal(error: ThreadError) -> JSONResponse:
    body = {"error": str(error), "code": error.code, **error.more}
    return JSONResponse(body, error.status)


@router.post("/sync/push", responses=WRITES)
async def push(wanted: Push, gateway: TheGateway, caller: TheCaller) -> dict[str, Any]:
    """Applies mutations of one client, in order and once. Each is answered `applied`, `duplicate`, `conflict` or
    `rejected`."""
    return await gateway.threads.push(member_of(caller), wanted)


@router.get("/sync/pull", responses=READS)
async def pull(
    gateway: TheGateway,
    caller: TheCaller,
    client: uuid.UUID | None = None,
    cursor: Annotated[str | None, Query(max_length=20)] = None,
    wait: Annotated[float, Query(ge=0, le=MOST_WAIT, allow_inf_nan=False)] = 0.0,
) -> Response:
    """What changed since the cursor in all threads that the caller may see."""
    return _json(await gateway.threads.pull(member_of(caller), client, cursor, wait))


@router.get("/threads", responses=READS)
async def list_threads(
    gateway: TheGateway,
    caller: TheCaller,
    parent: uuid.UUID | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    before: Annotated[str | None, Query(max_length=200, description="`next` of the previous page.")] = None,
) -> dict[str, Any]:
    """The threads that the caller may see, newest first."""
    place = read_cursor(before, "before") if before is not None else None
    found = await gateway.threads.listing(member_of(caller), parent=parent, before=place, most=limit + 1)
    page = found[:limit]
    last = page[-1] if len(found) > limit else None
    following = write_cursor(datetime.fromisoformat(last["created_at"]), uuid.UUID(last["id"])) if last else None
    return {"threads": page, "next": following}


@router.post("/threads/join", responses=WRITES)
async def join(wanted: Join, request: Request, gateway: TheGateway, caller: TheCaller) -> dict[str, str]:
    """Opens a thread by its link."""
    return {"thread": str(await gateway.threads.join(member_of(caller, request), wanted.link))}


@router.get("/threads/{thread_id}", responses=READS)
async def show_thread(thread_id: uuid.UUID, gateway: TheGateway, caller: TheCaller) -> Response:
    """One thread, with its sharing and the sums of its cost."""
    return _json(await gateway.threads.show(member_of(caller), thread_id))


@router.get("/threads/{thread_id}/children", responses=READS)
async def list_children(thread_id: uuid.UUID, gateway: TheGateway, caller: TheCaller) -> dict[str, Any]:
    """The threads of its sub-tasks that the caller may see."""
    await gateway.threads.show(member_of(caller), thread_id)
    return {"threads": await gateway.threads.listing(member_of(caller), parent=thread_id, before=None, most=200)}


@router.get("/threads/{thread_id}/ops", responses=READS)
async def read_ops(
    thread_id: uuid.UUID,
    gateway: TheGateway,
    caller: TheCaller,
    client: uuid.UUID | None = None,
    after: Annotated[int, Query(ge=0, le=LARGEST)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 1000,
) -> Response:
    """Its ops after a number, in order."""
    return _json(await gateway.threads.ops(member_of(caller), thread_id, client, after, limit))


@router.get("/threads/{thread_id}/messages", responses=READS)
async def read_messages(
    thread_id: uuid.UUID,
    gateway: TheGateway,
    caller: TheCaller,
    before: Annotated[int, Query(ge=1, le=LARGEST)] = LARGEST,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Response:
    """Its last messages before an op's number, oldest first."""
    return _json(await gateway.threads.messages(member_of(caller), thread_id, before, limit))


@router.put("/threads/{thread_id}/sharing", responses=WRITES)
async def share(
    thread_id: uuid.UUID, wanted: Sharing, request: Request, gateway: TheGateway, caller: TheCaller
) -> dict[str, Any]:
    """Changes who may see it: compare and set by `acl_epoch`. Nobody is listed whom the team does not know."""
    unknown = await run_in_threadpool(_unknown, gateway, caller, thread_id, wanted)
    if unknown:
        raise bad_field(
            "grants",
            f"the team knows no {', '.join(unknown)}: `penstock user list` and `penstock token list` show whom it "
            "knows, and people of an issuer are known once they have signed in. Nothing was changed",
        )
    return await gateway.threads.share(member_of(caller, request), thread_id, wanted)


def _unknown(gateway: Gateway, caller: Caller, thread: uuid.UUID, wanted: Sharing) -> list[str]:
    if not wanted.grants:
        return []
    with gateway.database.team(caller.team_id) as connection:
        return unknown_principals(connection, thread, wanted.grants)


@router.post("/threads/{thread_id}/turn", responses=WRITES)
async def take_turn(thread_id: uuid.UUID, wanted: Turn, gateway: TheGateway, caller: TheCaller) -> dict[str, Any]:
    """Claims, renews or releases the turn of an agent."""
    return await gateway.threads.turn(member_of(caller), thread_id, wanted)


@router.post("/threads/{thread_id}/continue", responses=WRITES)
async def go_on(thread_id: uuid.UUID, gateway: TheGateway, caller: TheCaller) -> dict[str, str]:
    """The thread that goes on where this one ends, begun with a summary of it."""
    return {"thread": str(await gateway.threads.go_on(member_of(caller), thread_id))}


@router.get("/file-lines", responses=READS)
def read_file_lines(
    gateway: TheGateway,
    caller: TheCaller,
    source: Annotated[str, Query(min_length=1, max_length=200)],
    path: Annotated[str, Query(min_length=1, max_length=1000)],
    commit: Annotated[str, Query(pattern=r"^[0-9a-f]{7,64}$")],
    first: Annotated[int, Query(ge=1, le=10**7)] = 1,
    last: Annotated[int, Query(ge=1, le=10**7)] = MOST_LINES,
) -> dict[str, Any]:
    """Lines of a file that a message mentions, as the context index had them at a commit: at most 200."""
    found = read_lines(
        *(gateway.database, caller.team_id),
        source=clean(source),
        path=clean(path),
        commit=commit,
        first=first,
        last=last,
    )
    if not found:
        raise Refused(404, "no-lines", "the index does not have these lines, or not at that commit any more")
    return {"first": first, "lines": found}


@router.get("/tasks/{task_id}/thread", responses=READS)
async def thread_of_task(task_id: uuid.UUID, gateway: TheGateway, caller: TheCaller) -> dict[str, str]:
    """The thread of a task, which shows what is done for it."""
    return {"thread": str(await gateway.threads.of_task(member_of(caller), task_id))}


@router.put(
    "/threads/{thread_id}/blobs/{sha256}",
    status_code=204,
    responses=WRITES,
    openapi_extra={
        "requestBody": {"required": True, "content": {"*/*": {"schema": {"type": "string", "format": "binary"}}}}
    },
)
async def put_blob(
    thread_id: uuid.UUID, sha256: Digest, request: Request, gateway: TheGateway, caller: TheCaller
) -> Response:
    """Stores an attachment, under the SHA-256 of its bytes."""
    content = await request.body()
    if len(content) > BLOB_BYTES:
        raise Refused(413, "too-large", f"an attachment has at most {BLOB_BYTES} bytes")
    if hashlib.sha256(content).hexdigest() != sha256:
        raise bad_field("sha256", "is not the SHA-256 of the body")
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    kind = given if _MEDIA_TYPE.fullmatch(given) else "application/octet-stream"
    await gateway.threads.put_blob(member_of(caller), thread_id, bytes.fromhex(sha256), kind, content)
    return Response(status_code=204)


@router.get(
    "/threads/{thread_id}/blobs/{sha256}",
    response_class=Response,
    responses={200: {"content": {"*/*": {"schema": {"type": "string", "format": "binary"}}}}, **READS},
)
async def get_blob(thread_id: uuid.UUID, sha256: Digest, gateway: TheGateway, caller: TheCaller) -> Response:
    """An attachment, to be stored and not to be run or shown by a browser."""
    kind, content = await gateway.threads.blob(member_of(caller), thread_id, bytes.fromhex(sha256))
    return Response(
        content,
        media_type=kind,
        headers={
            "Content-Disposition": "attachment",
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": "default-src 'none'; sandbox",
            "Cache-Control": "private, no-cache",
        },
    )

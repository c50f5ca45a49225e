"""Assembles the gateway: one ASGI app over one database."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from importlib.metadata import version

import anyio.to_thread
import psycopg
import structlog
from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from fastapi.security import HTTPBearer
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from core import tracing
from core.access.errors import AccessError, BadName, Conflict
from core.credentials import Credentials, load_or_make, register_token
from core.database import Database
from core.eventlog.postgres import PostgresLog
from core.eventlog.protocol import EventLogUnavailable
from core.payload import BadField
from core.settings import Settings
from core.signatures import SignatureRefused
from core.tasks import IllegalMove, TaskNotFound
from gateway import (
    audit,
    health,
    object_acts,
    object_page,
    object_streams,
    objects,
    page,
    sessions,
    slack_endpoint,
    streams,
    tasks,
    threads,
    timeline,
    tokens,
    web,
    webhooks,
)
from gateway.bodies import BODY_SECONDS, BoundedBodies
from gateway.gate import Gate
from gateway.middleware import Observe, count_refusal
from gateway.problems import Refused, bad_field, unavailable
from gateway.state import MAX_STREAMS, WORK_THREADS, Gateway
from gateway.web import cookies, render
from threads.service import ThreadError

_logger = structlog.get_logger("gateway")


def create_app(
    settings: Settings,
    database: Database,
    credentials: Credentials | None = None,
    *,
    max_streams: int = MAX_STREAMS,
    body_seconds: float = BODY_SECONDS,
) -> FastAPI:
    """The gateway's ASGI app. It connects to `database` when the first request needs it, and does not close it.

    By default `credentials` come from the settings and the secrets folder; missing ones are created.
    """
    tracing.use(settings, "penstock-gateway")
    gateway = Gateway(
        settings=settings,
        database=database,
        log=PostgresLog(database),
        credentials=credentials or load_or_make(settings),
        max_streams=max_streams,
    )
    app = FastAPI(
        title="Penstock",
        version=version("penstock"),
        description="Webhooks in, tasks through, results out. Everything but webhooks and health needs a token, whose "
        "role decides what it may do: viewer, operator or admin.",
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan,
    )
    app.state.gateway = gateway
    token = [
        Depends(HTTPBearer(auto_error=False, description="An API token (`pst_...`), or a JWT of the OIDC issuer."))
    ]
    app.include_router(webhooks.router)
    app.include_router(slack_endpoint.router)
    app.include_router(health.open_router)
    app.include_router(page.router)
    app.include_router(sessions.open_router)
    app.include_router(web.router)
    app.include_router(tasks.router, dependencies=token)
    app.include_router(streams.router, dependencies=token)
    app.include_router(timeline.router, dependencies=token)
    app.include_router(threads.router, dependencies=token)
    app.include_router(objects.router, dependencies=token)
    app.include_router(object_acts.router, dependencies=token)
    app.include_router(object_streams.router, dependencies=token)
    app.include_router(object_page.router, dependencies=token)
    app.include_router(tokens.router, dependencies=token)
    app.include_router(audit.router, dependencies=token)
    app.include_router(sessions.router, dependencies=token)
    app.include_router(health.router, dependencies=token)
    # The middleware added last is the outermost.
    app.add_middleware(BoundedBodies, gateway=gateway, body_seconds=body_seconds)
    app.add_middleware(Gate, gateway=gateway)
    app.add_middleware(Observe, gateway=gateway)
    _handle_errors(app, gateway)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    gateway: Gateway = app.state.gateway
    anyio.to_thread.current_default_thread_limiter().total_tokens = WORK_THREADS
    registering = asyncio.create_task(_register(gateway))
    try:
        yield
    finally:
        gateway.stopping.set()
        registering.cancel()
        with suppress(asyncio.CancelledError):
            await registering
        await gateway.threads.close()
        gateway.log.close()
        gateway.objects.close()
        if gateway.issuer is not None:
            gateway.issuer.close()


async def _register(gateway: Gateway) -> None:
    """Registers the first API token in the database as soon as the database can be reached."""
    while True:
        try:
            return await run_in_threadpool(register_token, gateway.database, gateway.credentials)
        except psycopg.Error as error:
            _logger.warning("the API token is not registered yet", error=type(error).__name__)
            await asyncio.sleep(2)


def _handle_errors(app: FastAPI, gateway: Gateway) -> None:
    def respond(request: Request, refused: Refused) -> Response:
        count_refusal(gateway, request.scope, refused)
        return render.problem(refused) if cookies.wants_problem_page(request.scope) else refused.response()

    @app.exception_handler(Refused)
    async def _(request: Request, error: Refused) -> Response:
        return respond(request, error)

    @app.exception_handler(HTTPException)
    async def _(request: Request, error: HTTPException) -> Response:
        code = {404: "no-such-path", 405: "method", 400: "malformed"}.get(error.status_code, "http")
        return respond(request, Refused(error.status_code, code, str(error.detail), headers=error.headers))

    @app.exception_handler(RequestValidationError)
    async def _(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        where = [str(part) for part in first["loc"]]
        if first["type"] == "json_invalid":
            return respond(request, Refused(400, "malformed", f"the body is not JSON: {first['ctx']['error']}"))
        if where == ["body"] and "json" not in request.headers.get("content-type", ""):
            return respond(request, Refused(400, "malformed", "send the body as Content-Type: application/json"))
        if where[0] == "path" and request.url.path.startswith(f"{cookies.ROOT}/"):
            return respond(request, Refused(404, "no-such-page", "there is no such page"))
        field = ".".join(where[1:]) or where[0]
        return respond(request, Refused(400, "field", f"{field}: {first['msg']}"[:500], field=field[:200]))

    @app.exception_handler(BadField)
    async def _(request: Request, error: BadField) -> Response:
        return respond(request, bad_field(error.field, error.problem))

    @app.exception_handler(SignatureRefused)
    async def _(request: Request, error: SignatureRefused) -> Response:
        return respond(request, Refused(401, error.code, str(error)))

    @app.exception_handler(ThreadError)
    async def _(request: Request, error: ThreadError) -> Response:
        count_refusal(gateway, request.scope, Refused(error.status, error.code, str(error)))
        return threads.refusal(error)

    @app.exception_handler(TaskNotFound)
    async def _(request: Request, error: TaskNotFound) -> Response:
        return respond(request, Refused(404, "no-such-task", str(error)))

    @app.exception_handler(IllegalMove)
    async def _(request: Request, error: IllegalMove) -> Response:
        return respond(request, Refused(409, "illegal-move", str(error)))

    @app.exception_handler(AccessError)
    async def _(request: Request, error: AccessError) -> Response:
        if isinstance(error, BadName):
            return respond(request, bad_field(error.field, str(error)))
        found = isinstance(error, Conflict)
        return respond(request, Refused(409 if found else 404, "conflict" if found else "not-found", str(error)))

    @app.exception_handler(psycopg.OperationalError)
    @app.exception_handler(psycopg.InterfaceError)
    @app.exception_handler(EventLogUnavailable)
    async def _(request: Request, error: Exception) -> Response:
        _logger.warning("the database failed", error=type(error).__name__, sqlstate=getattr(error, "sqlstate", None))
        return respond(request, unavailable())

    @app.exception_handler(Exception)
    async def _(request: Request, error: Exception) -> Response:
        return respond(request, Refused(500, "internal", "internal error of the gateway; see its log"))

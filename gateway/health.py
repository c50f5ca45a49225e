"""Liveness, readiness and metrics."""

import threading
from concurrent.futures import Future
from typing import Literal
from weakref import WeakKeyDictionary

import psycopg
from fastapi import APIRouter, Response
from pydantic import BaseModel

from core.database import Database
from core.database.schema import missing
from core.events import DEFAULT_TEAM
from gateway.problems import Refused, documented
from gateway.state import Gateway, TheGateway, TheTeam

PATIENCE = 5.0
_lock = threading.Lock()
_asked: "WeakKeyDictionary[Database, Future[Readiness]]" = WeakKeyDictionary()

open_router = APIRouter(tags=["health"])
router = APIRouter(tags=["health"])


class Alive(BaseModel):
    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    status: Literal["ready", "not ready"]
    database: str
    db_schema: str


@open_router.get("/healthz")
async def alive() -> Alive:
    """Whether the process answers. It does not check the database."""
    return Alive()


@open_router.get("/readyz", responses={503: {"model": Readiness, "description": "What is missing."}})
def ready(response: Response, gateway: TheGateway) -> Readiness:
    """Whether the database can be reached and has this version's schema."""
    readiness = readiness_of(gateway)
    if readiness.status != "ready":
        response.status_code = 503
        response.headers["Retry-After"] = "5"
    return readiness


def readiness_of(gateway: Gateway) -> Readiness:
    """Asks the database, for at most `PATIENCE` seconds. While one question has no answer, no second one is asked."""
    with _lock:
        asked = _asked.get(gateway.database)
        if asked is None or asked.done():
            asked = _asked[gateway.database] = Future()
            # A daemon thread, since a server that hangs must not keep this process from ending.
            threading.Thread(target=_answer, args=(gateway, asked), name="readiness", daemon=True).start()
    try:
        return asked.result(PATIENCE)
    except TimeoutError:
        return Readiness(status="not ready", database=f"does not answer within {PATIENCE:.0f} s", db_schema="unknown")


def _answer(gateway: Gateway, asked: "Future[Readiness]") -> None:
    try:
        asked.set_result(_asked_directly(gateway))
    except BaseException as error:
        asked.set_exception(error)


def _asked_directly(gateway: Gateway) -> Readiness:
    try:
        with gateway.database.system() as connection:
            lacking = missing(connection)
    except psycopg.OperationalError:
        return Readiness(status="not ready", database="cannot be reached", db_schema="unknown")
    except psycopg.ProgrammingError:
        return Readiness(status="not ready", database="ok", db_schema="is not set up: run `penstock up`")
    if lacking:
        return Readiness(status="not ready", database="ok", db_schema=f"lacks {', '.join(lacking)}")
    return Readiness(status="ready", database="ok", db_schema="current")


@router.get("/metrics", response_class=Response, responses=documented(401, 403, 429, 503))
def metrics(gateway: TheGateway, team: TheTeam) -> Response:
    """Metrics in the Prometheus format. They cover all teams, so only tokens of the default team may read them, and the
    token of the setting `metrics_token`. What cannot be read is missing: `penstock_metrics_group_failed` says so."""
    if team != DEFAULT_TEAM:
        raise Refused(403, "operator-only", "metrics are for tokens of the default team")
    return Response(
        gateway.metrics.render(gateway.scraper.read()), media_type="text/plain; version=0.0.4; charset=utf-8"
    )

"""Sessions for programs: an access token for 15 minutes, which a refresh token renews. Browsers have cookies instead
(`gateway.web.sign_in`)."""

import uuid
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Request
from psycopg import Connection
from pydantic import BaseModel, ConfigDict, Field

from core.access import sessions
from core.access.audit import Actor, Outcome, record
from core.access.errors import NotFound
from core.access.sessions import ACCESS_PERIOD, SESSION_PERIOD, Issued, Kind
from gateway.callers import REQUEST_KEY, Caller, acting
from gateway.problems import Refused, documented
from gateway.state import Gateway, TheCaller, TheGateway, TheTeam

open_router = APIRouter(tags=["sessions"])
router = APIRouter(tags=["sessions"])

ISSUERS_PERIOD = timedelta(hours=12)
"""The longest session of a person whom the issuer vouched for, since only it knows when that is no longer so."""


class RefreshRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    refresh_token: Annotated[str, Field(min_length=1, max_length=200)]


class Tokens(BaseModel):
    session: uuid.UUID
    person: str
    access_token: str = Field(description="For `Authorization: Bearer`, until it expires.")
    token_type: str = "Bearer"  # noqa: S105
    expires_in: int = Field(description="Seconds.")
    refresh_token: str = Field(description="Exchanged once, for the next pair.")
    ends_at: datetime = Field(description="Then the session is over, however often it is refreshed.")

    @classmethod
    def of(cls, issued: Issued) -> "Tokens":
        return cls(
            session=issued.session_id,
            person=issued.person,
            access_token=issued.access,
            expires_in=int(ACCESS_PERIOD.total_seconds()),
            refresh_token=issued.refresh,
            ends_at=issued.ends,
        )


class SessionView(BaseModel):
    id: uuid.UUID
    kind: str = Field(description="browser or program")
    person: str
    role: str
    token: str | None = Field(description="Name of the API token that it was started with.")
    created_at: datetime
    used_at: datetime = Field(description="When it was last refreshed.")
    expires_at: datetime


class SessionList(BaseModel):
    sessions: list[SessionView]


class Me(BaseModel):
    name: str
    role: str = Field(description="What the token allows: viewer, operator or admin.")
    team: str
    team_id: uuid.UUID
    session: uuid.UUID | None = Field(description="The session that the token is of, if it is of one.")


@router.get("/me", responses=documented(401, 403, 429, 503))
def show_me(gateway: TheGateway, caller: TheCaller) -> Me:
    """Who the request stands for, and what they may."""
    with gateway.database.team(caller.team_id) as connection:
        row = connection.execute("SELECT name FROM teams WHERE id = %s", (caller.team_id,)).fetchone()
    team = str(row[0]) if row else ""
    return Me(name=caller.name, role=caller.role, team=team, team_id=caller.team_id, session=caller.session)


def limit_sign_in(gateway: Gateway, request: Request) -> None:
    """Raises `Refused` (429) for an address that tries too often."""
    gateway.sign_in_limit.require(request.client.host if request.client else "", "this address")


def start_for(connection: Connection[object], caller: Caller, kind: Kind) -> Issued:
    """A session of the caller, in a transaction of their team. Raises `Refused` (403) if they have one already."""
    if caller.session is not None:
        raise Refused(403, "session", "a session cannot start another one: use the API token or the issuer's")
    token = uuid.UUID(caller.actor.id) if caller.actor.kind == "token" else None
    return sessions.start(
        connection,
        caller.team_id,
        kind,
        caller.name if token is None or caller.actor.person else caller.actor.name,
        caller.role,
        token_id=token,
        subject=caller.actor.id if token is None else None,
        longest=SESSION_PERIOD if token else ISSUERS_PERIOD,
    )


def exchange(gateway: Gateway, token: str, request: Request) -> Issued | None:
    """A new pair for a refresh token; None if it is worthless. Its reuse ends the session, and is recorded."""
    with gateway.database.system() as connection:
        found = sessions.refresh(connection, token)
        if isinstance(found, Issued):
            return found
        if found.reused and found.team_id is not None:
            record(
                connection,
                found.team_id,
                Actor("user", found.person, str(found.session_id)),
                "session.reuse",
                found.session_id,
                Outcome.REFUSED,
                "a refresh token was presented again after it was exchanged: the session is ended",
                str(request.scope.get(REQUEST_KEY, "")),
            )
    return None


@open_router.post("/sessions/refresh", responses=documented(400, 401, 408, 413, 429, 503))
def refresh_session(wanted: RefreshRequest, request: Request, gateway: TheGateway) -> Tokens:
    """The next pair of tokens. Presenting a refresh token again later than some seconds after that ends the session."""
    limit_sign_in(gateway, request)
    issued = exchange(gateway, wanted.refresh_token, request)
    if issued is None:
        raise Refused(401, "refresh", "the refresh token is unknown, expired or was used: start a new session")
    return Tokens.of(issued)


@router.post("/sessions", status_code=201, responses=documented(401, 403, 429, 503))
def start_session(request: Request, gateway: TheGateway, caller: TheCaller) -> Tokens:
    """Starts a session of an API token or of a person of the issuer, which allows what they may."""
    with acting(gateway.database, request, caller, "session.start", "program") as connection:
        return Tokens.of(start_for(connection, caller, "program"))


@router.get("/sessions", responses=documented(401, 403, 429, 503))
def list_sessions(gateway: TheGateway, team: TheTeam) -> SessionList:
    """The team's open sessions, newest first; at most 1,000."""
    with gateway.database.team(team) as connection:
        found = sessions.list_sessions(connection)
    return SessionList(sessions=[SessionView.model_validate(one, from_attributes=True) for one in found])


@router.delete("/sessions/current", status_code=204, responses=documented(401, 403, 404, 429, 503))
def end_current(request: Request, gateway: TheGateway, caller: TheCaller) -> None:
    """Ends the session that the request is made with."""
    with acting(gateway.database, request, caller, "session.end", caller.session or "-") as connection:
        if caller.session is None:
            raise NotFound("this request is made with an API token, which is no session")
        sessions.end(connection, caller.session)


@router.delete("/sessions/{session_id}", status_code=204, responses=documented(400, 401, 403, 404, 429, 503))
def end_one(session_id: uuid.UUID, request: Request, gateway: TheGateway, caller: TheCaller) -> None:
    """Ends a session of the team at once. Ending it again changes nothing."""
    with acting(gateway.database, request, caller, "session.end", session_id) as connection:
        sessions.end_session(connection, session_id)

"""The tokens API, for admins: list, create and revoke the API tokens of their team."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from core.access.names import MOST_DAYS, TOKEN_CHARACTERS, USER_CHARACTERS
from core.access.roles import Role
from core.access.tokens import Token, create_token, list_tokens, revoke_token
from gateway.callers import acting
from gateway.problems import documented
from gateway.state import TheCaller, TheGateway, TheTeam

router = APIRouter(tags=["tokens"])

PRINTABLE = r"^[!-~]([ -~]*[!-~])?$"
"""What the document promises to take; other printable characters are taken too."""


class TokenRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=TOKEN_CHARACTERS, json_schema_extra={"pattern": PRINTABLE})] = (
        Field(description="What the token is for. Valid tokens of a team have different names.")
    )
    role: Role | None = Field(default=None, description="By default its user's, or viewer.")
    user: Annotated[
        str | None, Field(min_length=1, max_length=USER_CHARACTERS, json_schema_extra={"pattern": PRINTABLE})
    ] = Field(default=None, description="The user whose token it is: it never allows more than their role.")
    expires_in_days: int | None = Field(default=None, ge=1, le=MOST_DAYS)


class TokenView(BaseModel):
    id: uuid.UUID
    name: str
    role: Role
    user: str | None
    state: Literal["valid", "expired", "revoked"]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None = Field(description="To the minute.")

    @classmethod
    def of(cls, token: Token) -> "TokenView":
        return cls.model_validate(token, from_attributes=True)


class NewToken(TokenView):
    token: str = Field(description="The token itself, which is shown this once.")


class TokenList(BaseModel):
    tokens: list[TokenView]


@router.get("/tokens", name="list_tokens", responses=documented(400, 401, 403, 429, 503))
def show_tokens(gateway: TheGateway, team: TheTeam, everything: bool = False) -> TokenList:
    """The team's valid tokens, without their secrets; with `everything` the expired and revoked ones too."""
    with gateway.database.team(team) as connection:
        return TokenList(tokens=[TokenView.of(one) for one in list_tokens(connection, everything=everything)])


@router.post(
    "/tokens", status_code=201, name="create_token", responses=documented(400, 401, 403, 404, 408, 409, 413, 429, 503)
)
def make_token(wanted: TokenRequest, request: Request, gateway: TheGateway, caller: TheCaller) -> NewToken:
    """Creates a token for the caller's team. The answer holds it once; only its hash is stored."""
    days = wanted.expires_in_days
    expires = datetime.now(UTC) + timedelta(days=days) if days is not None else None
    with acting(gateway.database, request, caller, "token.create", wanted.name) as connection:
        made, secret = create_token(
            connection, caller.team_id, wanted.name, role=wanted.role, user=wanted.user, expires_at=expires
        )
    return NewToken(**TokenView.of(made).model_dump(), token=secret)


@router.delete("/tokens/{token_id}", name="revoke_token", responses=documented(400, 401, 403, 404, 429, 503))
def end_token(token_id: uuid.UUID, request: Request, gateway: TheGateway, caller: TheCaller) -> TokenView:
    """Revokes a token for good. Revoking it again changes nothing."""
    with acting(gateway.database, request, caller, "token.revoke", token_id) as connection:
        return TokenView.of(revoke_token(connection, token_id))

"""The audit log over HTTP, for admins: what happened in their team."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel, Field

from core.access.audit import MOST_ENTRIES, Entry, list_entries
from gateway.problems import documented
from gateway.state import TheGateway, TheTeam

router = APIRouter(tags=["audit"])


class AuditEntry(BaseModel):
    id: int
    at: datetime
    actor_kind: str = Field(description="token, user (of the OIDC issuer), cli or forge")
    actor: str
    actor_id: str | None
    person: str | None = Field(description="Whose token it was.")
    action: str
    subject: str
    outcome: str = Field(description="done, refused (the role does not allow it) or failed")
    detail: str | None
    request_id: str | None = Field(description="The X-Request-ID of the answer.")

    @classmethod
    def of(cls, entry: Entry) -> "AuditEntry":
        return cls.model_validate(entry, from_attributes=True)


class AuditPage(BaseModel):
    entries: list[AuditEntry]
    next: int | None = Field(description="The `before` of the next page; null on the last.")


@router.get("/audit", responses=documented(400, 401, 403, 429, 503))
def read_audit(
    gateway: TheGateway,
    team: TheTeam,
    since: Annotated[AwareDatetime | None, Query(description="Only entries from then on.")] = None,
    before: Annotated[int | None, Query(ge=1, le=2**62, description="`next` of the previous page.")] = None,
    limit: Annotated[int, Query(ge=1, le=MOST_ENTRIES)] = 100,
) -> AuditPage:
    """The team's audit log, newest first."""
    with gateway.database.team(team) as connection:
        found = list_entries(connection, since=since, before=before, limit=limit)
    return AuditPage(
        entries=[AuditEntry.of(entry) for entry in found], next=found[-1].id if len(found) == limit else None
    )

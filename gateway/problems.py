"""Refusals: the format of all error answers of the gateway, and the exception that produces them."""

from collections.abc import Mapping
from typing import Any

from fastapi import HTTPException
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from core.access.roles import Role
from core.backlog import Overloaded

UNAVAILABLE_SECONDS = 5


class Problem(BaseModel):
    """The body of every refusal. `field` names the wrong field or header of the request, if it is a single one; `role`
    is the one that the request needs, if the caller's does not allow it."""

    error: str
    code: str
    field: str | None = None
    role: Role | None = None


class Refused(HTTPException):
    """A refusal. `code` is short and stable: clients match on it, and metrics count by it."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        field: str | None = None,
        role: Role | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, message, dict(headers) if headers else None)
        self.code = code
        self.field = field
        self.role = role

    def response(self) -> JSONResponse:
        problem = Problem(error=str(self.detail), code=self.code, field=self.field, role=self.role)
        return JSONResponse(problem.model_dump(exclude_none=True), self.status_code, self.headers)


def bad_field(field: str, message: str) -> Refused:
    return Refused(400, "field", f"{field}: {message}", field=field)


def unavailable(message: str = "the database cannot be reached; nothing was stored: send it again") -> Refused:
    return Refused(503, "unavailable", message, headers={"Retry-After": str(UNAVAILABLE_SECONDS)})


def overloaded(error: Overloaded) -> Refused:
    return Refused(429, "backlog", f"{error}; nothing was stored", headers={"Retry-After": f"{error.seconds:.0f}"})


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that may refuse with these statuses, for the OpenAPI document."""
    return {status: {"model": Problem, "description": _MEANING[status]} for status in statuses}


_MEANING = {
    400: "The request is malformed; `field` names the wrong field.",
    401: "The signature is missing or wrong; or the token is missing, unknown, expired or revoked.",
    403: "The caller's role does not allow this (`role` is the one that it needs), or their team may not see it.",
    404: "The token's team has no such object.",
    408: "The body did not arrive in time.",
    409: "The task's state does not allow this.",
    413: "The body is over the limit.",
    429: "The limit of requests is used up, or too many tasks wait; nothing was stored. Retry-After says for how long.",
    422: "The idempotency key was used before, with another body.",
    503: "The gateway cannot serve the request now; nothing was stored.",
}

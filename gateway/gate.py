"""The gate: middleware that finds out who makes a request, whether they may, and whether they may do so now.

A path needs a token unless it is open (`OPEN_PATHS`, a team's webhook, what the web pages are made of): an API token,
one of a session, or one of the OIDC issuer that the settings name. Below `/web` it is a session's cookie instead
(`gateway.web.cookies`), and `/web/api/X` is the API's `/X` for the scripts of these pages.
"""

import hmac
import re
import time
from asyncio import sleep
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import psycopg
import structlog
from anyio.to_thread import run_sync
from psycopg import Connection
from starlette.concurrency import run_in_threadpool

from core.access.audit import Actor, Outcome, record
from core.access.names import TEAM_NAME, shown
from core.access.oidc import Issuer, IssuerUnavailable, TokenRefused
from core.access.people import Membership, Person, memberships, person_of
from core.access.roles import Role
from core.access.sessions import ACCESS, Holder, check_access
from core.access.tokens import check_token
from core.credentials import TOKEN_PREFIX, token_hash
from core.events import DEFAULT_TEAM
from core.team_webhooks import SENDERS
from gateway.batches import Batches
from gateway.callers import CALLER_KEY, REQUEST_KEY, Caller
from gateway.middleware import count_refusal, note
from gateway.problems import Refused, unavailable
from gateway.rates import RateLimit
from gateway.roles import Needed, needed
from gateway.state import Gateway
from gateway.web import cookies, render

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

_ORIGINS = ("github", "gitlab", "gitea", "bitbucket", "jira", "linear", "slack", "generic")
OPEN_PATHS = frozenset(
    {"/", "/healthz", "/readyz", "/sessions/refresh", *(f"/webhooks/{origin}" for origin in _ORIGINS)}
)
_TEAMS_WEBHOOK = re.compile(rf"/webhooks/{TEAM_NAME}/(?:{'|'.join(SENDERS)})")

METRICS_PATH = "/metrics"
TEAM_HEADER = b"penstock-team"
"""The header by which a person of several teams says which one is meant."""
HOLD_SECONDS = 1.0
MOST_HELD = 64
"""Answers (429) that are held back at once; further ones are sent immediately."""
_MOST_UNKNOWN = 1000
_REFUSALS_SECONDS = 60.0
"""The same refusal of a caller is recorded once in this time, so that a loop does not fill the audit log."""

_logger = structlog.get_logger("gateway")


class Gate:
    """Lets a request pass with the `Caller` in its scope, or answers 401, 403, 429 or 503."""

    def __init__(self, app: "ASGIApp", gateway: Gateway) -> None:
        self.app = app
        self.gateway = gateway
        settings = gateway.settings
        # Unknown tokens have buckets of their own, so that they cannot push out those of the known ones.
        self._unknown = RateLimit(settings.token_rate, settings.token_burst, most_keys=_MOST_UNKNOWN)
        self._checks: Batches[str, Caller | None] = Batches(self._check_all)
        self._held = 0
        self._recorded: OrderedDict[tuple[str | None, str], float] = OrderedDict()

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        if scope["type"] == "http" and not is_open(scope["path"]):
            try:
                caller = await (self._browser(scope) if cookies.is_web(scope["path"]) else self._caller(scope))
                note(scope, caller=caller.name, role=caller.role)
                await self._authorise(scope, caller)
                scope[CALLER_KEY] = caller
            except (Refused, psycopg.OperationalError) as error:
                refused = error if isinstance(error, Refused) else unavailable()
                count_refusal(self.gateway, scope, refused)
                if refused.status_code == 401 and cookies.wants_page(scope):
                    return await cookies.to_sign_in(scope)(scope, receive, send)
                if refused.status_code == 429:
                    await self._hold()
                page = render.problem(refused) if cookies.wants_problem_page(scope) else refused.response()
                return await page(scope, receive, send)
        return await self.app(scope, receive, send)

    async def _hold(self) -> None:
        """Lets a caller who is over the limit wait for the answer, so that one who does not heed `Retry-After` takes
        little of this process's time."""
        if self._held < MOST_HELD:
            self._held += 1
            try:
                await sleep(HOLD_SECONDS)
            finally:
                self._held -= 1

    async def _caller(self, scope: "Scope") -> Caller:
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        scheme, _, token = (given[0] if len(given) == 1 else b"").decode("latin-1").partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise _unauthorised("a token is required: header `Authorization: Bearer pst_...`")
        if self._may_scrape(scope, token):
            self.gateway.token_limit.require(token_hash(token), "this token")
            return Caller(DEFAULT_TEAM, Role.VIEWER, Actor("token", "metrics", "metrics"))
        issuer = self.gateway.issuer
        if issuer is not None and not token.startswith(TOKEN_PREFIX) and token.count(".") == 2:
            person, until = await self._person(scope, issuer, token)
            self.gateway.token_limit.require(("person", person.subject), f"{shown(person.name)}")
            return await self._member(scope, person, until)
        return await self._holder(token)

    async def _browser(self, scope: "Scope") -> Caller:
        """The caller whose session's cookie a page or a script of ours sends. Raises `Refused` for what another
        site's page makes a browser send."""
        token = cookies.access_token(scope)
        if token is None:
            raise _unauthorised("sign in first")
        caller = await self._holder(token)
        cookies.refuse_forgery(scope, caller)
        scope["path"] = cookies.api_path(scope["path"])
        if is_open(scope["path"]):
            raise Refused(404, "no-such-path", "this path is not part of the pages' API")
        return caller

    def _may_scrape(self, scope: "Scope", token: str) -> bool:
        """Whether it is the token for metrics, which is known without the database."""
        wanted = self.gateway.settings.metrics_token
        return (
            wanted is not None
            and scope["path"] == METRICS_PATH
            and scope["method"] in ("GET", "HEAD")
            and hmac.compare_digest(token_hash(token), token_hash(wanted.get_secret_value()))
        )

    async def _holder(self, token: str) -> Caller:
        """The caller that an API token stands for. A token that has used up its limit costs no query."""
        limit, digest = self.gateway.token_limit, token_hash(token)
        if digest in limit:
            limit.require(digest, "this token")
            counted = True
        elif digest in self._unknown:
            self._unknown.require(digest, "this token")
            counted = True
        else:
            counted = False
        holder = None
        if token.startswith((TOKEN_PREFIX, ACCESS)) and len(token) <= 200:
            holder = await self._checks.ask(token)
        if not counted:
            (limit if holder else self._unknown).take(digest)
        if holder is None:
            raise _unauthorised("the token is unknown, expired or revoked")
        return holder

    def _check_all(self, tokens: Sequence[str]) -> list[Caller | None]:
        # The platform's role, since the team is not known yet.
        with self.gateway.database.system() as connection:
            return [self._check(connection, token) for token in tokens]

    def _check(self, connection: Connection[Any], token: str) -> Caller | None:
        if token.startswith(ACCESS):
            session = check_access(connection, token)
            return _of_session(session) if session is not None else None
        holder = check_token(connection, token)
        if holder is None:
            return None
        return Caller(
            holder.team_id, holder.role, Actor("token", holder.name, str(holder.token_id), person=holder.user)
        )

    async def _person(self, scope: "Scope", issuer: Issuer, token: str) -> tuple[Person, float]:
        """Whose token it is, and when it expires."""
        try:
            claims = await run_sync(issuer.verify, token, limiter=self.gateway.oidc_threads)
        except TokenRefused as refused:
            note(scope, oidc=str(refused))
            raise _unauthorised("the token is not a valid one of the issuer, or has expired: sign in again") from None
        except IssuerUnavailable as error:
            _logger.warning("tokens of people cannot be checked", problem=str(error))
            raise unavailable("the issuer of the token cannot be reached; nothing was stored: send it again") from error
        return person_of(claims, self.gateway.settings), float(claims["exp"])

    async def _member(self, scope: "Scope", person: Person, until: float) -> Caller:
        found = await run_in_threadpool(self._memberships, person)
        wanted = [value for name, value in scope["headers"] if name == TEAM_HEADER]
        if wanted:
            name = wanted[-1].decode("latin-1").strip()
            found = [one for one in found if one.team.lower() == name.lower()]
        if not found:
            where = " in that team" if wanted else ""
            raise Refused(
                403, "no-role", f"{shown(person.name)} has no role{where}: an operator gives one, to a group or a user"
            )
        if len(found) > 1:
            names = ", ".join(one.team for one in found[:10])
            raise Refused(
                403,
                "team",
                f"{shown(person.name)} belongs to {len(found)} teams ({names}): name one in the header Penstock-Team",
                field="Penstock-Team",
            )
        return Caller(found[0].team_id, found[0].role, Actor("user", person.name, person.subject), until)

    def _memberships(self, person: Person) -> list[Membership]:
        with self.gateway.database.system() as connection:
            return memberships(connection, person, self.gateway.settings.oidc_roles)

    async def _authorise(self, scope: "Scope", caller: Caller) -> None:
        """Raises `Refused` (403) if the caller's role does not allow the request, and records that."""
        wanted = needed(scope["method"], scope["path"])
        if caller.role.allows(wanted.role):
            return
        message = f"this needs the role {wanted.role}; {caller.name} has {caller.role}"
        if self._is_new(caller, wanted):
            await run_in_threadpool(self._record, scope, caller, wanted, message)
        raise Refused(403, "role", message, role=wanted.role)

    def _is_new(self, caller: Caller, wanted: Needed) -> bool:
        now, key = time.monotonic(), (caller.actor.id, wanted.action)
        if now - self._recorded.get(key, float("-inf")) < _REFUSALS_SECONDS:
            return False
        self._recorded[key] = now
        self._recorded.move_to_end(key)
        while len(self._recorded) > _MOST_UNKNOWN:
            self._recorded.popitem(last=False)
        return True

    def _record(self, scope: "Scope", caller: Caller, wanted: Needed, message: str) -> None:
        with self.gateway.database.team(caller.team_id) as connection:
            record(
                connection,
                caller.team_id,
                caller.actor,
                wanted.action,
                wanted.subject,
                Outcome.REFUSED,
                message,
                scope.get(REQUEST_KEY),
            )


def is_open(path: str) -> bool:
    """Whether a path needs no token."""
    return path in OPEN_PATHS or cookies.is_open(path) or _TEAMS_WEBHOOK.fullmatch(path) is not None


def _of_session(held: Holder) -> Caller:
    """The caller of a session: its API token, if it was started with one."""
    if held.token_id is not None:
        actor = Actor("token", held.token_name or "", str(held.token_id), person=held.user)
    else:
        actor = Actor("user", held.person, held.subject or str(held.session_id))
    return Caller(
        held.team_id, held.role, actor, held.until.timestamp(), session=held.session_id, form_token=held.form_token
    )


def _unauthorised(message: str) -> Refused:
    return Refused(401, "token", message, headers={"WWW-Authenticate": 'Bearer realm="penstock"'})

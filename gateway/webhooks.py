"""The webhook routes: verify the signature over the raw body, normalise, store, and only then answer 202.

The table `SOURCES` holds one row for each sender: its signature, its delivery ids and the intents of its events.
"""

import time
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from fastapi.concurrency import run_in_threadpool

from core.access.names import TEAM_NAME
from core.credentials import Credentials
from core.intake import Intent, Receipt
from core.rules import Rules
from core.signatures import (
    SignatureRefused,
    verify_bitbucket,
    verify_gitea,
    verify_github,
    verify_gitlab,
    verify_jira,
    verify_linear,
    verify_standard,
)
from core.teams import DEFAULT_TEAM
from core.tickets.linear import event_of as linear_event
from gateway import bitbucket, generic, gitea, github, gitlab, jira, linear
from gateway.deliveries import (
    RESPONSES,
    DeliveryAnswer,
    answer,
    body_digest,
    event_of,
    header,
    refuse_form,
    store,
)
from gateway.payload import parse_object, room_for
from gateway.state import Gateway, TheGateway

Headers = Mapping[str, str]
Secrets = Iterable[str]


@dataclass(frozen=True)
class Source:
    """One sender of webhooks. `headers` lists the required ones for the OpenAPI document. `event` is the header with
    the event's name, if the body does not hold it."""

    name: str
    title: str
    headers: tuple[str, ...]
    secrets: Callable[[Credentials], Secrets]
    verify: Callable[[Secrets, bytes, Headers], None]
    identity: Callable[[Headers, bytes], str]
    describe: Callable[[str, Mapping[str, Any]], str]
    normalise: Callable[[str, Mapping[str, Any], Rules], Intent]
    event: str | None = None
    may_be_form: bool = True


def _standard(headers: Headers) -> dict[str, Any]:
    return {
        "identity": headers.get("webhook-id"),
        "timestamp": headers.get("webhook-timestamp"),
        "signature": headers.get("webhook-signature"),
        "now": time.time(),
    }


SOURCES = (
    Source(
        "github",
        "A GitHub webhook, signed with the gateway's secret.",
        ("X-Hub-Signature-256", "X-GitHub-Delivery", "X-GitHub-Event"),
        lambda known: known.github_secrets,
        lambda secrets, body, headers: verify_github(secrets, body, headers.get("x-hub-signature-256")),
        lambda headers, body: header(headers, "X-GitHub-Delivery"),
        github.describe,
        lambda event, payload, rules: github.normalise(event, payload, rules=rules),
        event="X-GitHub-Event",
    ),
    Source(
        "gitlab",
        "A GitLab webhook, with the gateway's secret token or signing token.",
        ("X-Gitlab-Token", "X-Gitlab-Event"),
        lambda known: known.gitlab_secrets,
        lambda secrets, body, headers: verify_gitlab(
            secrets, body, token=headers.get("x-gitlab-token"), **_standard(headers)
        ),
        # The same for a repeated delivery. Before 17.4 there was no such id, and `X-Gitlab-Event-UUID` is shared by
        # events that trigger one another.
        lambda headers, body: header(
            headers, "Idempotency-Key", instead=headers.get("webhook-id") or body_digest(body)
        ),
        lambda event, payload: gitlab.describe(payload),
        lambda event, payload, rules: gitlab.normalise(payload, rules=rules),
    ),
    Source(
        "gitea",
        "A Gitea webhook, signed with the gateway's secret.",
        ("X-Gitea-Signature", "X-Gitea-Delivery", "X-Gitea-Event"),
        lambda known: known.gitea_secrets,
        lambda secrets, body, headers: verify_gitea(
            secrets, body, headers.get("x-gitea-signature"), headers.get("x-hub-signature-256")
        ),
        lambda headers, body: header(headers, "X-Gitea-Delivery"),
        github.describe,
        lambda event, payload, rules: gitea.normalise(event, payload, rules=rules),
        event="X-Gitea-Event",
    ),
    Source(
        "bitbucket",
        "A Bitbucket Cloud webhook, signed with the gateway's secret.",
        ("X-Hub-Signature", "X-Request-UUID", "X-Event-Key"),
        lambda known: known.bitbucket_secrets,
        lambda secrets, body, headers: verify_bitbucket(secrets, body, headers.get("x-hub-signature")),
        lambda headers, body: header(headers, "X-Request-UUID"),  # the same in each attempt to deliver it
        lambda event, payload: event,
        lambda event, payload, rules: bitbucket.normalise(event, payload, rules=rules),
        event="X-Event-Key",
    ),
    Source(
        "jira",
        "A Jira webhook, signed with the gateway's secret.",
        ("X-Hub-Signature",),
        lambda known: known.jira_secrets,
        lambda secrets, body, headers: verify_jira(secrets, body, headers.get("x-hub-signature")),
        # The same for a repeated delivery of Jira Cloud. Data Center sends none, but its bodies hold the event's time.
        lambda headers, body: header(headers, "X-Atlassian-Webhook-Identifier", instead=body_digest(body)),
        lambda event, payload: jira.describe(payload),
        lambda event, payload, rules: jira.normalise(payload, rules=rules),
    ),
    Source(
        "linear",
        "A Linear webhook, signed with its signing secret, which the gateway is given.",
        ("Linear-Signature", "Linear-Delivery"),
        lambda known: known.linear_secrets,
        lambda secrets, body, headers: verify_linear(secrets, body, headers.get("linear-signature")),
        lambda headers, body: header(headers, "Linear-Delivery"),
        lambda event, payload: linear_event(payload),
        lambda event, payload, rules: linear.normalise(payload, rules=rules),
        may_be_form=False,
    ),
    Source(
        "generic",
        "A Standard Webhooks delivery of type `task.requested` or `source.changed`.",
        ("webhook-id", "webhook-timestamp", "webhook-signature"),
        lambda known: known.generic_secrets,
        lambda secrets, body, headers: verify_standard(secrets, body, **_standard(headers)),
        lambda headers, body: header(headers, "webhook-id"),
        lambda event, payload: generic.describe(payload),
        lambda event, payload, rules: generic.normalise(payload),
        may_be_form=False,
    ),
)

router = APIRouter(tags=["webhooks"])


def _received(source: Source, gateway: Gateway, headers: Headers, body: bytes, team: str | None = None) -> Receipt:
    """Stores a delivery to the default team, or the one that its address names."""
    team_id, whose = DEFAULT_TEAM, f"the sender {source.name}"
    if team is None:
        source.verify(source.secrets(gateway.credentials), body, headers)
    else:
        team_id, whose = _team_of(source, gateway, headers, body, team), f"{whose} of team {team}"
    # After the signature, so that nobody else can use up what the sender may send.
    gateway.webhook_limit.require((team_id, source.name), whose)
    if source.may_be_form:
        refuse_form(headers)
    identity = source.identity(headers, body)
    event = event_of(headers, source.event) if source.event else ""
    with room_for(body):
        kind, intent = _read(source, event, body, gateway.settings.rules)
    return store(gateway, source.name, identity, kind, body, intent, team_id)


def _team_of(source: Source, gateway: Gateway, headers: Headers, body: bytes, name: str) -> uuid.UUID:
    """The team whose secret signed the body. Raises `SignatureRefused`, which does not say whether there is such a
    team; only who has its secret learns that a delivery is too old."""
    found = gateway.team_webhooks.find(name, source.name)
    try:
        source.verify(found.secrets, body, headers)
    except SignatureRefused as error:
        if found.team_id is None or error.code != "timestamp-stale":
            raise SignatureRefused("signature-wrong", _NOT_SIGNED) from None
        raise
    if found.team_id is None:  # whoever guessed a random secret
        raise SignatureRefused("signature-wrong", _NOT_SIGNED)
    return found.team_id


def _read(source: Source, event: str, body: bytes, rules: Rules) -> tuple[str, Intent]:
    """What the delivery reports, for display, and its intent."""
    payload = parse_object(body)
    return source.describe(event, payload), source.normalise(event, payload, rules)


_NOT_SIGNED = "no secret of this team and sender has signed the delivery, or there is no such team"

TeamInPath = Annotated[
    str, Path(pattern=f"^{TEAM_NAME}$", description="The team's name, as `penstock team webhook` shows the address.")
]


def _team_endpoint(source: Source) -> Callable[[Request, Response, TheGateway, str], Awaitable[DeliveryAnswer]]:
    async def endpoint(request: Request, response: Response, gateway: TheGateway, team: TeamInPath) -> DeliveryAnswer:
        body = await request.body()
        receipt = await run_in_threadpool(_received, source, gateway, request.headers, body, team)
        return answer(gateway, request, response, receipt, source.name)

    return endpoint


def _endpoint(source: Source) -> Callable[[Request, Response, TheGateway], Awaitable[DeliveryAnswer]]:
    async def endpoint(request: Request, response: Response, gateway: TheGateway) -> DeliveryAnswer:
        body = await request.body()
        receipt = await run_in_threadpool(_received, source, gateway, request.headers, body)
        return answer(gateway, request, response, receipt, source.name)

    return endpoint


def _documentation(source: Source) -> dict[str, Any]:
    return {
        "parameters": [
            {"name": name, "in": "header", "required": True, "schema": {"type": "string"}} for name in source.headers
        ],
        "requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}},
    }


def _add(source: Source, path: str, name: str, endpoint: Callable[..., Any], whose: str) -> None:
    router.add_api_route(
        path,
        endpoint,
        methods=["POST"],
        name=name,
        description=f"{source.title} {whose} The answer is sent once the delivery is stored.",
        status_code=202,
        response_model_exclude_none=True,
        responses=RESPONSES,
        openapi_extra=_documentation(source),
    )


for _source in SOURCES:
    _place, _name = f"/webhooks/{_source.name}", f"receive_{_source.name}"
    _add(_source, _place, _name, _endpoint(_source), "For the default team.")
    _team_place, _team_name = f"/webhooks/{{team}}/{_source.name}", f"{_name}_of_team"
    _add(_source, _team_place, _team_name, _team_endpoint(_source), "For the named team, signed with its own secret.")

"""The webhook routes of GitLab, Gitea and Jira. As GitHub's: verified, normalised and stored before the answer."""

import re
import time
from collections.abc import Mapping

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from core.intake import Receipt
from core.signatures import verify_jira
from gateway import gitea, github, gitlab, jira
from gateway.payload import parse_object
from gateway.problems import Refused
from gateway.state import Gateway, TheGateway
from gateway.webhooks import (
    EVENT,
    EVENT_MEANING,
    IDENTITY,
    RESPONSES,
    DeliveryAnswer,
    answer,
    documentation,
    header,
    refuse_form,
    store,
    verification,
)

router = APIRouter(tags=["webhooks"])


@router.post(
    "/webhooks/gitlab",
    status_code=202,
    response_model_exclude_none=True,
    responses=RESPONSES,
    openapi_extra=documentation("X-Gitlab-Token", "X-Gitlab-Event"),
)
async def receive_gitlab(request: Request, response: Response, gateway: TheGateway) -> DeliveryAnswer:
    """A GitLab webhook, with a secret token or a signing token of ours. Answered once it is stored."""
    body = await request.body()
    receipt = await run_in_threadpool(_gitlab, gateway, request.headers, body)
    return answer(gateway, request, response, receipt, "gitlab")


@router.post(
    "/webhooks/gitea",
    status_code=202,
    response_model_exclude_none=True,
    responses=RESPONSES,
    openapi_extra=documentation("X-Gitea-Signature", "X-Gitea-Delivery", "X-Gitea-Event"),
)
async def receive_gitea(request: Request, response: Response, gateway: TheGateway) -> DeliveryAnswer:
    """A Gitea webhook, signed with a secret of ours. Answered once it is stored."""
    body = await request.body()
    receipt = await run_in_threadpool(_gitea, gateway, request.headers, body)
    return answer(gateway, request, response, receipt, "gitea")


@router.post(
    "/webhooks/jira",
    status_code=202,
    response_model_exclude_none=True,
    responses=RESPONSES,
    openapi_extra=documentation("X-Hub-Signature"),
)
async def receive_jira(request: Request, response: Response, gateway: TheGateway) -> DeliveryAnswer:
    """A Jira webhook, signed with a secret of ours. Answered once it is stored."""
    body = await request.body()
    receipt = await run_in_threadpool(_jira, gateway, request.headers, body)
    return answer(gateway, request, response, receipt, "jira")


def _gitlab(gateway: Gateway, headers: Mapping[str, str], body: bytes) -> Receipt:
    with verification():
        gitlab.verify(gateway.credentials.gitlab_secrets, headers, body, time.time())
    refuse_form(headers)
    identity = _checked(gitlab.identity(headers, body), "Idempotency-Key")
    payload = parse_object(body)
    intent = gitlab.normalise(payload, trigger_label=gateway.settings.trigger_label)
    return store(gateway, "gitlab", identity, gitlab.describe(payload), body, intent)


def _gitea(gateway: Gateway, headers: Mapping[str, str], body: bytes) -> Receipt:
    with verification():
        gitea.verify(gateway.credentials.gitea_secrets, headers, body)
    refuse_form(headers)
    identity = header(headers, "X-Gitea-Delivery")
    event = header(headers, "X-Gitea-Event", EVENT, EVENT_MEANING)
    payload = parse_object(body)
    intent = gitea.normalise(event, payload, trigger_label=gateway.settings.trigger_label)
    return store(gateway, "gitea", identity, github.describe(event, payload), body, intent)


def _jira(gateway: Gateway, headers: Mapping[str, str], body: bytes) -> Receipt:
    with verification():
        verify_jira(gateway.credentials.jira_secrets, body, headers.get("x-hub-signature"))
    refuse_form(headers)
    identity = _checked(jira.identity(headers, body), "X-Atlassian-Webhook-Identifier")
    payload = parse_object(body)
    return store(gateway, "jira", identity, jira.describe(payload), body, jira.normalise(payload))


def _checked(identity: str, name: str) -> str:
    if not re.fullmatch(IDENTITY, identity):
        raise Refused(400, "header", f"header {name} must be 1 to 200 visible ASCII", field=name)
    return identity

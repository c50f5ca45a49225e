"""`penstock send`: delivers a payload to the gateway, signed as the sending service would."""

import json
import time
import uuid
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dagster_project.cli.output import AsJson, CommandFailed, data, line

if TYPE_CHECKING:
    from core.credentials import Credentials
    from core.settings import Settings


def send(
    file: Annotated[Path, typer.Argument(help="The payload, a JSON file.", exists=True, dir_okay=False, readable=True)],
    source: Annotated[
        str, typer.Option(help="The webhook to deliver to: github, gitlab, gitea, bitbucket, jira, linear or generic.")
    ] = "github",
    kind: Annotated[str, typer.Option(help="The event name: X-GitHub-Event, X-Gitea-Event or X-Event-Key.")] = "issues",
    delivery: Annotated[
        str | None, typer.Option(help="Delivery id; a new one by default. Reusing an id makes it a repeated delivery.")
    ] = None,
    url: Annotated[str | None, typer.Option(help="Address of the gateway; by default the running platform's.")] = None,
    team: Annotated[
        str | None, typer.Option(metavar="NAME", help="Deliver to the webhook of this team, not to the default one's.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Sign a payload as the sending service would, and deliver it to the gateway."""
    import httpx

    from core.credentials import load_or_make
    from core.settings import load_settings
    from dagster_project.records import running_platform

    if source not in ("github", "gitlab", "gitea", "bitbucket", "jira", "linear", "generic"):
        raise typer.BadParameter(
            f"{source!r} is not github, gitlab, gitea, bitbucket, jira, linear or generic", param_hint="--source"
        )
    settings = load_settings()
    if url is None:
        running = running_platform(settings)
        url = str(running["gateway"]) if running else f"http://{settings.gateway_host}:{settings.gateway_port}"
    body = file.read_bytes() if source != "linear" else _sent_now(file.read_bytes())
    credentials, place = load_or_make(settings), source
    if team is not None:
        credentials, place = _of_team(settings, credentials, team, source), f"{team}/{source}"
    headers = _signed(credentials, source, kind, delivery or str(uuid.uuid4()), body)
    try:
        response = httpx.post(
            f"{url}/webhooks/{place}",
            content=body,
            headers={**headers, "Content-Type": "application/json"},
            timeout=30,
        )
    except httpx.TransportError as error:
        running = running_platform(settings)
        how = (
            "the platform runs, so its gateway may be starting again: `penstock status` shows it"
            if running and str(running.get("gateway")) == url
            else "start the platform with `penstock up`, or give --url"
        )
        raise CommandFailed(f"no gateway answers at {url} ({error}): {how}") from error
    try:
        answer: Any = response.json()
    except ValueError:
        answer = {"detail": response.text[:500]}
    if as_json:
        data({"status_code": response.status_code, **answer})
    else:
        line(f"{response.status_code} {json.dumps(answer)}")
    if response.status_code >= 400:
        raise typer.Exit(1)


def _of_team(settings: "Settings", credentials: "Credentials", team: str, source: str) -> "Credentials":
    """The secrets, with those of a team for its webhook."""
    from core.team_webhooks import read_secrets
    from dagster_project.cli.access import team_of
    from dagster_project.cli.task import opened

    with opened() as database:
        found = read_secrets(settings.secrets_folder, team_of(database, team), source)
    if not found:
        raise CommandFailed(
            f"team {team} has no secret for {source}: `penstock team webhook {team} {source}` makes one"
        )
    changed: dict[str, Any] = {f"{source}_secrets": found}
    return replace(credentials, **changed)


def _sent_now(body: bytes) -> bytes:
    """A payload of Linear, which holds the time at which it was sent."""
    try:
        payload = json.loads(body)
    except ValueError:
        return body
    if isinstance(payload, dict):
        payload["webhookTimestamp"] = int(time.time() * 1000)
    return json.dumps(payload).encode()


def _signed(credentials: "Credentials", source: str, kind: str, delivery: str, body: bytes) -> dict[str, str]:
    from core.signatures import SIGNING, sign_gitea, sign_github, sign_standard

    if source == "jira":
        signature = sign_github(credentials.jira_secrets[0], body)
        return {"X-Atlassian-Webhook-Identifier": delivery, "X-Hub-Signature": signature}
    if source == "bitbucket":
        signature = sign_github(credentials.bitbucket_secrets[0], body)
        return {"X-Event-Key": kind, "X-Request-UUID": delivery, "X-Hub-Signature": signature}
    if source == "linear":
        return {"Linear-Delivery": delivery, "Linear-Signature": sign_gitea(credentials.linear_secrets[0], body)}
    if source == "gitea":
        signature = sign_gitea(credentials.gitea_secrets[0], body)
        return {"X-Gitea-Event": kind, "X-Gitea-Delivery": delivery, "X-Gitea-Signature": signature}
    if source == "gitlab" and not credentials.gitlab_secrets[0].startswith(SIGNING):
        return {"X-Gitlab-Token": credentials.gitlab_secrets[0], "Idempotency-Key": delivery}
    if source == "github":
        return {
            "X-GitHub-Event": kind,
            "X-GitHub-Delivery": delivery,
            "X-Hub-Signature-256": sign_github(credentials.github_secrets[0], body),
        }
    now = int(time.time())
    secret = (credentials.gitlab_secrets if source == "gitlab" else credentials.generic_secrets)[0]
    return {
        "webhook-id": delivery,
        "webhook-timestamp": str(now),
        "webhook-signature": sign_standard(secret, delivery, now, body),
    }

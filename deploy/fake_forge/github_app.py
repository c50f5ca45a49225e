"""What only a GitHub App may ask of GitHub: its own facts, installations, their tokens, and check runs."""

import base64
import binascii
import json
import subprocess
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from deploy.fake_forge import github_shapes
from deploy.fake_forge.accounts import now, stamp
from deploy.fake_forge.exchange import Call, Refused, Reply, index, strings
from deploy.fake_forge.github import ROUTES, invalid, problem, text, writer
from deploy.fake_forge.records import App, CheckRun, NotFound, Repository, User

APP_ID = 4711
APP_LOGIN = "penstock[bot]"
LONGEST_JWT = 600 + 60
"""In seconds: GitHub refuses a later expiry than ten minutes from now; one minute is for clocks that differ."""
TOKEN_SECONDS = 3600
_PERMISSIONS = {"contents": "write", "issues": "write", "pull_requests": "write", "checks": "write", "metadata": "read"}
_EVENTS = ["issues", "issue_comment", "pull_request", "push"]
_STATUSES = ("queued", "in_progress", "completed", "waiting", "requested", "pending")
_CONCLUSIONS = (
    *("success", "failure", "neutral", "cancelled", "skipped", "timed_out", "action_required", "stale"),
    "startup_failure",
)


def _decoded(part: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def _require_app(call: Call) -> App:
    """Raises `Refused` unless a valid JWT of the app came with the request."""
    app, parts = call.state.app, call.secret.split(".")
    refused = Refused(problem(401, "A JSON web token could not be decoded"))
    if len(parts) != 3:
        raise refused
    try:
        header, claims = _decoded(parts[0]), _decoded(parts[1])
        expires, algorithm, issuer = float(claims["exp"]), header["alg"], claims["iss"]
    except (ValueError, KeyError, TypeError, binascii.Error):
        raise refused from None
    if algorithm != "RS256" or not issuer:
        raise refused
    if expires < time.time():
        raise Refused(problem(401, "'Expiration time' claim ('exp') must be a numeric value representing the future"))
    if expires > time.time() + LONGEST_JWT:
        raise Refused(problem(401, "'Expiration time' claim ('exp') is too far in the future"))
    if app.public_key and not _signed(app.public_key, f"{parts[0]}.{parts[1]}", parts[2]):
        raise refused
    return app


def _signed(key: Path, content: str, signature: str) -> bool:
    try:
        raw = base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4))
    except (ValueError, binascii.Error):
        return False
    with tempfile.NamedTemporaryFile() as file:
        file.write(raw)
        file.flush()
        command = ["openssl", "dgst", "-sha256", "-verify", str(key), "-signature", file.name]
        done = subprocess.run(command, input=content.encode(), capture_output=True, timeout=30, check=False)
    return done.returncode == 0


def shown_app(call: Call) -> dict[str, Any]:
    owner = call.state.add_user("penstock-labs")
    return {
        "id": APP_ID,
        "slug": "penstock",
        "node_id": github_shapes.node("App", APP_ID),
        "client_id": "Iv1.fake",
        "owner": github_shapes.user(call.url, owner),
        "name": "Penstock",
        "description": "A fake app",
        "external_url": call.url,
        "html_url": f"{call.url}/apps/penstock",
        "created_at": stamp(owner.created),
        "updated_at": stamp(owner.created),
        "permissions": _PERMISSIONS,
        "events": _EVENTS,
    }


@ROUTES("GET", "app")
def get_app(call: Call) -> Reply:
    _require_app(call)
    return Reply(200, shown_app(call))


@ROUTES("GET", "repos/{owner}/{repo}/installation")
def get_installation(call: Call, owner: str, repo: str) -> Reply:
    app = _require_app(call)
    numbers = [number for number, names in app.installations.items() if f"{owner}/{repo}" in names]
    if not numbers:
        raise NotFound(f"{owner}/{repo}")
    number = numbers[0]
    account = call.state.add_user(owner)
    api = f"{call.url}{github_shapes.PREFIX}"
    shown = {
        "id": number,
        "account": github_shapes.user(call.url, account),
        "repository_selection": "selected",
        "access_tokens_url": f"{api}/app/installations/{number}/access_tokens",
        "repositories_url": f"{api}/installation/repositories",
        "html_url": f"{call.url}/settings/installations/{number}",
        "app_id": APP_ID,
        "app_slug": "penstock",
        "target_id": account.id,
        "target_type": "User",
        "permissions": _PERMISSIONS,
        "events": _EVENTS,
        "created_at": stamp(account.created),
        "updated_at": stamp(account.created),
        **dict.fromkeys(("single_file_name", "suspended_by", "suspended_at")),
    }
    return Reply(200, shown)


@ROUTES("POST", "app/installations/{number}/access_tokens")
def create_token(call: Call, number: str) -> Reply:
    app = _require_app(call)
    allowed = app.installations.get(index(number))
    if allowed is None:
        raise NotFound(number)
    wanted = strings(call.body.get("repositories"))
    if not set(wanted) <= {name.partition("/")[2] for name in allowed}:
        return problem(422, "There is at least one repository that does not exist or is not accessible to the parent")
    token = call.state.add_token(APP_LOGIN, f"installation-{number}", is_installation=True)
    expires = stamp(now() + timedelta(seconds=TOKEN_SECONDS))
    body = {"token": token, "expires_at": expires, "permissions": _PERMISSIONS, "repository_selection": "selected"}
    return Reply(201, body)


def _as_app(call: Call, owner: str, repo: str) -> tuple[Repository, User]:
    repository, user = writer(call, owner, repo)
    if not (call.token and call.token.is_installation):
        raise Refused(problem(403, "You must authenticate via a GitHub App."))
    return repository, user


def _fill(call: Call, run: CheckRun) -> None:
    """Raises `Refused` for values that GitHub does not know, before anything is changed."""
    body, values = call.body, {}
    for name in ("name", "status", "conclusion", "details_url", "external_id"):
        value = text(call, name, "CheckRun")
        if value is not None:
            values[name] = value
    output = body.get("output", run.output)
    if values.get("status", "queued") not in _STATUSES or values.get("conclusion", "success") not in _CONCLUSIONS:
        raise invalid("CheckRun", "invalid", "conclusion" if values.get("status", "queued") in _STATUSES else "status")
    if not isinstance(output, dict) or (output and not (output.get("title") and "summary" in output)):
        raise invalid("CheckRun", "missing_field", "output")
    for name in ("summary", "text"):
        if len(str(output.get(name) or "").encode()) > 65535:
            raise invalid("CheckRun", "custom", name, f"{name} exceeds a maximum bytesize of 65535")
    if values.get("conclusion"):
        values["status"] = "completed"  # as GitHub does
    for name, value in values.items():
        setattr(run, name, value)
    run.output = output
    run.completed = (run.completed or now()) if run.status == "completed" else None


@ROUTES("POST", "repos/{owner}/{repo}/check-runs")
def create_check_run(call: Call, owner: str, repo: str) -> Reply:
    found, user = _as_app(call, owner, repo)
    name = text(call, "name", "CheckRun", needed=True) or ""
    commit = text(call, "head_sha", "CheckRun", needed=True) or ""
    _fill(call, CheckRun(0, name, commit, now()))  # refuses before anything is made
    run = call.state.add_check_run(found, user, name, commit)
    _fill(call, run)
    return Reply(201, github_shapes.check_run(call.url, found, run, shown_app(call)))


@ROUTES("PATCH", "repos/{owner}/{repo}/check-runs/{number}")
def edit_check_run(call: Call, owner: str, repo: str, number: str) -> Reply:
    found, user = _as_app(call, owner, repo)
    run = call.state.check_run(found, index(number))
    _fill(call, run)
    call.state.edited_check_run(found, user, run)
    return Reply(200, github_shapes.check_run(call.url, found, run, shown_app(call)))

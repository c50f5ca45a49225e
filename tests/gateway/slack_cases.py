"""Requests as Slack sends and signs them."""

import json
import time
import uuid
from typing import Any
from urllib.parse import urlencode

from core.signatures import sign_slack

BOT = "U0PENSTOCK"
CHANNEL = "C0SHOP"
SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
TS = "1772359200.000100"


def event(text: str, kind: str = "app_mention", **fields: Any) -> dict[str, Any]:
    """An event of the Events API about a message."""
    message = {"type": kind, "user": "U0ADA", "text": text, "ts": TS, "channel": CHANNEL, "event_ts": TS, **fields}
    return {
        "token": "x",
        "team_id": "T0FAKE",
        "api_app_id": "A0PENSTOCK",
        "event": {name: value for name, value in message.items() if value is not None},
        "type": "event_callback",
        "event_id": f"Ev{uuid.uuid4().hex}",
        "event_time": 1772359200,
        "authorizations": [{"team_id": "T0FAKE", "user_id": BOT, "is_bot": True, "is_enterprise_install": False}],
    }


def click(value: str, thread: str = TS, user: str = "U0ADA", **fields: Any) -> dict[str, Any]:
    """A click on a button of a message in a thread."""
    posted = {"type": "message", "user": BOT, "bot_id": "B0", "ts": "1772359201.000200", "thread_ts": thread}
    return {
        "type": "block_actions",
        "user": {"id": user, "username": "ada", "name": "ada", "team_id": "T0FAKE"},
        "trigger_id": uuid.uuid4().hex,
        "container": {"type": "message", "message_ts": posted["ts"], "channel_id": CHANNEL, "thread_ts": thread},
        "channel": {"id": CHANNEL, "name": "shop"},
        "message": posted,
        "actions": [
            {"type": "button", "action_id": f"penstock_{value}", "value": value, "action_ts": f"{time.time():.6f}"}
        ],
        **fields,
    }


def slash(text: str, **fields: str) -> dict[str, str]:
    return {
        "command": "/penstock",
        "text": text,
        "user_id": "U0ADA",
        "user_name": "ada",
        "channel_id": CHANNEL,
        "team_id": "T0FAKE",
        "trigger_id": uuid.uuid4().hex,
        "response_url": "https://hooks.slack.com/commands/1/2",
        **fields,
    }


def signed(body: Any, *, form: bool = False, secret: str = SECRET, at: int | None = None) -> dict[str, Any]:
    """A request for `httpx` or the test client."""
    raw = body if isinstance(body, bytes) else urlencode(body).encode() if form else json.dumps(body).encode()
    now = int(time.time()) if at is None else at
    return {
        "url": "/webhooks/slack",
        "content": raw,
        "headers": {
            "Content-Type": "application/x-www-form-urlencoded" if form else "application/json",
            "X-Slack-Request-Timestamp": str(now),
            "X-Slack-Signature": sign_slack(secret, now, raw),
        },
    }


def clicked(payload: dict[str, Any]) -> dict[str, Any]:
    return signed({"payload": json.dumps(payload)}, form=True)

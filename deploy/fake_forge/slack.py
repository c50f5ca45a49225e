"""The dialect of Slack's Web API, below `/slack/api`; https://docs.slack.dev/reference/methods.

Refusals have status 200. Every token of the forge is the bot token of one app. As at Slack, methods that read take no
JSON.
"""

import base64
from collections.abc import Callable
from typing import Any

from deploy.fake_forge.chat import BOT, TEAM, Channel, Member, Message
from deploy.fake_forge.exchange import BadBody, Call, Reply, Routes

NAME = "slack"
PREFIX = "/slack/api"
ROUTES = Routes()
MOST_BLOCKS = 50
MOST_SECTION = 3_000
MOST_TEXT = 40_000
MOST_UPDATED_TEXT = 4_000
MOST_IN_BLOCKS = 13_200
_FLAGS = ("deleted", "is_bot", "is_restricted", "is_ultra_restricted", "is_stranger", "is_app_user")


class Refusal(Exception):
    """Answers `ok: false` with the name of an error."""

    def __init__(self, error: str, **more: Any) -> None:
        super().__init__(error)
        self.body = {"ok": False, "error": error, **more}


def credential(headers: dict[str, str]) -> str:
    scheme, _, secret = headers.get("authorization", "").partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else ""


def unknown() -> Reply:
    return Reply(200, {"ok": False, "error": "unknown_method"})


def answer(call: Call) -> Reply:
    if not call.secret:
        return Reply(200, {"ok": False, "error": "not_authed"})
    if call.token is None:
        return Reply(200, {"ok": False, "error": "invalid_auth"})
    try:
        with call.state.chat.lock:
            return ROUTES.answer(call)
    except Refusal as refusal:
        return Reply(200, refusal.body)
    except BadBody:
        return Reply(200, {"ok": False, "error": "invalid_json"})


def _ok(**more: Any) -> Reply:
    return Reply(200, {"ok": True, **more})


def _both(method: str) -> Callable[[Any], Any]:
    def added(handler: Any) -> Any:
        ROUTES("GET", method)(handler)
        return ROUTES("POST", method)(handler)

    return added


def _argument(call: Call, name: str, error: str = "invalid_arguments") -> str:
    """Of a method that reads: from the query, or a form."""
    is_form = "x-www-form-urlencoded" in call.headers.get("content-type", "")
    value = call.query.get(name) or (call.body.get(name) if is_form else None)
    if not value:
        raise Refusal(error)
    return str(value)


def _channel(call: Call, identity: str, *, joined: bool = True) -> Channel:
    found = call.state.chat.channels.get(identity)
    if found is None:
        raise Refusal("channel_not_found")
    if joined and not found.joined:
        raise Refusal("not_in_channel")
    return found


def _message(message: Message, *, metadata: bool) -> dict[str, Any]:
    shape: dict[str, Any] = {"type": "message", "user": message.user, "ts": message.ts, "text": message.text}
    if message.user == BOT:
        shape |= {"bot_id": "B0PENSTOCK", "app_id": "A0PENSTOCK", "blocks": message.blocks}
    if message.thread != message.ts:
        shape |= {"thread_ts": message.thread, "parent_user_id": "U0"}
    if message.edits:
        shape["edited"] = {"user": message.user, "ts": message.ts}
    if metadata and message.metadata:
        shape["metadata"] = message.metadata
    return shape


def _user(member: Member) -> dict[str, Any]:
    shape = {"id": member.id, "name": member.name, "team_id": member.team, "profile": {}}
    return {**shape, **dict.fromkeys(_FLAGS, False), **member.flags}


@_both("auth.test")
def auth_test(call: Call) -> Reply:
    return _ok(
        url="https://acme.slack.com/", team="Acme", user="penstock", team_id=TEAM, user_id=BOT, bot_id="B0PENSTOCK"
    )


@_both("users.info")
def users_info(call: Call) -> Reply:
    found = call.state.chat.members.get(_argument(call, "user", "user_not_found"))
    if found is None:
        raise Refusal("user_not_found")
    return _ok(user=_user(found))


@_both("conversations.info")
def conversations_info(call: Call) -> Reply:
    found = _channel(call, _argument(call, "channel"), joined=False)
    return _ok(channel={"id": found.id, "is_member": found.joined, "is_archived": found.archived})


@_both("conversations.replies")
def conversations_replies(call: Call) -> Reply:
    found = _channel(call, _argument(call, "channel"))
    root = _argument(call, "ts")
    messages = [message for message in found.messages if message.thread == root]
    if not messages:
        raise Refusal("thread_not_found")
    size = min(int(call.query.get("limit") or 100), 1000)
    begin = int(base64.b64decode(call.query.get("cursor", "") or "MA=="))
    page = messages[begin : begin + size]
    metadata = call.query.get("include_all_metadata") in ("true", "1")
    more = begin + size < len(messages)
    cursor = base64.b64encode(str(begin + size).encode()).decode() if more else ""
    return _ok(
        messages=[_message(message, metadata=metadata) for message in page],
        has_more=more,
        response_metadata={"next_cursor": cursor},
    )


@ROUTES("POST", "chat.postMessage")
def post_message(call: Call) -> Reply:
    body = call.body
    found = _channel(call, str(body.get("channel")))
    if found.archived:
        raise Refusal("is_archived")
    text, blocks = _content(body, MOST_TEXT)
    thread = body.get("thread_ts")
    if thread is not None and not any(message.thread == thread for message in found.messages):
        raise Refusal("thread_not_found")
    made = call.state.chat.say(found.id, BOT, text, thread, blocks=blocks, metadata=body.get("metadata"))
    return _ok(channel=found.id, ts=made.ts, message=_message(made, metadata=True))


@ROUTES("POST", "chat.update")
def update(call: Call) -> Reply:
    body = call.body
    found = _channel(call, str(body.get("channel")))
    held = next((message for message in found.messages if message.ts == body.get("ts")), None)
    if held is None:
        raise Refusal("message_not_found")
    if held.user != BOT:
        raise Refusal("cant_update_message")
    held.text, held.blocks = _content(body, MOST_UPDATED_TEXT)
    held.metadata = body.get("metadata", held.metadata)
    held.edits += 1
    return _ok(channel=found.id, ts=held.ts, text=held.text)


def _content(body: dict[str, Any], most: int) -> tuple[str, list[dict[str, Any]]]:
    text, blocks = body.get("text") or "", body.get("blocks") or []
    if not text and not blocks:
        raise Refusal("no_text")
    if len(text) > most:
        raise Refusal("msg_too_long")
    sections = [block.get("text", {}).get("text", "") for block in blocks if block.get("type") == "section"]
    rows = [block.get("elements", []) for block in blocks if block.get("type") == "actions"]
    wrong = len(blocks) > MOST_BLOCKS or not all(0 < len(section) <= MOST_SECTION for section in sections)
    wrong = wrong or not all(0 < len(row) <= 25 for row in rows)
    if wrong or len(sections) + len(rows) != len(blocks):
        raise Refusal("invalid_blocks")
    if sum(map(len, sections)) > MOST_IN_BLOCKS:
        raise Refusal("msg_blocks_too_long")
    metadata = body.get("metadata")
    if metadata is not None and not (isinstance(metadata.get("event_type"), str) and "event_payload" in metadata):
        raise Refusal("invalid_metadata_format")
    return text, blocks

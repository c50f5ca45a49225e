"""A channel of Slack as a place of results, by its Web API (https://docs.slack.dev/apis/web-api/): threads are tickets.

What Slack refuses comes with status 200 and the name of an error, which `_ERRORS` sorts.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

from pydantic import Field

from core.forge.host import MOST_COMMENTS, PAUSES, READ, WRITE, translated
from core.forge.mrkdwn import escaped, mrkdwn, parts
from core.forge.protocol import ForgeUnavailable, PublicationRefused
from core.forge.tracker import Action, Said, shortened
from core.http import Service
from core.payload import Objects, Payload, Text, parse
from core.tickets.slack import BUTTON

ADDRESS = "https://slack.com"
SETTING = "PENSTOCK_SLACK_TOKEN"
EVENT = "penstock_comment"
"""The type of the metadata that hides a comment's mark."""
SECTION_CHARACTERS = 2_900
MOST_SECTION_CHARACTERS = 12_000
"""Of all sections of a message. Slack's limits: 3,000 for each, 50 blocks."""
NOTICE_CHARACTERS = 300
"""Of the text that notifications show in place of the blocks."""
_PAGE = 200
_COMMAND = re.compile(r"`/penstock (retry|explain|stop|approve|help)`")
_STYLES = {"approve": {"style": "primary"}, "stop": {"style": "danger"}}

_BUSY = frozenset(
    {"service_unavailable", "internal_error", "fatal_error", "request_timeout", "team_added_to_org", "accesslimited"}
)
_LIMITED = frozenset({"ratelimited", "rate_limited", "message_limit_exceeded"})
_TOKEN = frozenset(
    {
        *("invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired", "no_permission"),
        *("missing_scope", "not_allowed_token_type", "ekm_access_denied", "org_login_required", "access_denied"),
        *("team_access_not_granted", "two_factor_setup_required"),
    }
)
_OUTSIDE = frozenset({"not_in_channel", "channel_not_found"})
_NOBODY = frozenset({"user_not_found", "user_not_visible", "users_not_found"})


class _Answer(Payload):
    ok: Any = False
    error: Text | None = None
    needed: Text | None = None


class _Account(Payload):
    """The token's own, as `auth.test` gives it."""

    url: Text
    user: Text
    user_id: Text
    team_id: Text


class _Cursor(Payload):
    next_cursor: Text | None = None


class _Thread(Payload):
    messages: Objects
    metadata: _Cursor | None = Field(default=None, alias="response_metadata")


class _Message(Payload):
    ts: Text
    user: Text | None = None
    metadata: Any = None

    def has(self, mark: str) -> bool:
        found = self.metadata if isinstance(self.metadata, Mapping) else {}
        payload = found.get("event_payload")
        return found.get("event_type") == EVENT and isinstance(payload, Mapping) and payload.get("mark") == mark


class _Posted(Payload):
    ts: Text


class _Enterprise(Payload):
    teams: list[Text] = Field(default_factory=list)


class _User(Payload):
    """Whether somebody is a full member shows only by what is said to be false; a field that is missing is not."""

    id: Text
    team_id: Text | None = None
    deleted: Any = None
    is_bot: Any = None
    is_restricted: Any = None
    is_ultra_restricted: Any = None
    is_stranger: Any = False
    is_workflow_bot: Any = False
    is_invited_user: Any = False
    enterprise: _Enterprise | None = Field(default=None, alias="enterprise_user")

    def is_member(self, team: str) -> bool:
        no = (self.deleted, self.is_bot, self.is_restricted, self.is_ultra_restricted)
        also = (self.is_stranger, self.is_workflow_bot, self.is_invited_user)
        teams = (self.team_id, *(self.enterprise.teams if self.enterprise else ()))
        return all(flag is False for flag in (*no, *also)) and team in teams and self.id != "USLACKBOT"


class _Channel(Payload):
    is_member: Any = None


class _Info(Payload):
    channel: _Channel


class _Found(Payload):
    user: _User


class SlackTracker:
    """One channel. `token` is asked for each request."""

    most_characters = 9_000

    def __init__(self, address: str | None, channel: str, token: Callable[[], str]) -> None:
        self.target = f"slack:{channel}"
        self._channel = channel
        self._service = Service(
            address or ADDRESS,
            headers=lambda: {"Authorization": f"Bearer {token()}"},
            pauses=PAUSES,
            environment_proxies=True,
        )
        self._account: _Account | None = None

    def check(self) -> None:
        self._own()
        found = self._get("conversations.info", channel=self._channel)
        with self._translated():
            if parse(_Info, found).channel.is_member is not True:
                raise self._failure("conversations.info", _Answer(error="not_in_channel"))

    def may_write(self, login: str, user_id: str | None, ticket: str | None) -> bool:
        """Full members of the token's own workspace may; guests, bots and people of other workspaces may not."""
        if not user_id:
            return False
        try:
            found = self._get("users.info", user=user_id)
        except _Nobody:
            return False
        with self._translated():
            return parse(_Found, found).user.is_member(self._own().team_id)

    def find(self, ticket: str, mark: str) -> Said | None:
        own = self._own().user_id
        for message in self._thread(ticket):
            if message.user == own and message.has(mark):
                return Said(message.ts, self._link(ticket, message.ts))
        return None

    def write(self, ticket: str, mark: str, text: str, actions: tuple[Action, ...]) -> Said:
        return self._posted("chat.postMessage", ticket, mark, text, actions, {"thread_ts": ticket})

    def edit(self, ticket: str, said: Said, mark: str, text: str, actions: tuple[Action, ...]) -> Said:
        return self._posted("chat.update", ticket, mark, text, actions, {"ts": said.id})

    def link(self, ticket: str, url: str, title: str) -> None:
        """The comment has it."""

    def status(self, ticket: str) -> str | None:
        return None

    def move(self, ticket: str, status: str) -> bool:
        return False

    def _posted(
        self, method: str, ticket: str, mark: str, text: str, actions: tuple[Action, ...], where: dict[str, str]
    ) -> Said:
        text = _COMMAND.sub(rf"`@{self._own().user} \1`", text)  # slash commands do not work in threads
        body = {
            "channel": self._channel,
            **where,
            "text": escaped(text.strip().partition("\n")[0][:NOTICE_CHARACTERS]),
            "blocks": blocks(text, actions),
            "metadata": {"event_type": EVENT, "event_payload": {"mark": mark}},
            "parse": "none",
            "link_names": False,
            "unfurl_links": False,
            "unfurl_media": False,
        }
        made = self._asked("POST", method, body)
        with self._translated():
            return Said(parse(_Posted, made).ts, self._link(ticket, parse(_Posted, made).ts))

    def _thread(self, ticket: str) -> Iterator[_Message]:
        cursor: dict[str, str] = {}
        for _ in range(MOST_COMMENTS // _PAGE):
            page = self._get(
                "conversations.replies",
                channel=self._channel,
                ts=ticket,
                limit=str(_PAGE),
                include_all_metadata="true",
                **cursor,
            )
            with self._translated():
                found = parse(_Thread, page)
                messages = [parse(_Message, message) for message in found.messages]
            yield from messages
            following = found.metadata.next_cursor if found.metadata else None
            if not following:
                return
            cursor = {"cursor": following}

    def _link(self, ticket: str, stamp: str) -> str:
        root = self._own().url.rstrip("/")
        query = urlencode({"thread_ts": ticket, "cid": self._channel})
        return f"{root}/archives/{self._channel}/p{stamp.replace('.', '')}?{query}"

    def _own(self) -> _Account:
        if self._account is None:
            made = self._get("auth.test")
            with self._translated():
                self._account = parse(_Account, made)
        return self._account

    def _get(self, method: str, **query: str) -> Any:
        return self._asked("GET", f"{method}?{urlencode(query)}" if query else method)

    def _asked(self, verb: str, path: str, body: Any = None) -> Any:
        with self._translated():
            made = self._service.json(verb, f"/api/{path}", body, limits=WRITE if body else READ)
            found = parse(_Answer, made)
            if found.ok is not True:
                raise self._failure(path.partition("?")[0], found)
            return made

    def _failure(self, method: str, found: _Answer) -> Exception:
        error = (found.error or "no reason")[:100]
        said = f"{self._service.base}: {method} answered {error!r}"
        if error in _LIMITED:
            return ForgeUnavailable(said, PAUSES.unsaid)
        if error in _TOKEN:
            scope = f" with the scope {found.needed[:100]}" if error == "missing_scope" and found.needed else ""
            return ForgeUnavailable(f"{said}: set {SETTING} to the bot token of your app{scope}")
        if error in _OUTSIDE:
            return ForgeUnavailable(f"{said}: invite the app to the channel {self._channel} (/invite @app there)")
        if error in _BUSY:
            return ForgeUnavailable(said)
        if error in _NOBODY:
            return _Nobody(said)
        return PublicationRefused(said)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        remedy = f"set {SETTING} to the bot token of your app"
        with translated(self._service.base, remedy, lambda refusal: False):
            yield


class _Nobody(PublicationRefused):
    """There is no such user, or the app may not see them."""


def blocks(text: str, actions: tuple[Action, ...]) -> list[dict[str, Any]]:
    """The blocks of a message: sections of text, and a row of buttons."""
    made = mrkdwn(text)
    while len(made) > MOST_SECTION_CHARACTERS:  # escapes have made it longer
        text = shortened(text, len(text) * 3 // 4)
        made = mrkdwn(text)
    # `verbatim`: Slack itself must not turn names into mentions.
    found: list[dict[str, Any]] = [
        {"type": "section", "text": {"type": "mrkdwn", "text": part, "verbatim": True}}
        for part in parts(made, SECTION_CHARACTERS)
    ]
    buttons = [
        {
            "type": "button",
            "action_id": f"{BUTTON}{action.command}",
            "value": action.command,
            "text": {"type": "plain_text", "text": action.label[:75]},
            **_STYLES.get(action.command, {}),
        }
        for action in actions
    ]
    return [*found, {"type": "actions", "block_id": "penstock", "elements": buttons}] if buttons else found

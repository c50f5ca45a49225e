"""Intents of what Slack sends: mentions and commands in threads, clicks on buttons, slash commands.

A mention of the app starts a task at the source that its channel is linked to; `core.tickets.slack` has the formats.
Nothing is kept of other messages, and threads are not searchable, since channels may be private.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from core.commands import Command, find_commands, spelled_out
from core.intake import Happening, Intent, NoIntent, Target, TaskIntent, TicketIntent
from core.intents import said_of
from core.payload import cut_title, parse, shown
from core.rules import Rules, Signal, mentioned
from core.tickets import TITLE_CHARACTERS, Comment, Kind, Service, TicketChange
from core.tickets.slack import BUTTON, CALLED, Authorization, Click, Message, SlashCommand, moment, plain

HELP = (
    "In a linked channel, mention the app to have something worked on. In that thread, mention it with one of these "
    "words alone on a line: retry, explain, stop, approve, help. Slash commands do not work in threads: "
    "`/penstock stop LINK` takes the link to one of this channel."
)
_WRITTEN = (None, "thread_broadcast", "file_share")
"""Subtypes of messages that a person has just written."""
_LINK = re.compile(
    r"https://[a-z0-9.-]{1,200}/archives/([A-Z][A-Z0-9]{1,30})/p([0-9]{10})([0-9]{6})"
    r"(?:\?(?:[^\s&]{0,100}&)?thread_ts=([0-9]{10}\.[0-9]{6})(?:&\S{0,100})?)?"
)
_ADDRESS = re.compile(rf"@{CALLED}\b[ \t]*[,:]?[ \t]*", re.IGNORECASE)


def describe(payload: Mapping[str, Any]) -> str:
    """The event's name, for example "app_mention"."""
    event = payload.get("event")
    inner = event.get("type") if isinstance(event, Mapping) else None
    return shown(inner or payload.get("type") or payload.get("command"), 128) or "unknown"


def normalise(payload: Mapping[str, Any], *, rules: Rules) -> Intent:
    """The intent of an event, a click or a slash command. Raises only `BadField`."""
    if "command" in payload and "type" not in payload:
        return slash_command(payload)[0]
    kind, event = payload.get("type"), payload.get("event")
    if kind == "block_actions":
        return _click(parse(Click, payload))
    if (
        kind != "event_callback"
        or not isinstance(event, Mapping)
        or event.get("type") not in ("app_mention", "message")
    ):
        return NoIntent(f"{describe(payload)} starts no work")
    if event.get("subtype") not in _WRITTEN or event.get("bot_id") or "edited" in event:
        return NoIntent("the message starts no work: it is an edit, a notice or a program's own")
    message = parse(Message, event, "event")
    if message.user is None:
        return NoIntent("the message starts no work: it says of nobody who wrote it")
    return _message(message, event["type"], _bot(payload, message.text, event["type"]), rules)


def slash_command(form: Mapping[str, Any]) -> tuple[Intent, str]:
    """The intent of `/penstock WORD LINK`, and what to answer if that is stored."""
    said = parse(SlashCommand, form)
    words = plain(said.text).split()
    command = words[0].lower() if words else Command.HELP
    if command not in set(Command) or command == Command.HELP:
        return NoIntent("the command asks for help, or is not known"), HELP
    link = _LINK.fullmatch(words[1]) if len(words) == 2 else None
    if link is None or link[1] != said.channel_id:
        return NoIntent("the command names no thread of its channel"), HELP
    thread = link[4] or f"{link[2]}.{link[3]}"
    by = Comment(id=f"command {said.trigger_id}"[:200], author=said.user_name or said.user_id, author_id=said.user_id)
    intent = _intent(said.channel_id, thread, by, "slash command", (Command(command),))
    return intent, "Penstock does that, and answers in the thread."


def _message(message: Message, kind: str, bot: str | None, rules: Rules) -> Intent:
    text, at = plain(message.text, bot), moment(message.ts)
    comment = Comment(id=message.ts, author=message.user, author_id=message.user, body=text, created_at=at)
    commands = find_commands(spelled_out(text, CALLED))
    intent = _intent(message.channel, message.thread, comment, kind, commands)
    if commands:
        return intent
    if message.user == bot or not _mentions(message.text, bot) or CALLED not in mentioned(text):
        return NoIntent("the message does not mention the app, outside of quotations and code")
    intent = replace(intent, says=said_of(_ADDRESS.sub("", text, count=1)))
    signal = Signal(
        opened=True, mentioned=(CALLED,), actor=message.user, actor_id=message.user, at=at, comment=message.ts
    )
    started = rules.first(signal, Service.SLACK, message.channel)
    if started is None:
        why = rules.unmatched(signal, Service.SLACK, message.channel) or "starts no task: no rule is for this channel"
        return replace(intent, reason=why)
    return replace(intent, task=_work(message, text, started[1], at))


def _mentions(text: str, bot: str | None) -> bool:
    return bot is not None and (f"<@{bot}>" in text or f"<@{bot}|" in text)


def _work(message: Message, text: str, what: str, at: datetime) -> TaskIntent:
    said = _ADDRESS.sub("", text, count=1) if _ADDRESS.match(text.lstrip()) else text
    title = next((line for line in said.strip().split("\n") if line.strip()), "")
    return TaskIntent(
        target=Target(project=(Service.SLACK, message.channel)),
        title=cut_title(_ADDRESS.sub("", title), TITLE_CHARACTERS),
        body=said.strip(),
        author=message.user,
        happening=Happening(Service.SLACK, f"{message.channel}/{message.thread}", what, at),
        starter=(message.user, message.user),
    )


def _click(click: Click) -> Intent:
    for action in click.actions:
        value = (action.value or "").lower()
        if (action.action_id or "").startswith(BUTTON) and value in set(Command):
            by = Comment(
                id=f"button {action.action_ts}",
                author=click.user.called,
                author_id=click.user.id,
                created_at=moment(action.action_ts),
            )
            return _intent(click.channel.id, click.thread, by, "button", (Command(value),))
    return NoIntent("the button is none of Penstock's")


def _intent(channel: str, thread: str, comment: Comment, action: str, commands: tuple[Command, ...]) -> TicketIntent:
    change = TicketChange(
        service=Service.SLACK, project=channel, key=thread, kind=Kind.ISSUE, action=action, comment=comment
    )
    return TicketIntent(Target(project=(Service.SLACK, channel)), change, None, commands, searchable=False)


def _bot(payload: Mapping[str, Any], text: str, kind: str) -> str | None:
    """The app's own user id. Where it is not said, an `app_mention` mentions it first."""
    held = payload.get("authorizations")
    for one in held[:10] if isinstance(held, list) else ():
        found = parse(Authorization, one, "authorizations.0")
        if found.user_id and found.is_bot is not False:
            return found.user_id
    first = re.search(r"<@([A-Z][A-Z0-9]{1,30})[|>]", text) if kind == "app_mention" else None
    return first[1] if first else None

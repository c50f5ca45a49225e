"""A thread as a client holds it: the fold of its ops, and the same with what is pending replayed over it.

Pure: no clock, no network, no file. `docs/threads.md` has the table of ops.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any


class Gap(ValueError):
    """An op does not follow the last one that was folded."""


@dataclass(frozen=True)
class Message:
    """`seq` is 0 while the message is pending; `pending` says that something of it is."""

    id: str
    seq: int
    revision: int
    role: str
    author: str
    text: str
    body: Mapping[str, Any] = field(default_factory=dict)
    siblings: tuple[Mapping[str, Any], ...] = ()
    deleted: bool = False
    pending: bool = False


@dataclass(frozen=True)
class Snapshot:
    """What is shown of a thread. `messages` are in order, pending ones last."""

    title: str
    head: int
    messages: tuple[Message, ...]
    continued_in: str | None = None

    @property
    def texts(self) -> list[str]:
        return [one.text for one in self.messages if not one.deleted]


class Replica:
    """The confirmed state of one thread. `changed` collects the ids of messages that folding changed."""

    def __init__(self, title: str = "", head: int = 0, messages: Iterable[Message] = ()) -> None:
        self.title = title
        self.head = head
        self.continued_in: str | None = None
        self.messages: dict[str, Message] = {one.id: one for one in messages}
        self.changed: set[str] = set()

    def fold(self, op: Mapping[str, Any]) -> None:
        """Applies the next op; one that was folded before changes nothing. Raises `Gap`."""
        seq, kind, body = int(op["seq"]), op["kind"], op["body"]
        if seq <= self.head:
            return
        if seq != self.head + 1:
            raise Gap(f"op {seq} after {self.head}")
        self.head = seq
        if kind in ("create", "title"):
            self.title = body["title"]
        elif kind == "append":
            self._put(Message(body["id"], seq, seq, body["role"], op["author"], body["text"], body.get("body") or {}))
        elif kind == "edit":
            old = self.messages[body["id"]]
            gone = set(body.get("resolves") or ())
            kept = tuple(one for one in old.siblings if one["seq"] not in gone)
            self._put(replace(old, text=body["text"], revision=seq, siblings=kept))
        elif kind == "sibling":
            old = self.messages[body["id"]]
            added = {"seq": seq, "author": op["author"], "text": body["text"]}
            self._put(replace(old, revision=seq, siblings=(*old.siblings, added)))
        elif kind == "delete":
            self._delete(body["id"], seq)
        elif kind == "truncate":
            for one in list(self.messages.values()):
                if body["after"] < one.seq <= body["upto"] and not one.deleted:
                    self._delete(one.id, seq)
        elif kind == "continued":
            self.continued_in = body["thread"]

    def _put(self, message: Message) -> None:
        self.messages[message.id] = message
        self.changed.add(message.id)

    def _delete(self, identity: str, seq: int) -> None:
        old = self.messages[identity]
        self._put(replace(old, text="", body={}, siblings=(), deleted=True, revision=seq))

    def with_pending(self, mutations: Iterable[Mapping[str, Any]], author: str = "you") -> Snapshot:
        """What is shown: the confirmed messages with pending mutations of this thread replayed over them, in order."""
        title, shown = self.title, dict(self.messages)
        for one in mutations:
            kind, target = one["kind"], shown.get(str(one.get("message")))
            if kind in ("create", "title"):
                title = one["title"]
            elif kind == "append" and target is None:
                made = Message(one["message"], 0, 0, one["role"], author, one.get("text", ""), one.get("body") or {})
                shown[made.id] = replace(made, pending=True)
            elif target is None and kind != "truncate":
                continue
            elif kind == "edit" and target is not None and not target.deleted:
                shown[target.id] = replace(target, text=one["text"], pending=True)
            elif kind == "delete" and target is not None:
                shown[target.id] = replace(target, text="", body={}, siblings=(), deleted=True, pending=True)
            elif kind == "truncate":
                for each in list(shown.values()):
                    if one["after"] < each.seq <= one["upto"]:
                        shown[each.id] = replace(each, text="", body={}, siblings=(), deleted=True, pending=True)
        ordered = sorted(shown.values(), key=lambda one: one.seq or 1 << 60)
        return Snapshot(title, self.head, tuple(ordered), self.continued_in)

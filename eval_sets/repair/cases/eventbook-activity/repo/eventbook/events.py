"""Events, and how they are written to and read from lines of JSON."""

import json
from datetime import datetime, timezone


class Event:
    """Something that happened to one account. `version` counts an account's events from 1."""

    kind = "event"
    fields = ()

    def __init__(self, account, at, **values):
        missing = [name for name in self.fields if name not in values]
        if missing:
            raise TypeError(f"{self.kind}: missing {', '.join(missing)}")
        self.account = account
        self.at = at
        self.version = None
        for name in self.fields:
            setattr(self, name, values[name])

    def as_dict(self):
        body = {name: getattr(self, name) for name in self.fields}
        return {"kind": self.kind, "account": self.account, "at": self.at.isoformat(), "version": self.version, **body}

    def __repr__(self):
        return f"<{self.kind} {self.account} v{self.version}>"


class Opened(Event):
    kind = "opened"
    fields = ("owner",)


class Deposited(Event):
    kind = "deposited"
    fields = ("cents",)


class Withdrawn(Event):
    kind = "withdrawn"
    fields = ("cents", "fee")

    def __init__(self, account, at, **values):
        values.setdefault("fee", 0)
        super().__init__(account, at, **values)


class Frozen(Event):
    kind = "frozen"
    fields = ("reason",)


class Released(Event):
    kind = "released"


KINDS = {cls.kind: cls for cls in (Opened, Deposited, Withdrawn, Frozen, Released)}


def to_line(event):
    return json.dumps(event.as_dict(), sort_keys=True)


def from_line(line):
    """The event of a line. Raises `ValueError` for a kind that is not known."""
    values = json.loads(line)
    kind = values.pop("kind")
    if kind not in KINDS:
        raise ValueError(f"unknown kind of event: {kind}")
    account = values.pop("account")
    at = datetime.fromisoformat(values.pop("at"))
    version = values.pop("version")
    event = KINDS[kind](account, at, **values)
    event.version = version
    return event


def utc(year, month, day, hour=0, minute=0):
    return datetime(year, month, day, hour, minute, tzinfo=timezone.utc)

"""Where events are kept, in the order in which they happened."""

from .events import from_line, to_line


class Conflict(Exception):
    """Somebody else has written to the account in the meantime."""


class Store:
    """Keeps events in memory. Subclasses may do more when an event is added."""

    def __init__(self):
        self._events = []
        self._versions = {}

    def append(self, event, expected=None):
        """Adds an event. With `expected`, only if the account is still at that version."""
        current = self._versions.get(event.account, 0)
        if expected is not None and expected != current:
            raise Conflict(f"{event.account} is at version {current}, not {expected}")
        event.version = current + 1
        self._versions[event.account] = event.version
        self._events.append(event)
        return event

    def version(self, account):
        return self._versions.get(account, 0)

    def of(self, account, after=0):
        """The events of one account with a version above `after`."""
        return [event for event in self._events if event.account == account and event.version > after]

    def since(self, moment):
        return [event for event in self._events if event.at >= moment]

    def accounts(self):
        return sorted(self._versions)

    def __len__(self):
        return len(self._events)

    def dump(self):
        return "\n".join(to_line(event) for event in self._events)

    @classmethod
    def load(cls, text):
        store = cls()
        for line in text.splitlines():
            if line.strip():
                event = from_line(line)
                store._events.append(event)
                store._versions[event.account] = event.version
        return store


class IndexedStore(Store):
    """Finds events by kind without looking at all of them."""

    def __init__(self):
        super().__init__()
        self._by_kind = {}

    def append(self, event, expected=None):
        added = super().append(event, expected)
        self._by_kind.setdefault(added.kind, []).append(added)
        return added

    def kind(self, name):
        return list(self._by_kind.get(name, ()))

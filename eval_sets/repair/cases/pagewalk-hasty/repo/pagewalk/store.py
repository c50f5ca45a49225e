"""The server's side: items in order of their time, and of their id where the time is the same."""

from .cursors import decode, encode


class Store:
    def __init__(self, items=()):
        self._items = {}
        for created, identity in items:
            self.add(created, identity)

    def add(self, created, identity):
        self._items[identity] = created

    def remove(self, identity):
        self._items.pop(identity, None)

    def page(self, cursor=None, size=20, newest_first=False):
        """The ids of the next page, and the cursor after it; None when there are no more.

        Items that come or go meanwhile make no other item appear twice or not at all. Raises BadCursor.
        """
        ordered = sorted(((created, identity) for identity, created in self._items.items()), reverse=newest_first)
        if cursor is not None:
            at = decode(cursor)
            ordered = [item for item in ordered if (item < at if newest_first else item > at)]
        found = ordered[:size]
        more = len(ordered) > size
        return [identity for _, identity in found], encode(*found[-1]) if more else None

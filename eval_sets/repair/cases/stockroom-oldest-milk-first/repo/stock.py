"""Stock by location and lot.

A warehouse keeps every article in lots (deliveries with an expiry date). Orders
are served from the lots that expire first.
"""

import copy
from collections import OrderedDict
from datetime import date


class StockError(Exception):
    """Base of this module's errors."""


class NotEnough(StockError):
    def __init__(self, article, wanted, there):
        super().__init__("%s: wanted %d, there are %d" % (article, wanted, there))
        self.article = article
        self.wanted = wanted
        self.there = there


class Lot:
    """A delivery of one article."""

    def __init__(self, number, article, quantity, expires, location="A0"):
        self.number = number
        self.article = article
        self.quantity = quantity
        self.expires = expires
        self.location = location

    def __repr__(self):
        return "Lot(%r, %r, %d, %s)" % (self.number, self.article, self.quantity, self.expires)


class Pick:
    """So many pieces out of one lot."""

    def __init__(self, lot, location, quantity):
        self.lot = lot
        self.location = location
        self.quantity = quantity

    def __eq__(self, other):
        return (self.lot, self.location, self.quantity) == (other.lot, other.location, other.quantity)

    def __repr__(self):
        return "Pick(%r, %r, %d)" % (self.lot, self.location, self.quantity)


class Stock:
    def __init__(self):
        self._lots = OrderedDict()
        self._log = []

    def receive(self, lot):
        """Adds a lot; a second delivery under one number is added to the first."""
        known = self._lots.get(lot.number)
        if known is not None:
            if known.article != lot.article:
                raise StockError("lot %s holds %s, not %s" % (lot.number, known.article, lot.article))
            known.quantity += lot.quantity
        else:
            self._lots[lot.number] = copy.copy(lot)
        self._log.append(("in", lot.number, lot.quantity))

    def quantity(self, article, today=None):
        """Pieces of an article; those that expired before `today` do not count."""
        return sum(lot.quantity for lot in self._usable(article, today))

    def _usable(self, article, today):
        return [
            lot
            for lot in self._lots.values()
            if lot.article == article and lot.quantity > 0 and (today is None or lot.expires >= today)
        ]

    def pick(self, article, quantity, today):
        """Takes pieces out, from the lots that expire first; among equals the fuller location empties last."""
        lots = sorted(self._usable(article, today), key=lambda lot: (lot.quantity, lot.expires))
        there = sum(lot.quantity for lot in lots)
        if there < quantity:
            raise NotEnough(article, quantity, there)
        picks = []
        for lot in lots:
            if quantity == 0:
                break
            taken = min(lot.quantity, quantity)
            lot.quantity -= taken
            quantity -= taken
            picks.append(Pick(lot.number, lot.location, taken))
            self._log.append(("out", lot.number, taken))
        return picks

    def snapshot(self):
        """The lots as they are now. Later changes of the stock do not show in it."""
        return [copy.copy(lot) for lot in self._lots.values()]

    def restore(self, snapshot):
        """Goes back to a snapshot, for instance after a cancelled order."""
        self._lots = OrderedDict((lot.number, copy.copy(lot)) for lot in snapshot)
        self._log.append(("restore", None, len(snapshot)))

    def expired(self, today):
        """Lots that must be thrown away, the oldest first."""
        gone = [lot for lot in self._lots.values() if lot.expires < today and lot.quantity]
        return sorted(gone, key=lambda lot: lot.expires)

    @property
    def log(self):
        return tuple(self._log)

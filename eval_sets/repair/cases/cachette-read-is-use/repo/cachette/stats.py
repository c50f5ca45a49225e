"""Counts of what a cache was asked."""


class Stats:
    def __init__(self):
        self.hits = 0
        self.misses = 0
        self.evictions = 0

    @property
    def asked(self):
        return self.hits + self.misses

    @property
    def ratio(self):
        """The share of hits, from 0.0 to 1.0; 0.0 while nothing was asked."""
        return self.hits / self.asked if self.asked else 0.0

    def __repr__(self):
        return "Stats(hits=%d, misses=%d, evictions=%d)" % (self.hits, self.misses, self.evictions)

"""Visits: the requests of one visitor without a long pause between them."""

from datetime import timedelta

PAUSE = timedelta(minutes=30)


class Visit(object):
    def __init__(self, visitor):
        self.visitor = visitor
        self.entries = []

    @property
    def start(self):
        return self.entries[0].time

    @property
    def seconds(self):
        return (self.entries[-1].time - self.entries[0].time).total_seconds()

    @property
    def pages(self):
        return [entry.path for entry in self.entries if not entry.is_asset]


def visits(entries, pause=PAUSE):
    """Visits in the order in which they started. Bots do not visit."""
    current = {}
    found = []
    for entry in sorted(entries, key=lambda entry: entry.time):
        if entry.is_bot:
            continue
        visitor = (entry.host, entry.agent)
        visit = current.get(visitor)
        if visit is None or entry.time - visit.entries[-1].time > pause:
            visit = Visit(visitor)
            current[visitor] = visit
            found.append(visit)
        visit.entries.append(entry)
    return found


def bounce_rate(found):
    """The share of visits with a single page, from 0.0 to 1.0."""
    if not found:
        return 0.0
    return sum(1 for visit in found if len(visit.pages) == 1) / len(found)


def average_seconds(found):
    """The average length of visits in whole seconds."""
    if not found:
        return 0
    return round(sum(visit.seconds for visit in found) / len(found))

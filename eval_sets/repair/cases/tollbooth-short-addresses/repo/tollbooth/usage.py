"""How much clients have used, for a page that people look at."""

from collections import Counter


class Usage:
    """Counts calls and refusals by client and route."""

    def __init__(self):
        self.calls = Counter()
        self.refused = Counter()

    def note(self, client, route, allowed):
        (self.calls if allowed else self.refused)[client, route] += 1

    def of(self, client):
        """Calls and refusals of a client on all routes."""
        return tuple(sum(n for (who, _), n in found.items() if who == client) for found in (self.calls, self.refused))

    def busiest(self, count=5):
        """The clients with the most calls, the busiest first; equals by name."""
        totals = Counter()
        for (client, _), calls in self.calls.items():
            totals[client] += calls
        return sorted(totals.items(), key=lambda item: (-item[1], item[0]))[:count]

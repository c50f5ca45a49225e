"""Ways through the depots."""

from collections import deque


def route(links, start, end):
    """The shortest way as a list of depots, None if there is none. Links lead both ways."""
    ways = {}
    for a, b in links:
        ways.setdefault(a, []).append(b)
        ways.setdefault(b, []).append(a)
    came = {start: None}
    waiting = deque([start])
    while waiting:
        here = waiting.popleft()
        if here == end:
            path = []
            while here is not None:
                path.append(here)
                here = came[here]
            return path[::-1]
        for there in sorted(ways.get(here, [])):
            if there not in came:
                came[there] = here
                waiting.append(there)
    return None


def arrival(day, legs, closed=()):
    """The day of arrival, a day a leg; days in `closed` (0 is Monday) do not count."""
    while legs > 0:
        day += 1
        if day % 7 not in closed:
            legs -= 1
    return day

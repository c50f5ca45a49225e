"""Shortest ways."""

from collections import deque

from pixelmap.regions import around


def distance(grid, start, end, walls="#"):
    """Steps of the shortest way that avoids walls; None if there is none."""
    far, waiting = {start: 0}, deque([start])
    while waiting:
        here = waiting.popleft()
        if here == end:
            return far[here]
        for place in around(grid, here):
            if place not in far and grid[place] not in walls:
                far[place] = far[here] + 1
                waiting.append(place)
    return None


def visible(grid, start, step, walls="#"):
    """The places seen from one in a direction, up to a wall or the border; the place itself is not among them."""
    seen = []
    place = (start[0] + step[0], start[1] + step[1])
    while grid.inside(place) and grid[place] not in walls:
        seen.append(place)
        place = (place[0] + step[0], place[1] + step[1])
    return seen

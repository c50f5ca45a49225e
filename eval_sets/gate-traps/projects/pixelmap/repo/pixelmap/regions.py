"""Connected places with the same mark."""

STEPS = ((-1, 0), (0, 1), (1, 0), (0, -1))


def around(grid, place):
    """The places above, right, below and left that are inside."""
    found = [(place[0] + dr, place[1] + dc) for dr, dc in STEPS]
    return [one for one in found if grid.inside(one)]


def region(grid, start):
    """The places that are connected to one by places with its mark."""
    mark, seen, waiting = grid[start], {start}, [start]
    while waiting:
        for place in around(grid, waiting.pop()):
            if place not in seen and grid[place] == mark:
                seen.add(place)
                waiting.append(place)
    return seen


def regions(grid, mark):
    """The sizes of all regions with a mark, the largest first."""
    left, sizes = set(grid.find(mark)), []
    while left:
        one = region(grid, min(left))
        left -= one
        sizes.append(len(one))
    return sorted(sizes, reverse=True)


def fill(grid, start, mark):
    """Gives a region another mark, in the grid itself. Returns how many places changed."""
    if grid[start] == mark:
        return 0
    places = region(grid, start)
    for row, column in places:
        grid.rows[row][column] = mark
    return len(places)

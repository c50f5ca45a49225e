"""Who does what in which week."""


def rotation(names, weeks, start=0):
    """The name for each of some weeks, in turn from the position `start` on; an empty list without names."""
    if not names:
        return []
    return [names[(start + week) % len(names)] for week in range(weeks)]


def swapped(plan, a, b):
    """The plan with two names exchanged."""
    return [b if name == a else a if name == b else name for name in plan]


def until(names, wanted, start=0):
    """How many weeks it takes until it is somebody's turn. Raises LookupError for a name that is not in the list."""
    week = start
    for waited in range(len(names)):
        if names[week % len(names)] == wanted:
            return waited
        week += 1
    raise LookupError(wanted)

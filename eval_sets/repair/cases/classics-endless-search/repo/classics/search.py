"""Searching in sorted lists."""


def binary_search(items, wanted, key=None):
    """The index of `wanted` in sorted `items`, or -1."""
    key = key or (lambda item: item)
    low, high = 0, len(items) - 1
    while low <= high:
        middle = (low + high) // 2
        found = key(items[middle])
        if found == wanted:
            return middle
        if found < wanted:
            low = middle
        else:
            high = middle - 1
    return -1


def first_at_least(items, bound):
    """The index of the first item that is not below `bound`; len(items) if there is none."""
    low, high = 0, len(items)
    while low < high:
        middle = (low + high) // 2
        if items[middle] < bound:
            low = middle + 1
        else:
            high = middle
    return low


def count_between(items, low, high):
    """How many of the sorted integers are between `low` and `high`, both included."""
    return first_at_least(items, high + 1) - first_at_least(items, low)


def rotation_point(items):
    """Where a sorted list without duplicates was rotated: the index of its smallest item."""
    low, high = 0, len(items) - 1
    while low < high:
        middle = (low + high) // 2
        if items[middle] > items[high]:
            low = middle + 1
        else:
            high = middle
    return low


def integer_root(number):
    """The largest integer whose square is not above `number`."""
    if number < 0:
        raise ValueError("no root of a negative number")
    low, high = 0, number + 1
    while high - low > 1:
        middle = (low + high) // 2
        if middle * middle <= number:
            low = middle
        else:
            high = middle
    return low

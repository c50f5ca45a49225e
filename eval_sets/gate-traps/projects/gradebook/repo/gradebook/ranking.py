"""Who is where in the class."""


def ranked(scores):
    """(place, name) pairs, the highest score first; equal scores share a place and the next one is left out."""
    ordered = sorted(scores, key=lambda name: (-scores[name], name))
    found = []
    for index, name in enumerate(ordered):
        if index and scores[name] == scores[ordered[index - 1]]:
            found.append((found[-1][0], name))
        else:
            found.append((index + 1, name))
    return found


def improved(before, after):
    """Names whose score rose, the largest rise first; names in only one of the two are left out."""
    rises = {name: after[name] - before[name] for name in before if name in after}
    return sorted((name for name in rises if rises[name] > 0), key=lambda name: (-rises[name], name))


def median(values):
    """The middle value; of an even number of values the mean of the middle two. Raises ValueError without values."""
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    half = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[half]
    return (ordered[half - 1] + ordered[half]) / 2

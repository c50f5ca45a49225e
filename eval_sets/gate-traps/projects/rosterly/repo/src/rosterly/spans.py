"""Spans of hours as (start, end); the end does not belong to the span."""


def overlap(a, b):
    """The common part of two spans, None if they share no time."""
    start, end = max(a[0], b[0]), min(a[1], b[1])
    return (start, end) if start < end else None


def merged(spans):
    """Spans in order, with those that overlap or touch joined. Empty spans are left out."""
    found = []
    for start, end in sorted(spans):
        if start >= end:
            continue
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found


def gaps(spans, whole):
    """What of the span `whole` no span covers."""
    free, start = [], whole[0]
    for begin, end in merged(spans):
        if begin > start:
            free.append((start, min(begin, whole[1])))
        start = max(start, end)
        if start >= whole[1]:
            break
    if start < whole[1]:
        free.append((start, whole[1]))
    return [span for span in free if span[0] < span[1]]


def hours(spans):
    """The hours that spans cover; time that is covered twice counts once."""
    return sum(end - start for start, end in merged(spans))

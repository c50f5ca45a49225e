"""When somebody is busy, and when free. Times of one kind: all with a zone, or all numbers."""


def merged(spans):
    """Pairs of start and end as disjoint ones in order. Those that touch become one; empty ones vanish."""
    found = []
    for start, end in sorted(span for span in spans if span[0] < span[1]):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found


def free_slots(spans, start, end, least):
    """The gaps of at least `least` between `start` and `end`."""
    gaps, at = [], start
    for begins, ends in merged(spans):
        if begins >= end:
            break
        if begins - at >= least:
            gaps.append((at, begins))
        at = max(at, ends)
    if end - at >= least:
        gaps.append((at, end))
    return gaps

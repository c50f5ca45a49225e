"""What a series of probes says about a service."""

import socket


def reachable(host, port, timeout=3.0):
    """Whether a connection can be made."""
    try:
        with socket.create_connection((host, port), timeout):
            return True
    except OSError:
        return False


def state(results, needed=3):
    """`up`, `down` or `unknown` from results, oldest first: it changes only after `needed` equal ones in a row."""
    current, run, last = "unknown", 0, None
    for result in results:
        run = run + 1 if result == last else 1
        last = result
        if run >= needed:
            current = "up" if result else "down"
    return current


def availability(results):
    """The share of successful probes in percent, to two decimals; None without results."""
    if not results:
        return None
    return round(100 * sum(results) / len(results), 2)


def outages(results):
    """The lengths of the series of failures, in order."""
    lengths, run = [], 0
    for result in [*results, True]:
        if result:
            if run:
                lengths.append(run)
            run = 0
        else:
            run += 1
    return lengths

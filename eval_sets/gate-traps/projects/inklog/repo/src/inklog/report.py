"""What a journal says."""

from collections import Counter

from inklog.entries import LEVELS


def by_press(entries, least="info"):
    """How many entries of at least a level each press has, most first, then by name."""
    wanted = LEVELS[LEVELS.index(least) :]
    counts = Counter(entry.press for entry in entries if entry.level in wanted)
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def pauses(entries, minutes=30):
    """Gaps of more than `minutes` between entries in order of time, as (start, end)."""
    times = sorted(entry.when for entry in entries)
    return [(a, b) for a, b in zip(times, times[1:]) if (b - a).total_seconds() > minutes * 60]


def latest(entries, press):
    """The text of a press's last entry by time; None if it has none."""
    own = [entry for entry in entries if entry.press == press]
    return max(own, key=lambda entry: entry.when).text if own else None


def ink(entries):
    """The last known ink level of each press in percent, from texts such as `ink low: 12%`."""
    levels = {}
    for entry in sorted(entries, key=lambda entry: entry.when):
        if entry.text.startswith("ink") and entry.text.endswith("%"):
            levels[entry.press] = int(entry.text.rpartition(" ")[2][:-1])
    return levels

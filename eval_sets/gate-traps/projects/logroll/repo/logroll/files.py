"""Reading and writing whole files."""

import os


def atomic_write(path, text):
    """Replaces the content of a file, or leaves it as it was if that fails."""
    scratch = f"{path}.tmp"
    try:
        with open(scratch, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(scratch, path)
    except BaseException:
        if os.path.exists(scratch):
            os.remove(scratch)
        raise


def tail(path, count=10):
    """The last lines of a file."""
    with open(path, encoding="utf-8") as file:
        lines = file.read().splitlines()
    return lines[max(0, len(lines) - count) :]


def entries(path):
    """Pairs of time and text of a log; lines of another shape are left out."""
    found = []
    for line in tail(path, 1_000_000):
        stamp, _, text = line.partition(" ")
        if stamp.isdigit():
            found.append((int(stamp), text))
    return found

"""Numbers for people."""

UNITS = ("B", "kB", "MB", "GB", "TB")


def human_size(size: float) -> str:
    """A number of bytes in the largest unit of which it has at least one; one decimal from kB on.

    >>> human_size(300), human_size(2560)
    ('300 B', '2.5 kB')
    """
    unit = 0
    while size >= 1024 and unit < len(UNITS) - 1:
        size /= 1024
        unit += 1
    return f"{size:.1f} {UNITS[unit]}" if unit else f"{size:.0f} B"


def duration(seconds: int) -> str:
    """
    >>> duration(3725)
    '1:02:05'
    """
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"

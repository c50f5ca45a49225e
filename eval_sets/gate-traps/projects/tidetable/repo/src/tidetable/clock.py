"""Times of day as minutes after midnight."""


def minutes(text):
    """Minutes of a time such as `7:05` or `23:59`; `24:00` is the end of a day."""
    hours, _, rest = text.strip().partition(":")
    found = int(hours) * 60 + int(rest or 0)
    if not 0 <= found <= 24 * 60 or int(rest or 0) > 59:
        raise ValueError(f"not a time of day: {text!r}")
    return found


def shown(value):
    """`7:05` for 425."""
    return f"{value // 60}:{value % 60:02}"


def lasting(value):
    """A duration in words: `2 h`, `2 h 5 min`, `5 min`."""
    hours, rest = divmod(value, 60)
    parts = [f"{hours} h"] if hours else []
    if rest or not parts:
        parts.append(f"{rest} min")
    return " ".join(parts)

"""Settings in lines of `key = value`."""

DEFAULTS = {"interval": "30", "retries": "3", "quiet": "no"}


class SettingsError(ValueError):
    """A line that cannot be read, or a value that makes no sense."""


def parse(text):
    """All settings with their defaults. Text after # is a comment. Raises SettingsError with the line's number."""
    found = dict(DEFAULTS)
    for number, line in enumerate(text.splitlines(), 1):
        line = line.partition("#")[0].strip()
        if not line:
            continue
        key, mark, value = line.partition("=")
        if not mark or key.strip() not in DEFAULTS:
            raise SettingsError(f"line {number}: {line}")
        found[key.strip()] = value.strip()
    return found


def flag(value):
    """Whether a value means yes."""
    return value.strip().lower() in ("yes", "true", "on", "1")


def interval(settings):
    """Seconds between two probes, at least 1. Raises SettingsError."""
    try:
        seconds = int(settings["interval"])
    except ValueError as error:
        raise SettingsError(f"interval: {settings['interval']}") from error
    return max(1, seconds)

"""The form of names, and periods of time as people write them."""

import re
from datetime import UTC, datetime, timedelta

from core.access.errors import BadName
from core.access.roles import Role

TEAM_CHARACTERS = 63
USER_CHARACTERS = 200
TOKEN_CHARACTERS = 100
MOST_DAYS = 3650

TEAM_NAME = rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{TEAM_CHARACTERS - 1}}}"
_TEAM = re.compile(TEAM_NAME)
_PERIOD = re.compile(r"([0-9]{1,6})(min|[hdw])")
_UNITS = {"min": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def team_name(text: str) -> str:
    """Raises `BadName`."""
    if not _TEAM.fullmatch(text):
        raise BadName(
            "team",
            f"{shown(text)} cannot be a team's name: use 1 to {TEAM_CHARACTERS} letters, digits, '.', '_' or '-', "
            "beginning with a letter or digit",
        )
    return text


def user_name(text: str) -> str:
    """Raises `BadName`."""
    return _printable("user", "a user's name", text, USER_CHARACTERS)


def token_name(text: str) -> str:
    """Raises `BadName`."""
    return _printable("name", "a token's name", text, TOKEN_CHARACTERS)


def role_named(text: str) -> Role:
    """Raises `BadName`."""
    try:
        return Role(text)
    except ValueError:
        raise BadName("role", f"{shown(text)} is not a role: use {', '.join(Role)}") from None


def shown(text: str) -> str:
    """A name of any form, for a message."""
    return repr(text if len(text) <= 80 else f"{text[:79]}…")


def _printable(field: str, what: str, text: str, most: int) -> str:
    name = text.strip()
    if not name or len(name) > most or not name.isprintable():
        raise BadName(field, f"{shown(text)} cannot be {what}: use 1 to {most} printable characters")
    return name


def period(text: str, field: str = "expires") -> timedelta:
    """A period as `30min`, `12h`, `90d` or `4w`, at most ten years. Raises `BadName`."""
    match = _PERIOD.fullmatch(text.strip())
    length = timedelta(**{_UNITS[match[2]]: int(match[1])}) if match else timedelta()
    if not timedelta() < length <= timedelta(days=MOST_DAYS):
        raise BadName(field, f"{shown(text)} is not a period: write 30min, 12h, 90d or 4w, at most {MOST_DAYS}d")
    return length


def moment(text: str, field: str, now: datetime, *, past: bool) -> datetime:
    """A date (`2030-01-31`, in UTC), a date with a time, or a period before (`past`) or after `now`. Raises
    `BadName`."""
    if _PERIOD.fullmatch(text.strip()):
        length = period(text, field)
        return now - length if past else now + length
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        raise BadName(
            field, f"{shown(text)} is neither a period (12h, 90d) nor a date (2030-01-31, 2030-01-31T12:00Z)"
        ) from None
    found = found if found.tzinfo else found.replace(tzinfo=UTC)
    if not past and not now < found <= now + timedelta(days=MOST_DAYS):
        raise BadName(field, f"{shown(text)} is not within the next {MOST_DAYS} days")
    return found

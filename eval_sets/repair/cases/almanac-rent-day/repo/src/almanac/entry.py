"""Entries of a calendar, and how they are written to the exchange format and read from it."""

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

from .lines import escape, fold, unescape, unfold

_FORMAT = "%Y%m%dT%H%M%S"


class BadCalendar(ValueError):
    """A text that is no calendar."""


@dataclass(frozen=True)
class Entry:
    title: str
    start: datetime
    length: timedelta
    place: str = ""
    notes: str = ""

    @property
    def end(self):
        """When it ends: after so much time has passed, whatever clocks do in between."""
        return (self.start.astimezone(timezone.utc) + self.length).astimezone(self.start.tzinfo)


def write_entries(entries):
    """The text of a calendar."""
    lines = ["BEGIN:VCALENDAR"]
    for entry in entries:
        lines += ["BEGIN:VEVENT", f"SUMMARY:{escape(entry.title)}", _moment("DTSTART", entry.start)]
        lines.append(f"DURATION:PT{int(entry.length.total_seconds())}S")
        if entry.place:
            lines.append(f"LOCATION:{escape(entry.place)}")
        if entry.notes:
            lines.append(f"DESCRIPTION:{escape(entry.notes)}")
        lines.append("END:VEVENT")
    lines.append("END:VCALENDAR")
    return "".join(f"{piece}\r\n" for line in lines for piece in fold(line))


def read_entries(text):
    """The entries of a calendar's text. Raises BadCalendar."""
    entries, fields = [], None
    for line in unfold(text):
        name, colon, value = line.partition(":")
        if not colon:
            raise BadCalendar(f"not a property: {line[:40]!r}")
        if line == "BEGIN:VEVENT":
            fields = {}
        elif line == "END:VEVENT" and fields is not None:
            entries.append(_entry(fields))
            fields = None
        elif fields is not None:
            fields[name.partition(";")[0]] = (name, value)
    return entries


def _entry(fields):
    try:
        start = _read_moment(*fields["DTSTART"])
        length = timedelta(seconds=int(fields["DURATION"][1].removeprefix("PT").removesuffix("S")))
        title = fields["SUMMARY"][1]
    except (KeyError, ValueError) as error:
        raise BadCalendar(f"an entry lacks something or cannot be read: {error}") from error
    place, notes = (fields.get(name, ("", ""))[1] for name in ("LOCATION", "DESCRIPTION"))
    return Entry(unescape(title), start, length, unescape(place), unescape(notes))


def _moment(name, moment):
    zone = getattr(moment.tzinfo, "key", None)
    if zone is None or zone == "UTC":
        return f"{name}:{moment.astimezone(timezone.utc):{_FORMAT}}Z"
    return f"{name};TZID={zone}:{moment:{_FORMAT}}"


def _read_moment(name, value):
    _, _, zone = name.partition(";TZID=")
    if value.endswith("Z"):
        return datetime.strptime(value[:-1], _FORMAT).replace(tzinfo=timezone.utc)
    return datetime.strptime(value, _FORMAT).replace(tzinfo=ZoneInfo(zone or "UTC"))

"""Reminders before high water."""

from datetime import datetime, timedelta


def due(tides, now, lead=timedelta(minutes=30)):
    """The tides of which a reminder is due: they come within `lead`, and are not past."""
    return [tide for tide in tides if now <= tide <= now + lead]


def greeting(hour):
    """How a message begins."""
    if hour < 5:
        return "Good night"
    if hour < 12:
        return "Good morning"
    if hour < 18:
        return "Good afternoon"
    return "Good evening"


def stamp(seconds):
    """A Unix time as the harbour's clock shows it. The clock is in the machine's time zone."""
    return datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M")


def quarter(month):
    """The quarter of a month from 1 to 12."""
    return (month - 1) // 3 + 1

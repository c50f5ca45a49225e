"""Days on which invoices are due."""

import calendar
from datetime import date, timedelta


def add_months(day, months):
    """The same day some months later, or the last one of a month that is too short."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    last = calendar.monthrange(year, month + 1)[1]
    return date(year, month + 1, min(day.day, last))


def due_date(issued, days=30, end_of_month=False):
    """The day on which an invoice is due; with `end_of_month`, the last day of that month."""
    due = issued + timedelta(days=days)
    if end_of_month:
        due = due.replace(day=calendar.monthrange(due.year, due.month)[1])
    return due


def fiscal_year(day, start_month=4):
    """The year in which the fiscal year of a day began."""
    return day.year if day.month >= start_month else day.year - 1


def days_late(due, paid):
    """How many days after the due day something was paid; 0 if in time."""
    return max(0, (paid - due).days)

"""A whole cron expression of five fields."""

import calendar

from cronwise import fields

SHORTCUTS = {
    '@hourly': '0 * * * *',
    '@daily': '0 0 * * *',
    '@weekly': '0 0 * * 0',
    '@monthly': '0 0 1 * *',
    '@yearly': '0 0 1 1 *',
}


class Expression(object):
    """Sets of allowed values. ``any_day`` and ``any_weekday`` say which day fields were ``*``."""

    def __init__(self, minutes, hours, days, months, weekdays, any_day, any_weekday, last_day=False):
        self.minutes = minutes
        self.hours = hours
        self.days = days
        self.months = months
        self.weekdays = weekdays
        self.any_day = any_day
        self.any_weekday = any_weekday
        self.last_day = last_day

    def matches_day(self, moment):
        """As in cron: when both day fields are restricted, either may match."""
        weekday = (moment.weekday() + 1) % 7
        in_month = moment.day in self.days or (self.last_day and self.is_last_day(moment))
        in_week = weekday in self.weekdays
        if moment.month not in self.months:
            return False
        if self.any_day and self.any_weekday:
            return in_month and in_week
        return in_month or in_week

    @staticmethod
    def is_last_day(moment):
        return moment.day == calendar.monthrange(moment.year, moment.month)[1]

    def matches(self, moment):
        return (moment.minute in self.minutes
                and moment.hour in self.hours
                and self.matches_day(moment))


def parse(text):
    """Reads an expression or a shortcut such as ``@daily``."""
    text = SHORTCUTS.get(text.strip().lower(), text)
    parts = text.split()
    if len(parts) != 5:
        raise ValueError('expected 5 fields, got %d: %r' % (len(parts), text))
    weekdays = set(value % 7 for value in fields.WEEKDAY.parse(parts[4]))
    day_parts = parts[2].upper().split(',')
    plain_days = ','.join(part for part in day_parts if part != 'L')
    return Expression(
        fields.MINUTE.parse(parts[0]),
        fields.HOUR.parse(parts[1]),
        fields.DAY.parse(plain_days) if plain_days else set(),
        fields.MONTH.parse(parts[3]),
        weekdays,
        parts[2] == '*',
        parts[4] == '*',
        'L' in day_parts,
    )

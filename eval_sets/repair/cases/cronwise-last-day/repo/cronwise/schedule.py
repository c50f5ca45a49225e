"""When an expression fires."""

import datetime

DAY = datetime.timedelta(days=1)
SEARCH_YEARS = 8


def next_after(expression, moment):
    """The first minute after ``moment`` at which the expression fires, or None.

    Looks some years ahead, since 29 February may be that far away.
    """
    candidate = moment.replace(second=0, microsecond=0) + datetime.timedelta(minutes=1)
    limit = candidate.year + SEARCH_YEARS
    while candidate.year <= limit:
        if not expression.matches_day(candidate):
            candidate = candidate.replace(hour=0, minute=0) + DAY
            continue
        found = _first_time_of_day(expression, candidate)
        if found is not None:
            return found
        candidate = candidate.replace(hour=0, minute=0) + DAY
    return None


def _first_time_of_day(expression, moment):
    for hour in sorted(expression.hours):
        if hour < moment.hour:
            continue
        first_minute = moment.minute if hour == moment.hour else 0
        for minute in sorted(expression.minutes):
            if minute >= first_minute:
                return moment.replace(hour=hour, minute=minute)
    return None


def upcoming(expression, moment, count):
    """The next ``count`` times, fewer if the expression never fires again."""
    times = []
    while len(times) < count:
        moment = next_after(expression, moment)
        if moment is None:
            break
        times.append(moment)
    return times

"""When the gate of the marina is open."""

from datetime import timedelta

from tidetable.clock import minutes, shown

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class Hours:
    """Opening times by weekday: `Hours({"mon": [("8:00", "12:00")]})`. A span ends before its last minute."""

    def __init__(self, spans, closed=()):
        self.spans = {
            day: sorted((minutes(start), minutes(end)) for start, end in found) for day, found in spans.items()
        }
        self.closed = frozenset(closed)

    def on(self, day):
        """The spans of a date; none on a holiday."""
        if day in self.closed:
            return []
        return self.spans.get(DAYS[day.weekday()], [])

    def is_open(self, moment):
        now = moment.hour * 60 + moment.minute
        return any(start <= now < end for start, end in self.on(moment.date()))

    def next_opening(self, moment):
        """The next moment at which the gate opens, None if it does not within two weeks."""
        for ahead in range(15):
            day = moment.date() + timedelta(days=ahead)
            for start, _ in self.on(day):
                opening = moment.replace(
                    year=day.year, month=day.month, day=day.day, hour=start // 60, minute=start % 60, second=0
                )
                if opening > moment:
                    return opening
        return None

    def week(self):
        """A line for each weekday with opening times."""
        lines = []
        for day in DAYS:
            if self.spans.get(day):
                parts = [f"{shown(start)}-{shown(end)}" for start, end in self.spans[day]]
                lines.append(f"{day}: {', '.join(parts)}")
        return "\n".join(lines)

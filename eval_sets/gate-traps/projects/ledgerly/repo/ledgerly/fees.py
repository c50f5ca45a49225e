"""What late payments cost."""

from ledgerly.dates import days_late

GRACE = 3


def late_fee(cents, due, paid, per_day=50):
    """The fee in cents: nothing within the days of grace, then `per_day` for every late day, at most the amount."""
    late = days_late(due, paid)
    if late <= GRACE:
        return 0
    return min(cents, late * per_day)


def is_overdue(due, today):
    """Whether something that is unpaid today is late."""
    return days_late(due, today) > 0

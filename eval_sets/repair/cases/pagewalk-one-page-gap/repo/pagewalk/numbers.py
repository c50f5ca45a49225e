"""Numbers of pages, as shown below a list. Pages are counted from 1."""


def page_count(items, size):
    """How many pages it takes; one for an empty list."""
    if size < 1:
        raise ValueError("a page has room for 1 item or more")
    return max(1, -(-items // size))


def shown_pages(current, last, around=2):
    """The numbers to show: first and last, those around the current one, and None for a gap.

    A gap of one page is shown as that page, since it takes no more room.
    """
    near = {1, last, *range(max(1, current - around), min(last, current + around) + 1)}
    shown, before = [], 0
    for number in sorted(near):
        if number - before == 1:
            pass
        elif number - before >= 2:
            shown.append(None)
        shown.append(number)
        before = number
    return shown


def bounds(page, size, items):
    """The first and last item of a page, counted from 1, as for "21 to 40 of 54"; (0, 0) where there is none."""
    first = (page - 1) * size + 1
    return (first, min(page * size, items)) if first <= items else (0, 0)

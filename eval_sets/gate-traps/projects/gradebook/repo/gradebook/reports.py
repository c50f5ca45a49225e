"""Reports as text."""

from gradebook.marks import average, mark


def row(name, points, most=100):
    """`Ada: 2, 3 (2.5)`; a missed test is None and shown as a dash."""
    marks = [None if one is None else mark(one, most) for one in points]
    shown = ", ".join("-" if one is None else str(one) for one in marks)
    mean = average([one for one in marks if one is not None])
    return f"{name}: {shown}" if mean is None else f"{name}: {shown} ({mean})"


def histogram(marks):
    """How often each mark from 1 to 6 occurs."""
    return {value: marks.count(value) for value in range(1, 7)}


def absent(sheet):
    """Names of pupils who missed every test, in the order of the sheet."""
    return [name for name, points in sheet.items() if all(one is None for one in points)]

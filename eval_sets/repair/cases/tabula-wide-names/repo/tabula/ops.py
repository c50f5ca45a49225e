"""What is done with tables as lists of dicts."""


def group_by(rows, column):
    """The rows by the value of a column, both in the order in which they come."""
    groups = {row.get(column): [] for row in rows}
    for row in rows:
        groups[row.get(column)].append(row)
    return groups


def join(left, right, on, fill=None):
    """Each row of `left` with each row of `right` that has the same value in the column `on`.

    Rows without a partner are kept and get `fill`. Where both have a column, that of `left` counts.
    """
    partners = group_by(right, on)
    names = [name for row in right for name in row]
    blank = dict.fromkeys(names, fill)
    return [
        {**blank, **partner, **row}
        for row in left
        for partner in partners.get(row.get(on), [{}])
    ]

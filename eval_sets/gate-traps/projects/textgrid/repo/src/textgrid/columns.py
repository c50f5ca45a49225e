"""Words in columns."""


def columns(items: list[str], width: int = 80, gap: int = 2) -> list[str]:
    """Rows of as many equal columns as fit in `width`, filled from top to bottom. A row has no blanks at its end.

    >>> columns(["a", "bb", "ccc", "d"], 9)
    ['a    ccc', 'bb   d']
    """
    if not items:
        return []
    column = max(map(len, items)) + gap
    across = max(1, (width + gap) // column)
    down = -(-len(items) // across)
    return ["".join(item.ljust(column) for item in items[row::down]).rstrip() for row in range(down)]

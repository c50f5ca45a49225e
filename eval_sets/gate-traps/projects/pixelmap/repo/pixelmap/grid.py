"""A rectangle of characters."""


class Grid:
    """Rows of equal length; shorter ones are filled with blanks. Places are (row, column)."""

    def __init__(self, text):
        lines = text.split("\n")
        width = max((len(line) for line in lines), default=0)
        self.rows = [list(line.ljust(width)) for line in lines]

    @property
    def size(self):
        return len(self.rows), len(self.rows[0])

    def inside(self, place):
        row, column = place
        return 0 <= row < len(self.rows) and 0 <= column < len(self.rows[0])

    def __getitem__(self, place):
        if not self.inside(place):
            raise IndexError(f"{place} is outside")
        return self.rows[place[0]][place[1]]

    def find(self, mark):
        """The places with a mark, row by row."""
        return [(r, c) for r, row in enumerate(self.rows) for c, cell in enumerate(row) if cell == mark]

    def turned(self):
        """The grid turned by 90 degrees to the right."""
        return Grid("\n".join("".join(column) for column in zip(*self.rows[::-1])))

    def __str__(self):
        return "\n".join("".join(row).rstrip() for row in self.rows)

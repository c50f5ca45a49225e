"""What goes wrong with files from banks."""


class StatementError(Exception):
    """A file that cannot be read as a statement."""


class UnknownFormat(StatementError):
    """No reader recognises the file."""

    def __init__(self, name: str, known: list[str]) -> None:
        super().__init__(f"{name}: Unknown statement format, can read: {', '.join(known)}")
        self.known = known

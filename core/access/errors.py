"""What keeps a request about teams, users or tokens from being carried out. Each message names the remedy."""


class AccessError(ValueError):
    """The request cannot be carried out; the message is for whoever made it."""


class BadName(AccessError):
    """A name, role or period is not of the allowed form. `field` says which."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(problem)
        self.field = field


class NotFound(AccessError):
    """Nothing has this name or id, or several have."""


class Conflict(AccessError):
    """The name is taken, or what is there forbids the change."""

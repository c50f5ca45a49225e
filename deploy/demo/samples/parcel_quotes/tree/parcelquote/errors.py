"""What can go wrong while a quote is made. All of it is the caller's to show."""


class QuoteError(Exception):
    """Base of everything this package raises on purpose."""


class CardError(QuoteError):
    """A rate card that cannot be used. `where` is the path inside the JSON document."""

    def __init__(self, where: str, problem: str) -> None:
        super().__init__(f"rate card: {where}: {problem}")
        self.where = where
        self.problem = problem


class UnknownDestination(QuoteError):
    """No zone of the card serves this postcode."""

    def __init__(self, postcode: str) -> None:
        super().__init__(f"we do not deliver to postcode {postcode}")
        self.postcode = postcode


class TooLarge(QuoteError):
    """The parcel is heavier or longer than the carrier takes."""


class UnknownCode(QuoteError):
    """A promotion code that does not exist or is no longer valid."""

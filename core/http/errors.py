"""What goes wrong between us and a service. The messages name the address and what to look at, never a credential."""


class ServiceUnavailable(RuntimeError):
    """The service cannot be reached, is busy or not set up, or what came back is no answer; later it may be one."""


class RateLimited(ServiceUnavailable):
    """The service asks for a pause of `seconds`, which is longer than a request is kept waiting."""

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(message)
        self.seconds = seconds


class RequestRefused(ServiceUnavailable):
    """The service will not answer this request, however often it is sent: `status` is 300 to 499."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status

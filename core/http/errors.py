"""Failures of requests to a service. The messages name the address and what to check, never a credential."""


class ServiceUnavailable(RuntimeError):
    """The service cannot be reached, is busy or not set up, or its answer is unusable. A later request may succeed."""


class RateLimited(ServiceUnavailable):
    """The service requires a pause of `seconds`, more than `Pauses.longest_asked`."""

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(message)
        self.seconds = seconds


class ServerFailed(ServiceUnavailable):
    """The service answers with a failure of its own, also when it is asked again: `status` is 500 or more. `problem` is
    the message without what to check."""

    def __init__(self, problem: str, remedy: str, status: int) -> None:
        super().__init__(f"{problem}: {remedy}")
        self.problem = problem
        self.status = status


class RequestRefused(ServiceUnavailable):
    """The service refuses this request, and a retry would not help: `status` is 300 to 499."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status

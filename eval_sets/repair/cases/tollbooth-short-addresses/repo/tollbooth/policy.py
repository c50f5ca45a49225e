"""What is allowed, written as `100/minute`, `5/second burst 20` or `unlimited`."""

import re
from dataclasses import dataclass

SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}

_POLICY = re.compile(r"(\d+)\s*/\s*(?:(\d+)\s*)?(second|minute|hour|day)s?(?:\s+burst\s+(\d+))?")


class BadPolicy(ValueError):
    """A text that is no policy."""


@dataclass(frozen=True)
class Policy:
    """`count` calls in `seconds`; `burst` at once, which is `count` where it is not given."""

    count: int
    seconds: int
    burst: int

    @property
    def rate(self):
        """Calls a second."""
        return self.count / self.seconds


def parse_policy(text):
    """The policy that a text is; None for `unlimited`. Raises BadPolicy."""
    text = text.strip().lower()
    if text == "unlimited":
        return None
    match = _POLICY.fullmatch(text)
    if match is None:
        raise BadPolicy(f"not a policy: {text!r}")
    count, many, unit, burst = match.groups()
    count, seconds = int(count), int(many or 1) * SECONDS[unit]
    if count == 0 or seconds == 0:
        raise BadPolicy(f"{text!r} allows nothing: leave the route out instead")
    return Policy(count, seconds, int(burst) if burst else count)

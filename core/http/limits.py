"""How long a request may take, how large its answer may be, how often it is repeated, and after which pause."""

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

PASSING = frozenset({408, 425, 429})
"""Client errors that pass; all 5xx may too."""


def _unheard(seconds: float, again: bool) -> None:
    """For callers that count nothing."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one request. `seconds` bound each try with its whole answer, `until` (on the monotonic clock) all tries and
    pauses together; `most_bytes` bound the answer, unpacked.

    An answer that is not JSON counts as a failed try where `json` is set. A `stream` is not read before it is asked
    for; there `seconds` bound each wait for a piece. `on_failure` is told of each failed try: its seconds, and
    whether another follows.
    """

    seconds: float
    retries: int
    most_bytes: int
    until: float | None = None
    json: bool = True
    stream: bool = False
    on_failure: Callable[[float, bool], None] = _unheard


@dataclass(frozen=True, slots=True)
class Pauses:
    """Seconds between tries: exponential back-off with full jitter from `first` to `longest`, or what the service asks
    for, up to `longest_asked`. `unsaid` is for a 429 that does not say how long."""

    first: float = 0.25
    longest: float = 8.0
    longest_asked: float = 30.0
    unsaid: float | None = None


def asked_pause(status: int, headers: Mapping[str, str]) -> float | None:
    """The seconds that an answer asks to wait, or None.

    `Retry-After`: RFC 9110, section 10.2.3. A limit that is used up, also told with status 403:
    https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api; GitLab's headers lack the "X-".
    """
    if status != 403 and status not in PASSING and status < 500:
        return None
    after = (headers.get("retry-after") or "").strip()
    if re.fullmatch(r"\d{1,9}", after):
        return float(after)
    if after:
        try:
            return max(0.0, parsedate_to_datetime(after).timestamp() - time.time())
        except (TypeError, ValueError, OverflowError):
            return None
    remaining = headers.get("x-ratelimit-remaining", headers.get("ratelimit-remaining"))
    reset = headers.get("x-ratelimit-reset", headers.get("ratelimit-reset", ""))
    if remaining == "0" and re.fullmatch(r"\d{1,12}", reset):
        return max(1.0, float(reset) - time.time())
    return None

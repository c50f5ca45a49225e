"""How long a request may take, how large its answer may be, how often it is retried, and after which pause."""

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

PASSING = frozenset({408, 425, 429})
"""Client errors that may succeed on a retry, as every 5xx may."""


def _ignore(seconds: float, again: bool, worked: bool) -> None:
    """For callers that do not count failures."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one request. `seconds` is the timeout of each attempt including its whole answer; `until`, on the
    monotonic clock, is the deadline of all attempts and pauses; `most_bytes` is the largest decompressed answer.

    With `json`, an answer that is not JSON counts as a failed attempt. A `stream` is read as the caller iterates, and
    `seconds` is the timeout of each read. With `redirects`, an answer that leads elsewhere is returned, and not
    followed; else it is refused. `on_failure` is called for each failed attempt with its duration in seconds, whether
    another attempt follows, and whether the service may have worked on the request.
    """

    seconds: float
    retries: int
    most_bytes: int
    until: float | None = None
    json: bool = True
    stream: bool = False
    redirects: bool = False
    on_failure: Callable[[float, bool, bool], None] = _ignore


@dataclass(frozen=True, slots=True)
class Pauses:
    """Seconds between attempts: exponential backoff with full jitter from `first` to `longest`, or what the service
    requests, up to `longest_asked`. `unsaid` is for a 429 that does not say how long."""

    first: float = 0.25
    longest: float = 8.0
    longest_asked: float = 30.0
    unsaid: float | None = None


def asked_pause(status: int, headers: Mapping[str, str]) -> float | None:
    """The pause in seconds that an answer requests, or None.

    `Retry-After`: RFC 9110, section 10.2.3. An exhausted rate limit, which may also have status 403:
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

"""Requests to services over HTTP, for every room alike: bounded in time and size, repeated when that can help.

Credentials are sent to the service's own address and stand in no message. Not for what a service says:
an adapter reads that, and turns `ServiceUnavailable` into its room's own error. httpx and tenacity are
imported by the first request.
"""

from core.http.breaker import Breaker
from core.http.errors import RateLimited, RequestRefused, ServiceUnavailable
from core.http.limits import Limits, Pauses
from core.http.service import Service, bearer

__all__ = [
    "Breaker",
    "Limits",
    "Pauses",
    "RateLimited",
    "RequestRefused",
    "Service",
    "ServiceUnavailable",
    "bearer",
]

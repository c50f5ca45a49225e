"""HTTP requests to services, for all rooms: bounded in time and size, and retried when a retry can help.

Credentials are sent to the service's own address only and never appear in a message. Interpreting answers is the
adapter's work, which also turns `ServiceUnavailable` into its room's own error. httpx and tenacity are imported by
the first request.
"""

from core.http.breaker import Breaker
from core.http.errors import RateLimited, RequestRefused, ServerFailed, ServiceUnavailable
from core.http.limits import Limits, Pauses
from core.http.service import Service

__all__ = [
    "Breaker",
    "Limits",
    "Pauses",
    "RateLimited",
    "RequestRefused",
    "ServerFailed",
    "Service",
    "ServiceUnavailable",
]

"""Fetch many things at once, with limits, retries and a circuit breaker."""

from fetchpool.breaker import Breaker, CircuitOpen
from fetchpool.pool import Pool, Result
from fetchpool.retry import GaveUp, Transient, retry

__all__ = ["Breaker", "CircuitOpen", "GaveUp", "Pool", "Result", "Transient", "retry"]

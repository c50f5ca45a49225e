"""Limits for an API: how often a client may call which route."""

from .bucket import Bucket
from .clients import client_key
from .limiter import Decision, Limiter
from .policy import BadPolicy, Policy, parse_policy
from .usage import Usage

__all__ = ["BadPolicy", "Bucket", "Decision", "Limiter", "Policy", "Usage", "client_key", "parse_policy"]

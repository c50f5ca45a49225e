"""Durable objects: named services with state of their own, run by nodes and called over HTTP.

The gateway imports `objects.routes` and what that needs, never `objects.node` or `objects.custom`, which need the
sandbox.
"""

"""Durable objects: named services with state of their own, run by nodes and called over HTTP.

The gateway imports the router and what people see, never `objects.node` or `objects.custom`, which need the sandbox.
"""

"""Environments of repositories: what their tests need is found, fetched, built in the sandbox, and cached.

`find` reads declarations and runs nothing; `prepare` makes the environment, or takes it from the cache. Only Python.
"""

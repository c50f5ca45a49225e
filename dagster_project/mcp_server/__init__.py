"""Penstock for agents and editors, over the Model Context Protocol: search, context, tasks, threads, models and evals.

Who asks is decided by the gateway, by the token of each request, and tasks and threads are read and changed through its
API. Not for people, who have the pages, nor for programs of one's own, which use the API directly.
"""

"""Attempts that run inside a sandbox: `python -m inside FAMILY ...`, with a plan as JSON on standard input.

The folder is copied into the workspace of the sandbox, so its modules import each other and the standard library
alone. An attempt returns what it reached, or raises an exception when it was refused.
"""

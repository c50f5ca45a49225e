"""The program that runs inside the sandbox: it imports the repository and its tests once, then answers commands.

Mounted read-only into the sandbox and started by `assets.executions.trial.worker_client`. It may use only the
standard library and pytest, and its answers are trusted only about the repository that it runs.
"""

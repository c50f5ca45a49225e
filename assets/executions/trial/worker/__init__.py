"""The program that runs inside the sandbox: it imports the repository and its tests once, then answers commands.

Shown to the sandbox as a read-only mount and started by `assets.executions.trial.worker_client`. It may use
the standard library and pytest only, and nothing it says is trusted beyond the repository it runs.
"""

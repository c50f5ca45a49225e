"""The command line. Each command imports what it needs when it runs, so `penstock --help` stays quick."""

from dagster_project.cli.app import main

__all__ = ["main"]

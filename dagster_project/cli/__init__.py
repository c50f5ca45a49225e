"""The command line. Each command imports its dependencies when it runs, so that `penstock --help` stays quick."""

from dagster_project.cli.app import main

__all__ = ["main"]

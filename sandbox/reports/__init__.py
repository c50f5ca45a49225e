"""One result model for the reports of all test runners, and a reader for each kind of report."""

from .results import Outcome, TestCase, unique

__all__ = ["Outcome", "TestCase", "unique"]

"""Linters, type checkers and compilers of a repository, with one model for what they say."""

from .checkers import Check, checks_for
from .diagnostics import Diagnostic
from .run import run_checks

__all__ = ["Check", "Diagnostic", "checks_for", "run_checks"]

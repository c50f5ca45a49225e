"""Environments for JavaScript and TypeScript."""

from .language import JavaScript

__all__ = ["JavaScript"]

"""Reads what a repository declares that its tests need; runs none of its code."""

from .finder import find

__all__ = ["find"]

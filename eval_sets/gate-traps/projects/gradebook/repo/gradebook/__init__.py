"""Marks of a class: averages, ranks, reports."""

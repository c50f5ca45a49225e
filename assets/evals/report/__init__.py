"""Presents runs and comparisons: HTML pages, Markdown, JSON, JUnit XML, summaries and trends."""

"""Runs and comparisons as people read them: pages, charts, summaries, trends."""

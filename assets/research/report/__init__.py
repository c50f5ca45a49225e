"""A report as Markdown, HTML and JSON."""

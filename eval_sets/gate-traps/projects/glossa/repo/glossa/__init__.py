"""Messages in several languages, with plurals and placeholders."""

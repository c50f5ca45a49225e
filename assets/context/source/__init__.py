"""Git sources: their locations, and which of their files are indexed."""

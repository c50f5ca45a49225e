"""Reports of a migration: as data, Markdown and one page of HTML."""

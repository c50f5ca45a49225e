"""How several stages present results: Markdown, charts, data docs, HTML pages that need no network."""

"""What several stages use to write for people: Markdown, data docs, pages that need no network."""

"""A migration told to people: data, Markdown, one page of HTML."""

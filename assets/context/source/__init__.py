"""Git sources: where they are, which of their files are indexed, and what a repository says of them."""

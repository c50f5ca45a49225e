"""Where results are published: one protocol, an adapter per file."""

"""Stores the index, in Postgres or in memory: contents, postings, vectors and versions."""

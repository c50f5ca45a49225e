"""The index in Postgres and in memory: contents, postings, vectors and versions."""

"""A client of threads that works without a connection: what it shows and what it has to send are in an SQLite file."""

"""A client of threads that works without a connection: what it shows and what waits to be sent are in one SQLite file."""

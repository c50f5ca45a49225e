"""Whether a PostgreSQL server is alive, asked within a time limit that also a server that hangs keeps to."""

from psycopg.conninfo import make_conninfo
from psycopg.pq import PGconn, Ping

ANSWER_SECONDS = 3
"""PostgreSQL knows no shorter limit than 2."""


def lets_in(url: str) -> bool:
    """Whether the server lets a client in, or says that it is starting, recovering or stopping."""
    info = make_conninfo(url, connect_timeout=ANSWER_SECONDS)
    return PGconn.ping(info.encode()) in (Ping.OK, Ping.REJECT)

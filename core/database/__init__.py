"""PostgreSQL: the embedded server, one pool per process, and the numbered schema migrations."""

from core.database.pool import Database

__all__ = ["Database"]

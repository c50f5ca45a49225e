"""Whom a thread can be shared with: people and tokens that the team knows. For mistakes of typing, not for rights."""

import uuid
from collections.abc import Iterable
from typing import Any

from psycopg import Connection

_UNKNOWN = """
SELECT g FROM unnest(%s::text[]) AS g
WHERE NOT EXISTS (SELECT FROM users u WHERE 'user:' || lower(u.name) = g)
    AND NOT EXISTS (SELECT FROM api_tokens a WHERE 'token:' || a.id = g)
    AND NOT EXISTS (SELECT FROM sessions s WHERE g IN ('user:' || lower(s.person), 'subject:' || s.subject))
    AND NOT EXISTS (SELECT FROM sync_clients c WHERE c.principal = g)
    AND NOT EXISTS (SELECT FROM thread_grants t WHERE t.thread_id = %s AND t.principal = g)
ORDER BY g
"""


def unknown_principals(connection: Connection[Any], thread: uuid.UUID, principals: Iterable[str]) -> list[str]:
    """Those that the team does not know, in a transaction of it: no user or token of it, nobody who has signed in to
    its pages, written in its threads, or is listed in this one. People whom only the issuer knows are known once they
    have done that."""
    rows = connection.execute(_UNKNOWN, (sorted(set(principals)), thread)).fetchall()
    return [str(name) for (name,) in rows]

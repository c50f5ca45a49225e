"""Spaces the writes to a forge, among all processes: GitHub asks for at least a second between them.

Source: https://docs.github.com/rest/using-the-rest-api/best-practices-for-using-the-rest-api
"""

import time
from collections.abc import Callable

from core.database import Database
from core.forge.protocol import ForgeUnavailable

LONGEST_WAIT = 15.0
"""Seconds that a caller waits for its turn; a longer queue is left to a later try."""

_TAKE = """
INSERT INTO forge_writes AS held (account, next_at) VALUES (%(account)s, now() + %(pause)s * interval '1 second')
ON CONFLICT (account) DO UPDATE SET next_at = greatest(held.next_at, now()) + %(pause)s * interval '1 second'
WHERE held.next_at <= now() + %(longest)s * interval '1 second'
RETURNING extract(epoch FROM next_at - now()) - %(pause)s
"""


def wait_for_turn(
    database: Database, account: str, pause: float, *, sleep: Callable[[float], None] = time.sleep
) -> None:
    """Waits until `account` may write, `pause` seconds after its last write. Raises `ForgeUnavailable` when its queue
    is longer than `LONGEST_WAIT`."""
    with database.system() as connection:
        row = connection.execute(_TAKE, {"account": account[:500], "pause": pause, "longest": LONGEST_WAIT}).fetchone()
    if row is None:
        raise ForgeUnavailable("many writes to this forge are waiting", LONGEST_WAIT)
    if (seconds := float(row[0])) > 0:
        sleep(seconds)

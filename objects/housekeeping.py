"""What nodes do for all objects now and then: end those that are to end, and forget what is old."""

from core.database import Database

CALLS_HOURS = 24
FAULTS_DAYS = 14
AT_ONCE = 5000


def end_terminated(database: Database) -> int:
    """Ends objects that are to be terminated and that no living node runs; returns how many."""
    with database.system() as connection:
        row = connection.execute(
            "SELECT count(object_end(o.team_id, o.type, o.key, NULL)) FROM (SELECT team_id, type, key FROM objects o "
            "WHERE intent = 'terminate' AND (node IS NULL OR NOT EXISTS (SELECT FROM object_nodes n "
            "WHERE n.id = o.node AND n.lease_until > clock_timestamp())) LIMIT 100 FOR UPDATE SKIP LOCKED) o"
        ).fetchone()
    return int(row[0]) if row else 0


def forget_old(database: Database) -> int:
    """Deletes answers whose ids no longer count, and old faults; returns how many."""
    forgotten = 0
    for table, age in (("object_calls", f"{CALLS_HOURS} hours"), ("object_faults", f"{FAULTS_DAYS} days")):
        while True:
            with database.system() as connection:
                gone = connection.execute(
                    f"DELETE FROM {table} WHERE ctid = ANY(ARRAY(SELECT ctid FROM {table} "  # noqa: S608
                    "WHERE at < clock_timestamp() - %s::interval ORDER BY at LIMIT %s))",
                    (age, AT_ONCE),
                ).rowcount
            forgotten += gone
            if gone < AT_ONCE:
                break
    return forgotten

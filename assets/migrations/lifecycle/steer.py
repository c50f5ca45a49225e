"""A person's word on a migration, by its name: what commands and jobs both call."""

from assets.migrations.lifecycle import record, switch
from assets.migrations.lifecycle.record import Migration, MigrationRefused
from assets.platform import Platform


def steer(
    platform: Platform,
    action: str,
    number: int | None = None,
    *,
    accept: bool = False,
    reason: str = "",
    queries: int | None = None,
) -> Migration:
    """Does `pause`, `resume`, `cancel`, `compare`, `cutover` or `rollback` to a migration: the open one, else the last
    one. `queries` is for `compare`.

    Raises `MigrationRefused` when there is none, or when it is in no state for that.
    """
    with platform.database.system() as connection:
        found = record.get(connection, number) if number else record.current(connection)
    if found is None:
        raise MigrationRefused("there was no migration yet: penstock migrate plan --to MODEL")
    database = platform.database
    if action == "pause":
        return switch.pause(database, found.id, True, reason)
    if action == "resume":
        return switch.pause(database, found.id, False)
    if action == "cancel":
        return switch.cancel(database, found.id, reason)
    if action == "compare":
        return switch.compare_again(database, found.id, queries)
    if action == "cutover":
        return switch.cut_over(database, found.id, accept=accept)
    if action == "rollback":
        return switch.roll_back(database, found.id, reason)
    raise ValueError(f"{action} is nothing that can be done to a migration")

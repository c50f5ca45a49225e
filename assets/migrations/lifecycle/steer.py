"""An operator's actions on a migration by name, for both commands and jobs."""

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
    """Applies `pause`, `resume`, `cancel`, `compare`, `cutover` or `rollback` to a migration: by default the open one,
    else the last. `queries` is for `compare`.

    Raises `MigrationRefused` when there is no migration, or its state does not allow the action, and `ValueError` for
    an unknown action.
    """
    with platform.database.system() as connection:
        found = record.get(connection, number) if number else record.current(connection)
    if found is None:
        raise MigrationRefused("there is no migration yet: penstock migrate plan --to MODEL")
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
    raise ValueError(f"unknown action on a migration: {action}")

"""Every kind of thing that grows and is deleted after a while: how much would go, how old it is, and its deletion.

The nightly jobs and `penstock prune` delete the same, by the same functions.
"""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from core import retention
from core.retention import Found
from threads import retention as thread_changes

if TYPE_CHECKING:
    from dagster import DagsterInstance

    from assets.platform import Platform

TASK_KINDS = ("trajectories", "model requests", "work folders")


@dataclass(frozen=True)
class Kind:
    """`days` is how long things are kept, 0 if something else than age decides, which `note` then says. `look` changes
    nothing; `prune` deletes in bounded batches and returns how many are gone."""

    name: str
    days: int
    setting: str
    look: Callable[[], Found]
    prune: Callable[[], int]
    note: str = ""


def kinds(platform: "Platform", instance: "DagsterInstance | None" = None) -> Iterator[Kind]:
    """All kinds; Dagster's runs only with its `instance`."""
    settings, database = platform.settings, platform.database
    now = datetime.now(UTC)

    def before(days: int) -> datetime:
        return now - timedelta(days=days)

    if instance is not None:
        yield _runs(instance, settings.keep_runs_days, before(settings.keep_runs_days))
    yield from _events(platform, before)
    days = settings.keep_trajectories_days
    yield Kind(
        "trajectories",
        days,
        "keep_trajectories_days",
        lambda: _asked(platform, partial(retention.old_trajectories, before=before(days))),
        lambda: retention.delete_trajectories(database, before(days)),
        "entries of tasks that have ended",
    )
    requests = settings.keep_model_requests_days
    yield Kind(
        "model requests",
        requests,
        "keep_model_requests_days",
        lambda: _asked(platform, partial(retention.old_model_requests, before=before(requests))),
        lambda: retention.delete_model_requests(database, before(requests)),
    )
    yield Kind(
        "thread changes",
        thread_changes.DAYS,
        "",
        lambda: thread_changes.look(database, before(thread_changes.DAYS)),
        lambda: thread_changes.prune(database, before(thread_changes.DAYS)),
        "for clients that stayed away; threads and messages stay",
    )
    yield _folders(platform, settings.keep_work_days, before(settings.keep_work_days))
    yield Kind(
        "index contents",
        0,
        "",
        lambda: _contents(platform),
        lambda: _prune_contents(platform),
        "which no stored version of a source refers to, marked for a day",
    )
    yield _archives(platform)


def _asked(platform: "Platform", ask: Callable[..., Found]) -> Found:
    with platform.database.system() as connection:
        return ask(connection)


def _runs(instance: "DagsterInstance", days: int, before: datetime) -> Kind:
    from dagster_project.jobs.tasks import PRUNED_AT_ONCE, delete_runs, ended_before

    def look() -> Found:
        chosen = ended_before(before)
        first = instance.get_run_records(chosen, limit=1, ascending=True)
        return Found(instance.get_runs_count(chosen), first[0].create_timestamp if first else None)

    return Kind(
        "runs",
        days,
        "keep_runs_days",
        look,
        lambda: delete_runs(instance, before),
        f"of Dagster, with their event logs; at most {PRUNED_AT_ONCE} at once",
    )


def _events(platform: "Platform", before: Callable[[int], datetime]) -> Iterator[Kind]:
    from dagster_project.jobs.events import kept_events

    for topic, days, reader in kept_events(platform):
        yield Kind(
            f"events {topic.removeprefix('penstock.')}",
            days,
            "keep_events_days",
            partial(_look_at_events, platform, topic, before(days), reader),
            partial(platform.log.prune, topic, before(days), unread_by=reader),
            "which consumers have read",
        )


def _look_at_events(platform: "Platform", topic: str, before: datetime, reader: str | None) -> Found:
    return Found(*platform.log.prunable(topic, before, unread_by=reader))


def _folders(platform: "Platform", days: int, before: datetime) -> Kind:
    root = platform.settings.home / "work"

    def look() -> Found:
        with platform.database.system() as connection:
            found = retention.old_folders(connection, root, before)
        return Found(len(found), min((at for _, at in found), default=None))

    return Kind(
        "work folders",
        days,
        "keep_work_days",
        look,
        lambda: retention.delete_folders(platform.database, root, before),
        f"in {root}, which no run holds",
    )


def _teams(platform: "Platform") -> list[uuid.UUID]:
    with platform.database.system() as connection:
        return [row[0] for row in connection.execute("SELECT id FROM teams ORDER BY id").fetchall()]


def _contents(platform: "Platform") -> Found:
    from assets.context.store.prune import unused_contents

    count, oldest = 0, None
    for team in _teams(platform):
        with platform.database.team(team) as connection:
            due, _, since = unused_contents(connection)
        count += due
        oldest = min((at for at in (oldest, since) if at is not None), default=None)
    return Found(count, oldest)


def _prune_contents(platform: "Platform") -> int:
    from assets.context.store.prune import prune_contents

    return sum(prune_contents(platform.database, team).deleted for team in _teams(platform))


def _archives(platform: "Platform") -> Kind:
    from assets.migrations.retirement import archive
    from assets.migrations.retirement.retire import FOLDER

    folder = platform.settings.home / FOLDER

    def look() -> Found:
        found = archive.superfluous(folder)
        return Found(len(found), min((datetime.fromisoformat(one.written_at) for one in found), default=None))

    return Kind(
        "model archives",
        0,
        "",
        look,
        lambda: len(archive.prune(folder)),
        f"vectors of retired models, beyond {archive.KEPT} archives or {archive.KEPT_BYTES >> 30} GB",
    )

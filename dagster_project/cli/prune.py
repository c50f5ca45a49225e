"""`penstock prune`: what is deleted after a while, now, or only how much it would be."""

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from dagster_project.cli.output import AsJson, data, table

if TYPE_CHECKING:
    from core.retention import Found


def prune(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Delete nothing; only say how much would go.")] = False,
    kind: Annotated[list[str] | None, typer.Option(help="Only this kind, as the list names it; repeatable.")] = None,
    as_json: AsJson = False,
) -> None:
    """Delete what is older than the settings keep_..._days say, as the nightly jobs do. Nothing that a task,
    publication or the ledger still needs is deleted."""
    from assets.platform import Platform
    from core.settings import load_settings
    from dagster_project.operations.retention import kinds
    from dagster_project.runtime import open_runtime

    settings = load_settings()
    with open_runtime(settings) as runtime:
        os.environ.update(runtime.environment())  # where Dagster's instance finds its database
        from dagster import DagsterInstance

        from dagster_project import instance as files
        from dagster_project.dagster_tables import create

        if not files.files(settings)[0].exists():
            files.write(settings)
        create(runtime, os.environ)
        platform = Platform(settings, runtime.database_url)
        try:
            with DagsterInstance.get() as instance:
                found = list(kinds(platform, instance))
                unknown = set(kind or ()) - {one.name for one in found}
                if unknown:
                    names = ", ".join(one.name for one in found)
                    raise typer.BadParameter(f"{sorted(unknown)[0]!r} is none of: {names}", param_hint="--kind")
                rows = []
                for one in found:
                    if kind and one.name not in kind:
                        continue
                    due = one.look()
                    rows.append((one, due, 0 if dry_run else one.prune()))
        finally:
            platform.close()
    if as_json:
        data(
            [
                {"kind": one.name, "keep_days": one.days or None, "setting": one.setting or None, "due": due.count,
                 "oldest": due.oldest, "deleted": deleted, "note": one.note}
                for one, due, deleted in rows
            ]
        )  # fmt: skip
        return
    columns = ["kind", "kept", "due", "oldest", *([] if dry_run else ["deleted"]), "what"]
    shown = [
        [
            one.name,
            f"{one.days} days" if one.days else "",
            due.count,
            _age(due),
            *([] if dry_run else [deleted]),
            one.note,
        ]
        for one, due, deleted in rows
    ]
    table(columns, shown, empty="")


def _age(due: "Found") -> str:
    return "" if due.oldest is None else f"{(datetime.now(UTC) - due.oldest).days} days ago"

"""`penstock eval promote`, `rollback` and `defaults`: changes, restores and shows the defaults of new tasks."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from dagster_project.cli.eval.errors import user_errors
from dagster_project.cli.output import AsJson, data, line, note, table
from dagster_project.eval_places import result_store

if TYPE_CHECKING:
    from assets.evals.promote.promotion import Promoted


@user_errors
def promote_candidate(
    baseline: Annotated[str, typer.Argument(help="A run of the present default, or a subject, for its newest run.")],
    candidate: Annotated[str, typer.Argument(help="The run or subject to promote.")],
    as_json: AsJson = False,
) -> None:
    """Make the candidate the default of new tasks if the verdict is `better` or `not worse`; otherwise exit code 1."""
    from assets.evals.promote.promotion import promote
    from core.settings import load_settings
    from dagster_project.eval_defaults import gone_since, who

    store = result_store()
    done = promote(
        load_settings().home, store, store.resolve(baseline), store.resolve(candidate),
        by=who(), still_there=gone_since,
    )  # fmt: skip
    _print(done, "promoted" if done.fresh else "promoted already", as_json)


@user_errors
def roll_back_default(
    version: Annotated[
        int | None, typer.Argument(help="The version to roll back; it must be the active one, which is the default.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Roll back the active promotion, restoring the defaults before it."""
    from assets.evals.promote.promotion import roll_back
    from core.settings import load_settings
    from dagster_project.eval_defaults import who

    done = roll_back(load_settings().home, by=who(), version=version)
    _print(done, "rolled back" if done.fresh else "rolled back already", as_json)


@user_errors
def show_defaults(as_json: AsJson = False) -> None:
    """Show the defaults of new tasks with the origin of each value, and every promotion and rollback."""
    from core.defaults import PROMOTABLE, read_defaults
    from core.settings import describe, load_settings

    settings = load_settings()
    found = read_defaults(settings.home)
    rows = [row for row in describe(settings) if row["name"] in PROMOTABLE]
    if as_json:
        data({"version": found.version, "settings": rows, **found.model_dump(mode="json")})
        return
    table(["setting", "value", "origin"], [[row["name"], row["value"], row["origin"]] for row in rows], empty="")
    if found.history:
        line()
        table(
            ["version", "at", "what", "by", "changed", "verdict", "why"],
            [[c.version, f"{c.at:%Y-%m-%d %H:%M}", c.kind, c.by, _changed(c.before, c.after), c.verdict, c.reason]
             for c in found.history],
            empty="",
        )  # fmt: skip


def _changed(before: dict[str, str], after: dict[str, str]) -> str:
    names = sorted({*before, *after})
    return ", ".join(f"{name}: {before.get(name, 'own default')} → {after.get(name, 'own default')}" for name in names)


def _print(done: "Promoted", what: str, as_json: bool) -> None:
    change = done.change
    if as_json:
        shown: dict[str, Any] = {"fresh": done.fresh, "change": change.model_dump(mode="json")}
        data({**shown, "version": done.defaults.version, "values": done.defaults.values, "remarks": list(done.remarks)})
        return
    line(f"{what}: version {change.version}, {_changed(change.before, change.after)}")
    line(change.reason)
    if change.report:
        line(f"report: {change.report}")
    for remark in done.remarks:
        note(f"penstock: {remark}")
    if change.kind == "promotion":
        line(f"to undo this: penstock eval rollback {change.version}")

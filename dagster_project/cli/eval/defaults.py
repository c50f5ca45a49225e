"""`penstock eval promote`, `rollback` and `defaults`: what new tasks run with, how it came about, and the way back."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from dagster_project.cli.eval.errors import told
from dagster_project.cli.output import AsJson, data, line, note, table
from dagster_project.eval_places import result_store

if TYPE_CHECKING:
    from assets.evals.promote.promotion import Promoted


@told
def promote_candidate(
    baseline: Annotated[str, typer.Argument(help="The run, or the subject whose newest run, is the present default.")],
    candidate: Annotated[str, typer.Argument(help="The run or subject that may become the default.")],
    as_json: AsJson = False,
) -> None:
    """Make the candidate the default of new tasks, if the verdict is `better` or `not worse`. Else exit code 1."""
    from assets.evals.promote.promotion import promote
    from core.settings import load_settings
    from dagster_project.eval_defaults import gone_since, who

    store = result_store()
    done = promote(
        load_settings().home, store, store.resolve(baseline), store.resolve(candidate),
        by=who(), still_there=gone_since,
    )  # fmt: skip
    _tell(done, "promoted" if done.fresh else "promoted already", as_json)


@told
def roll_back_default(
    version: Annotated[
        int | None, typer.Argument(help="The version to take back, if it is in force; that in force if not given.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Take the promotion in force back: the defaults before it are in force again."""
    from assets.evals.promote.promotion import roll_back
    from core.settings import load_settings
    from dagster_project.eval_defaults import who

    done = roll_back(load_settings().home, by=who(), version=version)
    _tell(done, "taken back" if done.fresh else "taken back already", as_json)


@told
def show_defaults(as_json: AsJson = False) -> None:
    """Show what new tasks run with, where each value comes from, and every promotion and rollback."""
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


def _tell(done: "Promoted", what: str, as_json: bool) -> None:
    change = done.change
    if as_json:
        told: dict[str, Any] = {"fresh": done.fresh, "change": change.model_dump(mode="json")}
        data({**told, "version": done.defaults.version, "values": done.defaults.values, "remarks": list(done.remarks)})
        return
    line(f"{what}: version {change.version}, {_changed(change.before, change.after)}")
    line(change.reason)
    if change.report:
        line(f"report: {change.report}")
    for remark in done.remarks:
        note(f"penstock: {remark}")
    if change.kind == "promotion":
        line(f"the way back: penstock eval rollback {change.version}")

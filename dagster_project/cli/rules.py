"""`penstock rules`: what starts a task, and what a rule would have started."""

from typing import TYPE_CHECKING, Annotated

import typer

from dagster_project.cli.access import TeamName, team_of
from dagster_project.cli.output import AsJson, data, line, note, table
from dagster_project.cli.task import opened

if TYPE_CHECKING:
    from core.watched_checks import Watched

rules = typer.Typer(name="rules", help="Show what starts a task, and try a rule on past events.", no_args_is_help=True)


@rules.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the rules in effect, in the order in which they are tried."""
    from core.settings import load_settings

    found = load_settings().rules.rules
    if as_json:
        data([{"rule": str(rule), "kind": rule.kind, "name": rule.name, "place": rule.place} for rule in found])
        return
    table(["rule", "only in"], [[str(rule), rule.place or "every source"] for rule in found], empty="No rules.")
    note("set them with PENSTOCK_START_RULES, as in 'labelled:penstock; transition:Ready [SHOP]'")


@rules.command("try")
def try_(
    rule: Annotated[
        str,
        typer.Argument(
            help="opened, labelled:NAME, assigned:LOGIN, mentioned:NAME, command, transition:STATUS or "
            "failed:BRANCH, with [REPOSITORY] behind it if it is for some only; several separated by semicolons."
        ),
    ],
    days: Annotated[float, typer.Option(min=0.01, max=3650, help="Look at the events of this many days.")] = 30.0,
    source: Annotated[str | None, typer.Option(help="Only events of this source.")] = None,
    team: TeamName = None,
    as_json: AsJson = False,
) -> None:
    """Show which past events would have started tasks by a rule. Changes nothing. A rule about failed checks cannot be
    tried on the past, since past checks are not kept."""
    from dataclasses import asdict

    from core.rule_trial import MOST, try_rules
    from core.rules import BadRule, Kind, read_rules, split_rules

    try:
        tried = read_rules(split_rules(rule))
    except BadRule as error:
        raise typer.BadParameter(str(error), param_hint="RULE") from None
    with opened() as database, database.team(here := team_of(database, team)) as connection:
        found = try_rules(connection, here, tried, days=days, source=source)
        known = connection.execute("SELECT FROM sources WHERE name = %s", (source,)).fetchone()
    if source and not known and not found.judged:  # events of a source that was removed can be tried
        raise typer.BadParameter(f"there is no source {source!r}; see `penstock index status`", param_hint="--source")
    if as_json:
        data(asdict(found))
        return
    failed = [rule for rule in tried.rules if rule.kind == Kind.FAILED]
    if failed:
        _show_looked(found.looked, ", ".join(map(str, failed)), days)
    if len(failed) == len(tried.rules):
        return
    table(
        ["issue", "title", "what happened", "by", "at", "source"],
        [
            [
                f"{one.project} {one.key}",
                one.title,
                one.what,
                one.starter or "-",
                f"{one.at:%Y-%m-%d %H:%M}",
                one.source,
            ]
            for one in found.starts
        ],
        empty="No stored event would have started a task.",
    )
    span = f"from {found.since:%Y-%m-%d %H:%M} to {found.until:%Y-%m-%d %H:%M}" if found.since and found.until else ""
    line(f"{len(found.starts)} of {found.judged} events would have started tasks {span}".rstrip())
    if found.unknown:
        note(f"{found.unknown} further changes of tickets report nothing that a rule looks at")
    if found.cut:
        note(f"there are more: only the newest {MOST} were looked at; --source or --days narrows the search")


def _show_looked(looked: "tuple[Watched, ...]", rules: str, days: float) -> None:
    """What is known about rules of failed checks: what became of the heads that such a rule in effect has looked at."""
    table(
        ["branch", "head", "state", "checks or reason", "task", "at", "source"],
        [
            [
                one.branch,
                one.head[:12],
                one.state,
                ", ".join(one.failed) or one.reason or "-",
                str(one.task_id or "-"),
                f"{one.received_at:%Y-%m-%d %H:%M}",
                one.source,
            ]
            for one in looked
        ],
        empty=f"No head of these branches was looked at in the last {days:g} days.",
        short={"task": 8, "head": 8},
    )
    note(
        f"{rules}: past checks are not kept, so such a rule cannot be tried on them. Shown are the heads whose checks "
        "had failed while a rule in effect (PENSTOCK_START_RULES) named their branch"
    )

"""The assets of a service: from the task that asks for it to the version that serves. Each repeats safely."""

import time

from dagster import AssetExecutionContext, MaterializeResult, MetadataValue, ResourceParam, asset

from assets.attempt_run import open_attempt, show_on_run, told
from assets.partitions import SOURCES
from assets.platform import Platform
from assets.services.close import Outcome, close, refusal, report_of
from assets.services.draft import draft
from assets.services.records import ServiceDraft
from assets.shared.markdown import cell, fenced
from core.access.errors import BadName, Conflict
from core.attempts import Attempt, LeaseLost
from objects.canary import why_unused
from objects.catalogue import read_type
from objects.custom.checking import check_version
from objects.model import Unavailable
from objects.submissions import Submission, submit
from sandbox.protocol import SandboxUnavailable


@asset(key_prefix="service", partitions_def=SOURCES, group_name="services", kinds={"postgres"})
def code(context: AssetExecutionContext, platform: ResourceParam[Platform]) -> MaterializeResult[None]:
    """The code that came with the request, or that a chat model has written."""
    with open_attempt(context, platform, first=True) as attempt:
        found = attempt.output("service", ServiceDraft)
        if found is None:
            began, identity = time.monotonic(), attempt.task.id.hex[:8]
            try:
                found = draft(
                    *(attempt.text, identity, platform.settings),
                    sandbox=lambda: platform.sandbox,
                    step=lambda text: context.log.info("%s", text),
                )
            except Unavailable as error:
                raise SandboxUnavailable(str(error)) from error
            attempt.put_output("service", found, time.monotonic() - began)
        show_on_run(context, service=found.name)
        return MaterializeResult(
            metadata={
                "type": MetadataValue.text(found.name or "-"),
                "from": MetadataValue.text(found.origin or "nobody yet"),
                "source": MetadataValue.md(fenced(found.source[:60_000], "python")),
                "question": MetadataValue.md(cell(found.question[:2000])),
            }
        )


@asset(key_prefix="service", deps=[code], partitions_def=SOURCES, group_name="services", kinds={"postgres"})
def version(context: AssetExecutionContext, platform: ResourceParam[Platform]) -> MaterializeResult[None]:
    """The version that was submitted, the gate's verdict about it, and what became of the task."""
    with open_attempt(context, platform) as attempt:
        handed_in = attempt.output("service", ServiceDraft)
        assert handed_in is not None  # noqa: S101  `code` stores it
        outcome = _submitted(platform, attempt, handed_in)
        target = platform.report_target(attempt.task)
        days = 0.0 if outcome.done else platform.days_to_wait(attempt.task, target)
        state = close(attempt, outcome, target, days)
    with told(context, "deliver"):
        for line in platform.deliver(attempt.task.id):
            context.log.info("%s", line)
    show_on_run(context, outcome=outcome.serving or state.value)
    row = outcome.row
    return MaterializeResult(
        metadata={
            "type": MetadataValue.text(handed_in.name or "-"),
            "version": row.version if row else 0,
            "sha256": MetadataValue.text(row.sha256 if row else "-"),
            "report": MetadataValue.md(report_of(attempt.task.title, outcome)[:60_000]),
            "task": MetadataValue.text(str(attempt.task.id)),
        }
    )


def _submitted(platform: Platform, attempt: Attempt, handed_in: ServiceDraft) -> Outcome:
    """Submits the code, unless a run before has, and waits for the gate's verdict. Raises `LeaseLost` and
    `SandboxUnavailable`."""
    if handed_in.question:
        return Outcome(handed_in, question=handed_in.question)
    given = Submission(
        handed_in.name,
        handed_in.source,
        handed_in.manifest,
        handed_in.scenarios,
        f"task {attempt.task.id}",
    )
    team, kind = attempt.task.team_id, handed_in.name
    try:
        with attempt.fenced() as connection:
            number = submit(connection, team, given).version
    except (BadName, Conflict) as error:
        return Outcome(handed_in, question=f"{error}. Answer with another name, such as: Service: {kind}-2")
    try:
        row = check_version(platform.database, lambda: platform.sandbox, team, kind, number, attempt.should_stop)
    except Unavailable as error:
        raise SandboxUnavailable(str(error)) from error
    if row is None:
        raise LeaseLost("the task was cancelled, or another run works on it")
    if row.state != "accepted":
        return Outcome(handed_in, row, question=refusal(row))
    with platform.database.team(team) as connection:
        unused, serving = why_unused(connection, kind, number), read_type(connection, kind)
    if unused or serving is None:
        return Outcome(handed_in, row, question=f"This code was submitted before, and {unused}")
    share = f"{serving.canary_percent}% of the keys" if serving.canary_version == number else "all keys"
    return Outcome(handed_in, row, f"version {number} serves {share}")

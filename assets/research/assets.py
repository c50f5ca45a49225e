"""The assets of a question: from the task that asks it to the report that is sent. Each is thin, and repeats safely.

Searches and analyses are messages that any worker may take; a run takes those of its own question that nobody else has,
so that a question is answered also without other workers.
"""

import time
import uuid
from typing import Any

from dagster import AssetExecutionContext, MaterializeResult, MetadataValue, ResourceParam, asset

from assets.attempt_run import open_attempt, show_on_run, told
from assets.partitions import SOURCES
from assets.platform import Platform
from assets.research import memory
from assets.research.engines.answer import LARGEST_QUESTION, NoQuestion, checked_question, question_notes
from assets.research.engines.extractive.decompose import decompose
from assets.research.flow import steps
from assets.research.flow.close import close
from assets.research.flow.open_corpora import Corpora
from assets.research.flow.steps import StepKind
from assets.research.flow.work import work
from assets.research.report.kept_pages import keep_page
from assets.research.report.markdown import markdown
from assets.shared.markdown import cell
from core.attempts import Attempt, LeaseLost
from core.states import TaskState

_WAIT_SECONDS = 0.2


def _question(attempt: Attempt) -> steps.Question:
    with attempt.database.team(attempt.task.team_id) as connection:
        return steps.find_question(connection, steps.question_id(*attempt.key))


def _work_off(context: AssetExecutionContext, platform: Platform, attempt: Attempt, kinds: list[StepKind]) -> int:
    """Does the question's steps of these kinds, and waits for those that others do. Returns how many were done here."""
    identity, shop, count = steps.question_id(*attempt.key), Corpora(platform).workshop(), 0
    while steps.steps_left(platform.database, attempt.task.team_id, identity, kinds):
        if attempt.should_stop():
            raise LeaseLost("the task was cancelled, or another run works on it")
        if work(shop, context.run.run_id, identity, kinds) is None:
            time.sleep(_WAIT_SECONDS)
        else:
            count += 1
    return count


@asset(key_prefix="research", partitions_def=SOURCES, group_name="research", kinds={"postgres"})
def question(context: AssetExecutionContext, platform: ResourceParam[Platform]) -> MaterializeResult[None]:
    """What is asked, of which corpora, and within which limits."""
    with open_attempt(context, platform, first=True) as attempt:
        task = attempt.task
        corpora, notes = Corpora(platform).names(task.team_id, task.source, list(task.options.get("corpora") or []))
        text = attempt.text
        try:
            asked = checked_question(f"{text.title}\n{text.body}".strip()[:LARGEST_QUESTION])
        except NoQuestion as error:
            attempt.fail(str(error))
            raise
        asks_model = task.options.get("engine") == "model" and platform.settings.chat_model is not None
        engine = "model" if asks_model else "extractive"
        seconds = float(task.options.get("budget_seconds") or platform.settings.research_seconds)
        with attempt.fenced() as connection:
            steps.ask(
                connection,
                task,
                asked,
                engine=engine,
                corpora=corpora,
                seconds=seconds,
                notes=[*notes, *question_notes(asked)],
            )
        show_on_run(context, question=task.title)
        return MaterializeResult(
            metadata={
                "question": MetadataValue.md(cell(asked[:2000])),
                "corpora": MetadataValue.text(", ".join(corpora) or "none"),
                "engine": MetadataValue.text(engine),
                "seconds": MetadataValue.float(seconds),
            }
        )


@asset(key_prefix="research", deps=[question], partitions_def=SOURCES, group_name="research", kinds={"postgres"})
def decomposition(context: AssetExecutionContext, platform: ResourceParam[Platform]) -> MaterializeResult[None]:
    """The sub-questions, each a message on penstock.research."""
    with open_attempt(context, platform) as attempt:
        one = _question(attempt)
        subs = decompose(one.question)
        with attempt.fenced() as connection:
            steps.queue_searches(connection, platform.log, one, subs)
        listed = "\n".join(f"{sub.number + 1}. {sub.kind}: {cell(sub.text)}" for sub in subs)
        return MaterializeResult(metadata={"sub_questions": MetadataValue.md(listed)})


@asset(key_prefix="research", deps=[decomposition], partitions_def=SOURCES, group_name="research", kinds={"postgres"})
def search(context: AssetExecutionContext, platform: ResourceParam[Platform]) -> MaterializeResult[None]:
    """The passages that were found for each sub-question."""
    with open_attempt(context, platform) as attempt:
        here = _work_off(context, platform, attempt, [StepKind.SEARCH])
        with platform.database.team(attempt.task.team_id) as connection:
            found = steps.outputs(connection, steps.question_id(*attempt.key), StepKind.SEARCH)
        rows = [
            f"| {cell(one['sub']['text'])} | {len(one['hashes'])} | {cell('; '.join(one['problems']))} |"
            for one in found
        ]
        table = "\n".join(["| sub-question | passages | problems |", "|---|---|---|", *rows])
        return MaterializeResult(metadata={"found": MetadataValue.md(table), "searched_here": here})


@asset(key_prefix="research", deps=[search], partitions_def=SOURCES, group_name="research", kinds={"postgres"})
def analysis(context: AssetExecutionContext, platform: ResourceParam[Platform]) -> MaterializeResult[None]:
    """What the passages say: claims and conflicts."""
    with open_attempt(context, platform) as attempt:
        here = _work_off(context, platform, attempt, [StepKind.ANALYSIS])
        with platform.database.team(attempt.task.team_id) as connection:
            found = steps.outputs(connection, steps.question_id(*attempt.key), StepKind.ANALYSIS)
        return MaterializeResult(
            metadata={
                "claims": sum(len(one["claims"]) for one in found),
                "conflicts": sum(len(one["conflicts"]) for one in found),
                "answered": sum(bool(one["answered"]) for one in found),
                "analysed_here": here,
            }
        )


@asset(key_prefix="research", deps=[analysis], partitions_def=SOURCES, group_name="research", kinds={"postgres"})
def synthesis(context: AssetExecutionContext, platform: ResourceParam[Platform]) -> MaterializeResult[None]:
    """The report and the gate's verdict about it."""
    with open_attempt(context, platform) as attempt:
        _work_off(context, platform, attempt, [StepKind.SYNTHESIS])
        stored = _stored(platform, attempt.task.team_id, steps.question_id(*attempt.key))
        checks = [
            f"| {cell(c.name)} | {'yes' if c.passed else '**no**'} | {cell(c.detail)} |" for c in stored.verdict.checks
        ]
        return MaterializeResult(
            metadata={
                "answer": MetadataValue.md(cell(stored.report.answer[:2000])),
                "verdict": MetadataValue.text(stored.verdict.verdict.value),
                "gate": MetadataValue.md("\n".join(["| check | passed | detail |", "|---|---|---|", *checks])),
            }
        )


@asset(key_prefix="research", deps=[synthesis], partitions_def=SOURCES, group_name="research", kinds={"postgres"})
def report(context: AssetExecutionContext, platform: ResourceParam[Platform]) -> MaterializeResult[None]:
    """The report as it was sent, and what became of it."""
    with open_attempt(context, platform) as attempt:
        identity = steps.question_id(*attempt.key)
        stored = _stored(platform, attempt.task.team_id, identity)
        path = keep_page(platform.settings.home, identity, stored)
        state = close(attempt, stored, platform.report_target(attempt.task))
    with told(context, "deliver"):
        for line in platform.deliver(attempt.task.id):
            context.log.info("%s", line)
    show_on_run(context, outcome="answered" if state is TaskState.RESOLVED else "not answered")
    metadata: dict[str, Any] = {
        "report": MetadataValue.md(markdown(stored.report, stored.verdict, stored.passages)[:60_000]),
        "verdict": MetadataValue.text(stored.verdict.verdict.value),
        "confidence": MetadataValue.text(stored.report.confidence),
        "sources": len(stored.report.sources),
        "conflicts": len(stored.report.conflicts),
        "page": MetadataValue.path(str(path)),
        "task": MetadataValue.text(str(attempt.task.id)),
    }
    return MaterializeResult(metadata=metadata)


def _stored(platform: Platform, team_id: uuid.UUID, identity: uuid.UUID) -> memory.StoredReport:
    with platform.database.team(team_id) as connection:
        found = memory.load_report(connection, identity)
    if found is None:
        raise LookupError("the report was withdrawn: a source that it rests on was deleted")
    return found

"""Compares newly registered chat models, prompts and embedding models with the present default.

Off by default, since a comparison occupies the machine for an hour and may cost money. One run at a time; each is
started once, and a failed one is left to the user.
"""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from dagster import (
    DagsterRunStatus,
    DefaultSensorStatus,
    MultiPartitionKey,
    ResourceParam,
    RunRequest,
    RunsFilter,
    SensorDefinition,
    SensorEvaluationContext,
    SensorResult,
    sensor,
)
from dagster._core.definitions.target import ExecutableDefinition
from pydantic import ValidationError

from assets.evals.assets import SETS, SUBJECTS
from assets.evals.promote.candidates import (
    Candidate,
    Progress,
    Watched,
    chat_candidates,
    embedding_candidates,
    prompt_candidates,
)
from assets.executions.engines.model.prompts import prompt_versions
from assets.platform import Platform
from core.chat import UnknownChatModel, described_chat_models, find_chat_spec
from core.embedding import catalogue
from core.settings import Settings, load_settings
from core.states import ModelState
from sensors.slots import IN_PROGRESS

RUN_JOB, COMPARE_JOB = "run_evals", "compare_evals"
CANDIDATE_TAG, STEP_TAG = "penstock/eval-candidate", "penstock/eval-step"
MAX_SECONDS = 4 * 3600.0
MAX_COST = 10.0
"""Limit of one run, in the currency of the models' prices. A run that reaches a limit is incomplete."""

_IN_USE = (ModelState.REGISTERED, ModelState.BUILDING, ModelState.SERVING)


def candidate_sensor(jobs: Sequence[ExecutableDefinition]) -> SensorDefinition:
    """The sensor, for the jobs named `RUN_JOB` and `COMPARE_JOB`."""

    @sensor(
        name="eval_candidate_sensor",
        jobs=jobs,
        minimum_interval_seconds=30,
        default_status=DefaultSensorStatus.STOPPED,
        description="Compares new chat models, prompts and embedding models with the present default.",
    )
    def eval_candidate_sensor(context: SensorEvaluationContext, platform: ResourceParam[Platform]) -> SensorResult:
        return tick(context, platform)

    return eval_candidate_sensor


def tick(context: SensorEvaluationContext, platform: Platform) -> SensorResult:
    """Starts the next run of the oldest open comparison, if no run is in progress."""
    before = _cursor(context.cursor)
    now = datetime.now(UTC)
    watched = before.look(registered(load_settings(), platform), now)
    notes = []
    for candidate, _ in watched.candidates():
        progress = progress_of(context, candidate)
        if progress.done or progress.failed:
            end = f"its {progress.failed} failed: see that run" if progress.failed else "compared: see eval_comparison"
            context.log.info("%s %s: %s", candidate.kind, candidate.name, end)
            watched = watched.without(candidate)
            continue
        if (step := progress.next_step) is None or _busy(context):
            notes.append(f"{candidate.kind} {candidate.name}: a run is under way")
            break
        return _start(context, candidate, step, watched)
    reason = "; ".join(notes) or "Nothing new is registered."
    return SensorResult(skip_reason=reason, cursor=watched.model_dump_json())


def _cursor(text: str | None) -> Watched:
    try:
        return Watched.model_validate_json(text) if text else Watched()
    except ValidationError:  # of another version: begin again, without comparing what is already registered
        return Watched()


def registered(settings: Settings, platform: Platform) -> list[Candidate]:
    """Everything that could be compared with the present default."""
    chats = {}
    for name in described_chat_models(settings.models_folder):
        try:
            described = find_chat_spec(name, settings.models_folder).model_dump_json()
        except UnknownChatModel:
            continue  # `penstock models list` says what is wrong with it
        chats[name] = hashlib.sha256(described.encode()).hexdigest()
    with platform.database.system() as connection:
        entries = [entry for entry in catalogue.entries(connection) if entry.spec is not None]
    serving = next((entry.name for entry in entries if entry.state == ModelState.SERVING), None)
    embedders = {entry.name: entry.identity for entry in entries if entry.state in _IN_USE}
    return [
        *chat_candidates(settings, chats),
        *prompt_candidates(settings, prompt_versions()),
        *embedding_candidates(embedders, serving),
    ]


def progress_of(context: SensorEvaluationContext, candidate: Candidate) -> Progress:
    """The state of the runs that were started for a candidate."""
    runs = context.instance.get_runs(RunsFilter(tags={CANDIDATE_TAG: candidate.key}), limit=20)
    ended: dict[str, bool | None] = {}
    for run in reversed(runs):  # oldest first: a user's retry of a step replaces its first run
        ended[run.tags[STEP_TAG]] = (run.status == DagsterRunStatus.SUCCESS) if run.is_finished else None
    return Progress(ended=ended)


def _busy(context: SensorEvaluationContext) -> bool:
    """Whether any eval is running: two would distort each other's times."""
    return bool(context.instance.get_runs_count(RunsFilter(job_name=RUN_JOB, statuses=IN_PROGRESS)))


def _start(context: SensorEvaluationContext, candidate: Candidate, step: str, watched: Watched) -> SensorResult:
    tags = {CANDIDATE_TAG: candidate.key, STEP_TAG: step}
    key = f"eval:{candidate.key}:{step}"
    if step == "comparison":
        runs = {"baseline": candidate.run("baseline"), "candidate": candidate.run("candidate")}
        request = RunRequest(run_key=key, job_name=COMPARE_JOB, tags=tags, run_config=_config("eval_comparison", runs))
        return SensorResult(run_requests=[request], cursor=watched.model_dump_json())
    subject = candidate.baseline if step == "baseline" else candidate.candidate
    bounds = {"run": candidate.run(step), "max_seconds": MAX_SECONDS, "max_cost": MAX_COST}
    request = RunRequest(
        run_key=key,
        job_name=RUN_JOB,
        tags=tags,
        partition_key=MultiPartitionKey({"set": candidate.set_name, "subject": subject}),
        run_config=_config("eval_results", bounds),
    )
    missing = [
        definition.build_add_request([name])
        for definition, name in ((SETS, candidate.set_name), (SUBJECTS, subject))
        if name not in context.instance.get_dynamic_partitions(definition.name or "")
    ]
    return SensorResult(run_requests=[request], cursor=watched.model_dump_json(), dynamic_partitions_requests=missing)


def _config(asset: str, values: dict[str, Any]) -> dict[str, Any]:
    return {"ops": {asset: {"config": values}}}

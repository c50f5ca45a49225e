"""`penstock solve`: solves one task in this process, without servers."""

import json
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from core.teams import DEFAULT_TEAM
from dagster_project.cli.output import AsJson, CommandFailed, Progress, data, line, note

if TYPE_CHECKING:
    from assets.executions.engines.open_engine import EngineChoice
    from assets.results.report import AttemptRecord
    from core.settings import Settings
    from core.work import TaskText

MAX_ISSUE_BYTES = 256 << 10


def solve(
    repo: Annotated[
        Path,
        typer.Option(
            help="The git repository. The task is solved on its HEAD; its work tree is never changed.",
            exists=True,
            file_okay=False,
        ),
    ],
    issue: Annotated[
        Path,
        typer.Option(
            help="A text file with the title in the first line, then the issue's text. '-' reads standard input.",
            allow_dash=True,
        ),
    ],
    test: Annotated[str | None, typer.Option(help="The test command; detected by default.", metavar="CMD")] = None,
    engine: Annotated[
        str | None,
        typer.Option(
            help="The engine that proposes edits: search, model, hybrid or auto; by default from the settings."
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="Chat model for the engines model and hybrid: one described in the models folder, or ollama/NAME."
        ),
    ] = None,
    budget_seconds: Annotated[
        float | None,
        typer.Option(min=1, max=86_400, help="Wall time for the whole task in seconds; by default from the settings."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Solve one task in this process. A verified patch becomes branch penstock/<task id>. Exit code 0 if resolved."""
    result = _run(repo.resolve(), _read_issue(issue), test, _choice(engine, model), budget_seconds, quiet=as_json)
    if as_json:
        data({key: value for key, value in result.items() if key != "report"})
    else:
        line(result["report"].split("\n## Where it looked", maxsplit=1)[0].rstrip())
        line()
        if result["branch"]:
            line(f"branch:     {result['branch']}   (git show {result['branch']})")
        elif result["patch"]:
            line(f"patch:      not published: {result['not_published']}; git apply {result['patch_file'] or '…'}")
        line(f"trajectory: {result['trajectory']}")
        if used := result["evidence"]["model"]:
            line(_cost(used))
        verdict = result["evidence"]["verdict"]
        if result["patch"] and verdict["verdict"] == "draft":
            line(f"draft:      review the patch, because: {' '.join(verdict['reasons'])}")
        line(f"{result['status']}: {result['candidates']} candidates in {result['seconds']:.1f} s")
    if result["status"] != "resolved":
        raise typer.Exit(1)


def _cost(used: dict[str, Any]) -> str:
    tokens = used["prompt_tokens"] + used["completion_tokens"]
    about = "about " if used["estimated"] else ""
    return f"model:      {used['model']}, {used['steps']} answers, {about}{tokens} tokens, cost {used['money']:.4f}"


def _read_issue(path: Path) -> "TaskText":
    import sys

    from core.work import TaskText

    if str(path) == "-":
        raw = sys.stdin.buffer.read(MAX_ISSUE_BYTES + 1)
    elif path.is_file():
        with path.open("rb") as file:
            raw = file.read(MAX_ISSUE_BYTES + 1)
    else:
        raise typer.BadParameter(f"{path} is not a file", param_hint="--issue")
    if len(raw) > MAX_ISSUE_BYTES:
        raise CommandFailed(f"{path} is larger than {MAX_ISSUE_BYTES} bytes: shorten it")
    text = raw.decode("utf-8", "replace").replace("\0", "").strip()
    if not text:
        raise CommandFailed(f"{path} is empty: write the issue's title in the first line, then its text")
    title, _, body = text.partition("\n")
    return TaskText(title=title.lstrip("# ").strip() or title.strip(), body=body.strip())


def _choice(engine: str | None, model: str | None) -> "EngineChoice":
    from assets.executions.engines.open_engine import ENGINES, EngineChoice
    from core.settings import load_settings

    settings = load_settings()
    engine = engine or ("model" if model else settings.engine)
    if engine not in ENGINES:
        raise typer.BadParameter(f"{engine!r} is not one of {', '.join(ENGINES)}", param_hint="--engine")
    if model and engine == "search":
        raise typer.BadParameter(f"engine {engine} does not use a chat model", param_hint="--model")
    if engine == "model" and not (model or settings.chat_model):
        raise typer.BadParameter(
            "engine model needs a chat model: name one, or set chat_model (`penstock doctor`)", param_hint="--model"
        )
    return EngineChoice(engine, chat_model=model)


def _run(
    path: Path, task: "TaskText", test: str | None, choice: "EngineChoice", budget_seconds: float | None, *, quiet: bool
) -> dict[str, Any]:
    from assets.executions.engines.model.prompts import UnknownPrompts
    from assets.executions.engines.open_engine import open_engine
    from assets.executions.repository.settings import RepositorySettingsError
    from assets.results.report import AttemptRecord, render
    from core.chat import ChatUnavailable, UnknownChatModel
    from core.events import task_id
    from core.git import Repository
    from core.home_checks import require
    from core.settings import load_settings
    from core.work import Budget, VerdictKind
    from dagster_project import pipeline
    from dagster_project.cli.platform import check_signing
    from sandbox import open_sandbox

    settings = load_settings()
    if settings.signing_key:
        check_signing(settings)
    began = time.monotonic()
    require(settings.home, database=False)
    repository = Repository(path)
    if repository.empty():
        raise CommandFailed(f"{path} has no commit yet: commit the code first")
    event_id = f"solve:{uuid.uuid4()}"
    identity = task_id(DEFAULT_TEAM, event_id)
    folder = settings.home / "solve" / str(identity)
    folder.mkdir(parents=True, exist_ok=True)
    budget = Budget(seconds=budget_seconds or settings.task_seconds)
    request = pipeline.Request(task, repository, path.name, budget, test)
    _warn_about_changes(repository)
    from core.timeline import describe

    with Progress(quiet=quiet) as step, (folder / "trajectory.jsonl").open("wb", buffering=0) as trajectory:

        def record(kind: str, entry: dict[str, Any]) -> None:
            row = {"at": datetime.now(UTC).isoformat(), "kind": kind, "body": entry}
            text = json.dumps(row, default=str) + "\n"
            _keep(folder / "trajectory.jsonl", lambda: trajectory.write(text.encode()))
            step(f"{kind}: {describe(kind, entry)}")

        try:
            engine = open_engine(choice, settings)
            solution = pipeline.solve(request, engine, open_sandbox(settings.sandbox), settings, record)
        except (RepositorySettingsError, ChatUnavailable, UnknownChatModel, UnknownPrompts) as error:
            raise CommandFailed(str(error)) from error
    execution, verdict = solution.execution, solution.verdict
    ending = AttemptRecord(identity, 1, task.title, event_id, None, solution.context, solution.plan, execution, verdict)
    report = render(ending)
    accepted = execution.patch is not None and verdict.verdict is not VerdictKind.FAIL
    diff = execution.patch.diff if accepted and execution.patch else None
    # Stored first, so that nothing that happens while publishing can lose it.
    patch_file = folder / "patch.diff"
    kept = diff is not None and _keep(patch_file, lambda: patch_file.write_text(diff, encoding="utf-8"))
    branch, refusal = _publish(path, ending, report, settings) if accepted else (None, None)
    if accepted:
        report += f"\n## Publication\n\n{_published_text(branch, refusal)}\n"
    _keep(folder / "report.md", lambda: (folder / "report.md").write_text(report, encoding="utf-8"))
    return {
        "task": str(identity),
        "status": "resolved" if branch else "failed" if accepted else "unresolved",
        "branch": branch,
        "patch": diff,
        "patch_file": str(patch_file) if kept else None,
        "not_published": refusal,
        "candidates": execution.evidence.candidates.tried,
        "seconds": round(time.monotonic() - began, 3),
        "evidence": {
            **execution.evidence.model_dump(mode="json"),
            "commit": solution.context.commit,
            "summary": execution.summary,
            "engine": execution.engine,
            "engine_chosen": execution.chosen,
            "iterations": execution.iterations,
            "changed_lines": execution.changed_lines,
            "model": execution.model.model_dump(mode="json") if execution.model else None,
            "verdict": verdict.model_dump(mode="json"),
        },
        "trajectory": str(folder / "trajectory.jsonl"),
        "report": report,
    }


def _keep(path: Path, write: Callable[[], object]) -> bool:
    """Writes a record of the task; a disk that is full must not lose the task itself."""
    try:
        write()
    except OSError as error:
        if path not in _told:
            _told.add(path)
            note(f"penstock: {path} could not be written: {error.strerror or error}")
        return False
    return True


_told: set[Path] = set()
"""Records of which was said that they could not be written."""


def _published_text(branch: str | None, refusal: str | None) -> str:
    return f"Branch `{branch}`." if branch else f"**Not published**: {refusal}. The patch is above."


def _publish(path: Path, ending: "AttemptRecord", report: str, settings: "Settings") -> tuple[str | None, str | None]:
    """Publishes the branch of a patch that the gate allows. Returns its name, or None and why it was not published."""
    from assets.results.report import commit_message
    from core.commit_author import parse_identity
    from core.forge.conventions import Conventions
    from core.forge.local_git import LocalGit
    from core.forge.protocol import ForgeUnavailable, Publication, PublicationRefused
    from core.signing_keys import signing_key

    author, key = parse_identity(settings.commit_author), signing_key(settings, DEFAULT_TEAM)
    publication = Publication(
        task_id=ending.task_id,
        attempt=ending.attempt,
        title=ending.title,
        message=commit_message(ending),
        report=report,
        patch=ending.execution.patch,
        verdict=ending.verdict,
        when=datetime.now(UTC),
    )
    try:
        LocalGit(path, path.name, Conventions(author, settings.sign_off, key=key)).publish(publication)
    except (PublicationRefused, ForgeUnavailable, OSError) as trouble:
        note(f"penstock: not published: {trouble}")
        return None, str(trouble).rstrip(".")
    return publication.branch, None


def _warn_about_changes(repository: Any) -> None:
    status = repository.status()
    if status.dirty:
        shown = ", ".join(status.paths[:3]) + (" …" if len(status.paths) > 3 else "")
        note(f"penstock: the task is solved on HEAD; uncommitted changes ({shown}) are ignored")

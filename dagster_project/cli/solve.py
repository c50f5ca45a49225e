"""`penstock solve`: one task in this process, no servers."""

import json
import tempfile
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from core.teams import DEFAULT_TEAM
from dagster_project.cli.output import AsJson, CommandFailed, Progress, data, line, note
from dagster_project.cli.task import summary

MAX_ISSUE_BYTES = 256 << 10


def solve(
    repo: Annotated[
        Path,
        typer.Option(
            help="The git repository. Its HEAD is what is solved; its work tree is never touched.",
            exists=True,
            file_okay=False,
        ),
    ],
    issue: Annotated[
        Path,
        typer.Option(
            help="A text file: the title in its first line, then the issue's text. '-' reads standard input.",
            allow_dash=True,
        ),
    ],
    test: Annotated[
        str | None, typer.Option(help="The test command; found by itself if not given.", metavar="CMD")
    ] = None,
    engine: Annotated[
        str | None, typer.Option(help="What proposes edits: search, or model. By default what the settings say.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Chat model of engine model: one that is described in a folder, or ollama/NAME.")
    ] = None,
    budget_seconds: Annotated[
        float | None,
        typer.Option(min=1, max=86_400, help="Wall time for the whole task; what the settings say if not given."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Solve one task here and now; leaves branch penstock/<task id>. Exit code 0 when it was resolved."""
    title, body = _read_issue(issue)
    result = _run(repo.resolve(), title, body, test, engine, model, budget_seconds, quiet=as_json)
    if as_json:
        data({key: value for key, value in result.items() if key != "report"})
    else:
        line(result["report"].split("\n## Where it looked", maxsplit=1)[0].rstrip())
        line()
        if result["branch"]:
            line(f"branch:     {result['branch']}   (git show {result['branch']})")
        line(f"trajectory: {result['trajectory']}")
        if used := result["evidence"]["model"]:
            line(_cost(used))
        line(f"{result['status']}: {result['candidates']} candidates in {result['seconds']:.1f} s")
    if result["status"] != "resolved":
        raise typer.Exit(1)


def _cost(used: dict[str, Any]) -> str:
    tokens = used["prompt_tokens"] + used["completion_tokens"]
    about = "about " if used["estimated"] else ""
    return f"model:      {used['model']}, {used['steps']} answers, {about}{tokens} tokens, {used['money']:.4f} in money"


def _read_issue(path: Path) -> tuple[str, str]:
    import sys

    if str(path) == "-":
        raw = sys.stdin.buffer.read(MAX_ISSUE_BYTES + 1)
    elif path.is_file():
        with path.open("rb") as file:
            raw = file.read(MAX_ISSUE_BYTES + 1)
    else:
        raise typer.BadParameter(f"{path} is not a file", param_hint="--issue")
    if len(raw) > MAX_ISSUE_BYTES:
        raise CommandFailed(f"{path} is larger than {MAX_ISSUE_BYTES} bytes: cut it down to what matters")
    text = raw.decode("utf-8", "replace").replace("\0", "").strip()
    if not text:
        raise CommandFailed(f"{path} is empty: write the issue's title in its first line, then its text")
    title, _, body = text.partition("\n")
    return title.lstrip("# ").strip() or title.strip(), body.strip()


def _run(
    path: Path,
    title: str,
    body: str,
    test: str | None,
    engine: str | None,
    model: str | None,
    budget_seconds: float | None,
    *,
    quiet: bool,
) -> dict[str, Any]:
    from assets.context.ranking.rank import build_task_context, rank
    from assets.context.store.memory import MemoryIndex
    from assets.executions.attempt.checkout import open_checkout
    from assets.executions.attempt.execute import ENGINES, execute
    from assets.executions.attempt.repository_settings import RepositorySettingsError
    from assets.executions.engines.model.options import chat_of, options_of
    from assets.executions.engines.model.prompts import UnknownPrompts
    from assets.executions.judging.gate import judge
    from assets.plans.planner import make_plan
    from assets.results.report import commit_message, render
    from core.chat import ChatUnavailable, UnknownChatModel
    from core.embedding import open_embedder
    from core.events import task_id
    from core.forge.local_git import LocalGit
    from core.forge.protocol import Publication, PublicationRefused
    from core.git import Repository
    from core.settings import load_settings
    from core.work import Budget, Execution, Plan, TaskText, Verdict, VerdictKind
    from sandbox import open_sandbox

    settings = load_settings()
    engine = engine or ("model" if model else settings.engine)
    if engine not in ENGINES:
        raise typer.BadParameter(f"{engine!r} is not one of {', '.join(ENGINES)}", param_hint="--engine")
    if model and engine != "model":
        raise typer.BadParameter(f"engine {engine} uses no chat model", param_hint="--model")
    try:
        chat = chat_of(settings, model) if engine == "model" else None
    except UnknownChatModel as error:
        raise CommandFailed(str(error)) from error
    began = time.monotonic()
    repository = Repository(path)
    if repository.empty():
        raise CommandFailed(f"{path} has no commit yet: commit what is to be solved first")
    commit = repository.resolve("HEAD")
    event_id = f"solve:{uuid.uuid4()}"
    identity = task_id(DEFAULT_TEAM, event_id)
    folder = settings.home / "solve" / str(identity)
    folder.mkdir(parents=True, exist_ok=True)
    with Progress(quiet=quiet) as step, tempfile.TemporaryDirectory(prefix="penstock-solve-") as scratch:
        _warn_about_changes(repository)
        sandbox = open_sandbox(settings.sandbox)
        index = MemoryIndex.build(
            repository, commit, [open_embedder(settings.embedding_model, settings.models_folder)], source=path.name
        )
        found = build_task_context(index, f"{title}\n\n{body}")
        step(f"context: {len(found.locations)} places, first {found.locations[0].path if found.locations else 'none'}")
        budget = max(1.0, (budget_seconds or settings.task_seconds) - (time.monotonic() - began))
        plan = make_plan(title, found, Budget(seconds=budget), engine=engine)
        revisions: list[Plan] = [plan]
        with (folder / "trajectory.jsonl").open("w", encoding="utf-8") as trajectory:

            def record(kind: str, entry: dict[str, Any]) -> None:
                row = {"at": datetime.now(UTC).isoformat(), "kind": kind, "body": entry}
                trajectory.write(json.dumps(row, default=str) + "\n")
                trajectory.flush()
                step(f"{kind}: {summary(entry)}")

            try:
                checkout = open_checkout(repository.path, commit, Path(scratch) / "checkout")
                execution: Execution = execute(
                    TaskText(title=title, body=body), plan, found, checkout, sandbox,
                    engine=engine, record=record, revise=revisions.append, test_command=test, chat=chat,
                    options=options_of(settings), index=lambda query, count: rank(index, query, count),
                )  # fmt: skip
            except (RepositorySettingsError, ChatUnavailable, UnknownPrompts) as error:
                raise CommandFailed(str(error)) from error
    verdict: Verdict = judge(execution.evidence, execution.patch)
    parts = {"task_id": str(identity), "attempt": 1, "title": title, "execution": execution, "verdict": verdict}
    report = render(context=found, plan=revisions[-1], **parts)  # type: ignore[arg-type]
    (folder / "report.md").write_text(report, encoding="utf-8")
    publication = Publication(
        task_id=identity,
        attempt=1,
        title=title,
        message=commit_message(url=None, event_id=event_id, **parts),  # type: ignore[arg-type]
        report=report,
        patch=execution.patch,
        verdict=verdict,
        when=datetime.now(UTC),
    )
    status, branch = "unresolved", None
    if execution.patch is not None and verdict.verdict is not VerdictKind.FAIL:
        try:
            LocalGit(path, path.name).publish(publication)
            status, branch = "resolved", publication.branch
        except PublicationRefused as refusal:
            status = "failed"
            note(f"penstock: not published: {refusal}")
    return {
        "task": str(identity),
        "status": status,
        "branch": branch,
        "patch": execution.patch.diff if branch and execution.patch else None,
        "candidates": execution.evidence.candidates.tried,
        "seconds": round(time.monotonic() - began, 3),
        "evidence": {
            **execution.evidence.model_dump(mode="json"),
            "commit": commit,
            "summary": execution.summary,
            "iterations": execution.iterations,
            "changed_lines": execution.changed_lines,
            "model": execution.model.model_dump(mode="json") if execution.model else None,
            "verdict": verdict.model_dump(mode="json"),
        },
        "trajectory": str(folder / "trajectory.jsonl"),
        "report": report,
    }


def _warn_about_changes(repository: Any) -> None:
    status = repository.status()
    if status.dirty:
        shown = ", ".join(status.paths[:3]) + (" …" if len(status.paths) > 3 else "")
        note(f"penstock: HEAD is solved; uncommitted changes ({shown}) are left alone and not looked at")

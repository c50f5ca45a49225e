"""`penstock research`: answers a question from documents or indexed sources, with citations, in this process."""

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dagster_project.cli.access import TeamName, team_of
from dagster_project.cli.output import AsJson, CommandFailed, Progress, data, line, note

if TYPE_CHECKING:
    from assets.research.corpora.protocol import Corpus
    from assets.research.engines.answer import Writer
    from core.embedding import Embedder


def research(
    question: Annotated[str, typer.Argument(help="What to find out. '-' reads standard input.")],
    corpus: Annotated[
        list[str] | None,
        typer.Option(
            "--corpus", help="A folder of documents, an indexed source, web, crossref or arxiv; may be repeated."
        ),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Let this chat model write: one described in the models folder, or ollama/NAME.")
    ] = None,
    seconds: Annotated[float, typer.Option(min=1, max=3600, help="Time for the whole question in seconds.")] = 300.0,
    html: Annotated[Path | None, typer.Option(help="Also write the report as one HTML page to this file.")] = None,
    team: TeamName = None,
    as_json: AsJson = False,
) -> None:
    """Answer a question from documents: a report whose every claim is cited. Exit code 1 if nothing answers it."""
    from assets.research.engines.answer import NoQuestion, answer, checked_question
    from assets.research.report.markdown import markdown
    from assets.research.report.page import page

    try:
        text = checked_question(_read(question))
    except NoQuestion as error:
        raise CommandFailed(str(error)) from error
    if not corpus:
        raise typer.BadParameter("name a folder or an indexed source", param_hint="--corpus")
    with ExitStack() as stack, Progress(quiet=as_json) as say:
        embedder = _embedder()
        corpora = [_open(stack, name, embedder, team) for name in corpus]
        say("reading the corpus")
        _read_folders(corpora)
        answered = answer(text, corpora, embedder, seconds=seconds, writer=_writer(model))
    problems = [problem for one in corpora for problem in getattr(one, "problems", ())]
    if html is not None:
        try:
            html.write_text(page(answered.report, answered.verdict, answered.passages), encoding="utf-8")
        except OSError as error:
            raise CommandFailed(f"{html}: {error.strerror}") from error
    if as_json:
        data(
            {
                "report": answered.report.model_dump(mode="json"),
                "sha256": answered.report.sha256,
                "verdict": answered.verdict.model_dump(mode="json"),
                "passages": [
                    p.model_dump(mode="json") for p in answered.passages.values() if p.hash in answered.report.sources
                ],
                "unread": problems,
            }
        )
    else:
        line(markdown(answered.report, answered.verdict, answered.passages).rstrip())
        for problem in problems[:5]:
            note(f"not read: {problem}")
        if len(problems) > 5:
            note(f"and {len(problems) - 5} more that could not be read")
    if not answered.report.answered:
        raise typer.Exit(1)


def _read(question: str) -> str:
    if question != "-":
        return question
    import sys

    from assets.research.engines.answer import LARGEST_QUESTION

    return sys.stdin.buffer.read(LARGEST_QUESTION + 1).decode("utf-8", "replace")


def _read_folders(corpora: "list[Corpus]") -> None:
    """Fails for a folder without documents, whose report would look as if they did not answer."""
    from assets.research.corpora.folder import FolderCorpus
    from assets.research.corpora.protocol import CorpusUnavailable

    try:
        for one in corpora:
            if isinstance(one, FolderCorpus):
                one.index()
    except CorpusUnavailable as error:
        raise CommandFailed(str(error)) from error


def _embedder() -> "Embedder":
    from core.embedding import open_embedder
    from core.settings import load_settings

    settings = load_settings()
    return open_embedder(settings.embedding_model, settings.models_folder)


def _writer(model: str | None) -> "Writer | None":
    if model is None:
        return None
    from assets.research.engines.answer import Writer
    from core.chat import UnknownChatModel, open_chat
    from core.settings import load_settings

    settings = load_settings()
    try:
        return Writer(open_chat(model, settings.models_folder), settings.chat_tokens, settings.chat_money)
    except UnknownChatModel as error:
        raise CommandFailed(str(error)) from error


def _open(stack: ExitStack, name: str, embedder: "Embedder", team: str | None) -> "Corpus":
    from assets.research.corpora.folder import FolderCorpus
    from assets.research.flow.open_corpora import REMOTE, kept_indexes, open_remote
    from core.settings import load_settings

    path = Path(name)
    if path.is_dir():
        kept = kept_indexes(load_settings())
        return FolderCorpus(path.resolve().name, path.resolve(), embedder, kept=kept)
    if name in REMOTE:
        return open_remote(name, load_settings(), embedder)
    if "/" in name or name.startswith("."):
        raise CommandFailed(f"{name} is not a folder")
    from assets.context.source.sources import SourceError, find_source
    from assets.research.corpora.context_index import IndexCorpus
    from core.embedding.serving import Models
    from dagster_project.cli.task import opened

    database = stack.enter_context(opened())
    here = team_of(database, team)
    try:
        source = find_source(database, here, name)
    except SourceError as error:
        raise CommandFailed(f"{name} is neither a folder nor an indexed source: {error}") from error
    used = Models(database, load_settings()).in_use()
    return IndexCorpus(database, here, source.name, used.asked, used.draining)

"""Opens what a question searches: configured folders, indexed sources of its team, and the team's memory."""

import threading
import uuid
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from assets.platform import Platform
from assets.research.corpora.folder import FolderCorpus, files_below
from assets.research.corpora.kept_index import mark
from assets.research.corpora.protocol import Corpus, CorpusUnavailable
from assets.research.engines.answer import Writer
from assets.research.flow.steps import Question
from assets.research.flow.work import Workshop
from core.embedding import Embedder
from core.settings import Settings
from core.teams import DEFAULT_TEAM

_MOST_KEPT = 8


REMOTE = ("web", "crossref", "arxiv")


def allowed_remote(settings: Settings) -> tuple[str, ...]:
    """The remote corpora that the settings allow."""
    web = ("web",) if settings.research_web is not None else ()
    return web + (REMOTE[1:] if settings.research_scholarly else ())


def open_remote(name: str, settings: Settings, embedder: Embedder) -> Corpus:
    """Raises `CorpusUnavailable` for one that the settings do not allow."""
    from assets.research.corpora.fetching import Fetcher
    from assets.research.corpora.scholarly import ArxivCorpus, CrossrefCorpus
    from assets.research.corpora.web import WebCorpus
    from assets.research.corpora.web_search import WebSearch

    if name not in allowed_remote(settings) or (name == "web" and settings.research_web is None):
        raise CorpusUnavailable(f"{name} is not among what research may search: see PENSTOCK_RESEARCH_WEB")
    if name == "web" and settings.research_web is not None:
        key = settings.research_web_key
        web = WebSearch(
            settings.research_web, settings.research_web_address, lambda: key.get_secret_value() if key else None
        )
        return WebCorpus(web, Fetcher(), embedder)
    return CrossrefCorpus(embedder) if name == "crossref" else ArxivCorpus(embedder)


class Corpora:
    """The corpora of one process. Folders stay in memory as long as none of their files has changed."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._folders: dict[str, tuple[str, FolderCorpus]] = {}
        self._lock = threading.Lock()

    @property
    def embedder(self) -> Embedder:
        return self._platform.models.in_use().asked[0]

    def writer(self) -> Writer | None:
        """The chat model of the settings; None without one."""
        settings = self._platform.settings
        if settings.chat_model is None:
            return None
        from core.chat import open_chat

        chat = open_chat(settings.chat_model, settings.models_folder)
        return Writer(chat, settings.chat_tokens, settings.chat_money, min(120.0, settings.research_seconds))

    def workshop(self) -> Workshop:
        """What this process needs to do steps."""
        platform = self._platform
        seconds = platform.settings.lease_seconds * 2 + 120.0 * (platform.settings.chat_model is not None)
        return Workshop(platform.database, platform.log, self.open, self.embedder, seconds, self.writer)

    def names(self, team_id: uuid.UUID, source: str, wanted: Sequence[str]) -> tuple[list[str], list[str]]:
        """What a question searches, and notes about what it cannot: the wanted corpora, else its source."""
        known = self._folders_of(team_id)
        found, notes = [], []
        for name in dict.fromkeys(wanted or [source]):
            if name in known or self._is_source(team_id, name) or name in allowed_remote(self._platform.settings):
                found.append(name)
            else:
                notes.append(f"{name} is no corpus of this team and was not searched.")
        return found, notes

    def open(self, one: Question) -> Sequence[Corpus]:
        """The corpora of a question. Raises `EmbedderUnavailable`."""
        folders = self._folders_of(one.team_id)
        found: list[Corpus] = []
        for name in one.corpora:
            if name in REMOTE and name not in folders:
                found.append(open_remote(name, self._platform.settings, self.embedder))
            else:
                found.append(self._folder(name, folders[name]) if name in folders else self._source(one.team_id, name))
        return found

    def _folders_of(self, team_id: uuid.UUID) -> dict[str, Path]:
        return dict(self._platform.settings.research_folders) if team_id == DEFAULT_TEAM else {}

    def _is_source(self, team_id: uuid.UUID, name: str) -> bool:
        with self._platform.database.team(team_id) as connection:
            return connection.execute("SELECT FROM sources WHERE name = %s", (name,)).fetchone() is not None

    def _source(self, team_id: uuid.UUID, name: str) -> Corpus:
        from assets.research.corpora.context_index import IndexCorpus

        used = self._platform.models.in_use()
        return IndexCorpus(self._platform.database, team_id, name, used.asked, used.draining)

    def _folder(self, name: str, root: Path) -> FolderCorpus:
        with self._lock:
            state = mark(name, root, files_below(root), self.embedder)
            kept = self._folders.get(name)
            if kept is None or kept[0] != state:
                while len(self._folders) >= _MOST_KEPT:
                    self._folders.pop(next(iter(self._folders)))
                kept = (state, FolderCorpus(name, root, self.embedder, kept=kept_indexes(self._platform.settings)))
                self._folders[name] = kept
            with suppress(CorpusUnavailable):  # which its search then says
                kept[1].index()
            return kept[1]


def kept_indexes(settings: Settings) -> Path:
    """Where indexes of folders are kept between processes."""
    return settings.home / "research" / "indexes"

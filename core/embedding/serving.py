"""The models in use, opened from the catalogue: which ones embed new content, and which ones searches query.

Each read of the catalogue is one short query, so that a cut-over takes effect with the next search. Opened models
are cached, since loading one takes longer.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from core.database import Database
from core.embedding import Embedder, EmbedderUnavailable, catalogue, find_spec
from core.embedding.catalogue import Entry
from core.settings import Settings
from core.states import ModelState


@dataclass(frozen=True, slots=True)
class InUse:
    """`asked` answer queries and get vectors of new content, the preferred one first; `building` only get vectors;
    `draining` get none, and are queried where none of `asked` covers everything."""

    asked: tuple[Embedder, ...]
    building: tuple[Embedder, ...]
    draining: tuple[Embedder, ...]


@dataclass(frozen=True, slots=True)
class Unopened:
    """An embedder in place of a model that cannot be opened. It fails like one whose server does not answer, so that
    callers treat both alike."""

    identity: str
    dimensions: int
    reason: str
    max_tokens: int = 0

    def embed_documents(self, texts: Sequence[str]) -> NoReturn:
        raise EmbedderUnavailable(self.reason)

    def embed_query(self, text: str) -> NoReturn:
        raise EmbedderUnavailable(self.reason)


class Models:
    """Opens the catalogue's models for one process. If no model is serving, it registers the one in the settings."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings
        self._opened: dict[tuple[int, str], Embedder] = {}
        self._lock = threading.Lock()

    def in_use(self) -> InUse:
        """Raises `EmbedderUnavailable` if no model is serving and the one in the settings cannot be opened."""
        with self._database.system() as connection:
            found = catalogue.entries(connection)
        if not any(entry.state == ModelState.SERVING for entry in found):
            self._start_with_default()
            with self._database.system() as connection:
                found = catalogue.entries(connection)
        return InUse(
            *(
                tuple(self._open_or_replace(entry) for entry in found if entry.state == state)
                for state in (ModelState.SERVING, ModelState.BUILDING, ModelState.DRAINING)
            )
        )

    def _open_or_replace(self, entry: Entry) -> Embedder:
        try:
            return self.open(entry)
        except RuntimeError as error:  # EmbedderUnavailable, and what a library raises for a broken file
            return Unopened(entry.identity, entry.dimensions, f"{entry.name} cannot be opened: {error}")

    def open(self, entry: Entry) -> Embedder:
        """The entry's model, opened once per process. Raises `EmbedderUnavailable`."""
        key = (entry.id, repr(entry.spec))
        with self._lock:
            if key not in self._opened:
                self._opened[key] = catalogue.opened(entry, threads=self._settings.embedding_threads)
            return self._opened[key]

    def _start_with_default(self) -> None:
        settings = self._settings
        spec = find_spec(settings.embedding_model, settings.models_folder)
        entry = catalogue.register(self._database, spec, threads=settings.embedding_threads)
        with self._database.system() as connection:
            catalogue.lock(connection)
            if not any(other.state == ModelState.SERVING for other in catalogue.entries(connection)):
                catalogue.move(connection, entry.id, ModelState.SERVING)

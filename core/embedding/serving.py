"""The models in use, opened from the catalogue: those that embed new content, and those that answer queries.

The catalogue is read for each use, by one short query, so that a cutover takes effect with the next search. Opened
models are cached, since loading one takes longer.
"""

import threading
from dataclasses import dataclass

from core.database import Database
from core.embedding import Embedder, catalogue, find_spec
from core.embedding.catalogue import Entry
from core.settings import Settings
from core.states import ModelState


@dataclass(frozen=True, slots=True)
class InUse:
    """`asked` models answer queries and embed new content, the preferred one first; `building` models only embed new
    content; `draining` models do not. `broken` holds names of models that cannot be opened, with the reasons."""

    asked: tuple[Embedder, ...]
    building: tuple[Embedder, ...]
    draining: tuple[Embedder, ...]
    broken: tuple[tuple[str, str], ...] = ()

    @property
    def fallback(self) -> tuple[Embedder, ...]:
        """Models for queries about sources that no model in `asked` covers completely."""
        return (*self.draining, *self.building)


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
        by_state: dict[str, list[Embedder]] = {}
        broken: list[tuple[str, str]] = []
        for entry in found:
            if entry.state not in (ModelState.SERVING, ModelState.BUILDING, ModelState.DRAINING):
                continue
            try:
                by_state.setdefault(entry.state, []).append(self.open(entry))
            except RuntimeError as error:  # EmbedderUnavailable, or a library's own error for a broken file
                broken.append((entry.name, str(error)))
        return InUse(
            tuple(by_state.get(ModelState.SERVING, ())),
            tuple(by_state.get(ModelState.BUILDING, ())),
            tuple(by_state.get(ModelState.DRAINING, ())),
            tuple(broken),
        )

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

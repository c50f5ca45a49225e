"""The models in use, opened from the catalogue: which embed new content, and which are asked.

Each read of the catalogue is one short query, so that a cut over takes effect with the next search; what
was opened is kept, since loading a model takes longer.
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
    """`asked` answer queries and get new content's vectors, the preferred one first; `building` get the vectors only;
    `draining` get none. `broken` tells why one cannot be opened."""

    asked: tuple[Embedder, ...]
    building: tuple[Embedder, ...]
    draining: tuple[Embedder, ...]
    broken: tuple[tuple[str, str], ...] = ()

    @property
    def fallback(self) -> tuple[Embedder, ...]:
        """To be asked where none of `asked` covers everything."""
        return (*self.draining, *self.building)


class Models:
    """Opens the catalogue's models for one process. The first start registers the model that the settings name."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings
        self._opened: dict[tuple[int, str], Embedder] = {}
        self._lock = threading.Lock()

    def in_use(self) -> InUse:
        """Raises `EmbedderUnavailable` when the model of a first start cannot be opened."""
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
            except RuntimeError as error:  # EmbedderUnavailable, and what a library raises for a broken file
                broken.append((entry.name, str(error)))
        return InUse(
            tuple(by_state.get(ModelState.SERVING, ())),
            tuple(by_state.get(ModelState.BUILDING, ())),
            tuple(by_state.get(ModelState.DRAINING, ())),
            tuple(broken),
        )

    def open(self, entry: Entry) -> Embedder:
        """The entry's model, opened once a process. Raises `EmbedderUnavailable`."""
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
            connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('penstock embedding models', 0))")
            if not any(other.state == ModelState.SERVING for other in catalogue.entries(connection)):
                catalogue.move(connection, entry.id, ModelState.SERVING)

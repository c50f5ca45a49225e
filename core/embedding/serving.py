"""The models in use, opened from the catalogue: which embed new content, which are asked, which stand in.

Each read of the catalogue is one short query, so that a cut over takes effect with the next search; what
was opened is kept, since loading a model takes longer.
"""

import logging
import threading
from dataclasses import dataclass

from psycopg import Connection
from psycopg.rows import TupleRow

from core.database import Database
from core.embedding import Embedder, adapter, catalogue, find_spec
from core.embedding.adapter import LinearMap, Use
from core.embedding.catalogue import Entry
from core.embedding.stand_in import StandIn
from core.settings import Settings
from core.states import ModelState

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class InUse:
    """`asked` answer queries and get new content's vectors, the preferred one first; `building` get the vectors only;
    `draining` get none. `broken` tells why one cannot be opened. One of `asked` may be a `StandIn`, by which the model
    that is built answers queries while its server is away."""

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
        self._maps: dict[int, LinearMap | None] = {}
        self._lock = threading.Lock()

    def in_use(self) -> InUse:
        """Raises `EmbedderUnavailable` when the model of a first start cannot be opened."""
        with self._database.system() as connection:
            found, standing = _read(connection)
        if not any(entry.state == ModelState.SERVING for entry in found):
            self._start_with_default()
            with self._database.system() as connection:
                found, standing = _read(connection)
        by_state: dict[str, list[Embedder]] = {}
        broken: list[tuple[str, str]] = []
        names = {entry.id: entry for entry in found}
        for entry in found:
            if entry.state not in (ModelState.SERVING, ModelState.BUILDING, ModelState.DRAINING):
                continue
            model, problem = None, ""
            try:
                model = self.open(entry)
            except RuntimeError as error:  # EmbedderUnavailable, and what a library raises for a broken file
                problem = str(error)
                broken.append((entry.name, problem))
            for number, old, new, use in standing:
                if old == entry.id and use != Use.NOTHING and entry.state == ModelState.SERVING:
                    model = self._stand_in(entry, model, names[new], number, use, problem) or model
            if model is not None:
                by_state.setdefault(entry.state, []).append(model)
        return InUse(
            tuple(by_state.get(ModelState.SERVING, ())),
            tuple(by_state.get(ModelState.BUILDING, ())),
            tuple(by_state.get(ModelState.DRAINING, ())),
            tuple(broken),
        )

    def _stand_in(
        self, old: Entry, inner: Embedder | None, new: Entry, number: int, use: Use, problem: str
    ) -> Embedder | None:
        """What answers the old model's queries while it is away; None when that cannot be used either."""
        try:
            other = self.open(new)
            if use == Use.ADAPTER and number not in self._maps:
                with self._database.system() as connection:
                    self._maps = {number: adapter.read_map(connection, number)}
            learned = self._maps.get(number) if use == Use.ADAPTER else None
            if use == Use.ADAPTER and learned is None:
                return None  # a newer version has taken its place; the next search reads that
            return StandIn(old.identity, old.dimensions, inner, other, new.name, learned, problem)
        except (RuntimeError, ValueError) as error:
            _log.warning("nothing can stand in for %s: %s", old.name, error)
            return None

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


def _read(connection: Connection[TupleRow]) -> tuple[list[Entry], list[tuple[int, int, int, Use]]]:
    """Every model, and what stands in for serving ones while others are built."""
    found = catalogue.entries(connection)
    serving = [entry.id for entry in found if entry.state == ModelState.SERVING]
    building = [entry.id for entry in found if entry.state == ModelState.BUILDING]
    return found, adapter.in_force(connection, serving, building)

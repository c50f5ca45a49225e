"""The context index as a corpus: the code and documents of a source, and its tickets.

What a search finds there is cut into passages as it is, with its lines; tickets keep their author's trust.
"""

import uuid
from collections.abc import Iterable, Mapping, Sequence

from assets.context.search import context_pack
from assets.context.store.postgres import NotIndexed
from assets.context.tickets.search import search_tickets
from assets.context.tickets.similar import ticket_quotes
from assets.research.corpora.passages import passages_of
from assets.research.corpora.protocol import CorpusUnavailable, SourceGone
from assets.research.corpora.reading import kind_of, read
from assets.research.records import Block, Document, Found, Passage, Trust, text_hash
from core.database import Database
from core.embedding import Embedder, EmbedderUnavailable

_TOKENS = 12_000
_TICKETS = 10


class IndexCorpus:
    """A source of a team. `embedders` are the models that searches of the index ask."""

    def __init__(
        self,
        database: Database,
        team_id: uuid.UUID,
        source: str,
        embedders: Sequence[Embedder] = (),
        fallback: Sequence[Embedder] = (),
    ) -> None:
        self._database = database
        self._team = team_id
        self._source = source
        self._embedders = embedders
        self._fallback = fallback

    @property
    def name(self) -> str:
        return self._source

    @property
    def documents(self) -> int:
        with self._database.team(self._team) as connection:
            row = connection.execute(
                "SELECT v.files FROM source_indexes i JOIN index_versions v USING (team_id, source, version) "
                "WHERE i.source = %s",
                (self._source,),
            ).fetchone()
        return int(row[0]) if row else 0

    def search(self, query: str, limit: int) -> Sequence[Found]:
        try:
            pack = context_pack(
                self._database,
                self._team,
                self._source,
                query,
                _TOKENS,
                embedders=self._embedders,
                fallback=self._fallback,
            )
            hits = search_tickets(self._database, self._team, self._source, query, _TICKETS, embedders=self._embedders)
        except (NotIndexed, EmbedderUnavailable) as error:
            raise CorpusUnavailable(str(error)) from error
        found: list[Passage] = []
        for span in pack.spans:
            text = "\n".join(line for _, line in span.lines).strip()
            if kind := kind_of(span.path):  # a document, and not code: without its markup
                found += self._read(text, kind, span.path, span.start_line, span.commit)
            elif any(char.isalnum() for char in text):
                place = f"lines {span.start_line}-{span.end_line} at {span.commit[:12]}"
                found.append(self._passage(text, span.path, place, ", ".join(span.symbols[:4]), Trust.OWN))
        for quote in ticket_quotes(hits):
            title, _, text = quote.text.partition("\n")
            trust = Trust.OWN if quote.trust == "repository" else Trust.PUBLIC
            found.append(self._passage(text.strip() or title, quote.url or quote.key, quote.key, title, trust))
        return [Found(passage, 1 / (rank + 1)) for rank, passage in enumerate(found[:limit])]

    def _read(self, text: str, kind: str, path: str, line: int, commit: str) -> list[Passage]:
        document = read(text.encode("utf-8", "replace"), kind, path, Trust.OWN)
        return [
            p.model_copy(
                update={"place": f"line {line + int(p.place.removeprefix('line ') or 1) - 1} at {commit[:12]}"}
            )
            for p in passages_of(document, self._source)
        ]

    def _passage(self, text: str, address: str, place: str, heading: str, trust: Trust) -> Passage:
        return Passage(
            hash=text_hash(text),
            text=text,
            heading=heading[:300],
            address=address[:2000],
            place=place,
            title=address.rpartition("/")[2][:300],
            trust=trust,
            corpus=self._source,
        )

    def fetch(self, address: str) -> Document:
        for found in self.search(address, 40):
            if found.passage.address == address:
                p = found.passage
                return Document(address, p.title, (Block(p.text, p.heading),), p.date, p.licence, p.trust)
        raise SourceGone(f"{self._source} has nothing at {address}")

    def rarity(self, terms: Iterable[str]) -> Mapping[str, float]:
        return {}

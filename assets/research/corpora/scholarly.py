"""Scholarly works by their abstracts: Crossref and arXiv.

Crossref: https://api.crossref.org/swagger-ui/index.html; arXiv: https://info.arxiv.org/help/api/user-manual.html.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from assets.research.corpora.index import PassageIndex
from assets.research.corpora.passages import passages_of
from assets.research.corpora.protocol import CorpusUnavailable, SourceGone
from assets.research.corpora.reading import read_atom
from assets.research.records import Block, Document, Found, Trust
from core.embedding import Embedder
from core.http import Limits, Service, ServiceUnavailable

CROSSREF, ARXIV = "https://api.crossref.org", "https://export.arxiv.org"
_ROWS = 20
_JSON = Limits(seconds=15.0, retries=2, most_bytes=8 << 20)
_XML = Limits(seconds=15.0, retries=2, most_bytes=8 << 20, json=False)
_TAG = re.compile(r"<[^<>]{0,200}>")


class _Loose(BaseModel):
    model_config = ConfigDict(extra="ignore")


class _Issued(_Loose):
    date_parts: list[list[int | None]] = Field(default_factory=list, alias="date-parts")


class _Licence(_Loose):
    URL: str = ""


class _Work(_Loose):
    DOI: str
    title: list[str] = Field(default_factory=list)
    abstract: str | None = None
    issued: _Issued | None = None
    license: list[_Licence] = Field(default_factory=list)


class _Items(_Loose):
    items: list[_Work] = Field(default_factory=list)


class _Crossref(_Loose):
    message: _Items


class _Scholarly:
    """What both have in common: abstracts, ranked here."""

    remote = True
    name = ""

    def __init__(self, base: str, embedder: Embedder | None) -> None:
        self._service = Service(base, remedy="is the service up?")
        self._embedder = embedder

    @property
    def documents(self) -> int:
        return 0

    def search(self, query: str, limit: int) -> Sequence[Found]:
        try:
            found = self._works(query[:400])
        except ServiceUnavailable as error:
            raise CorpusUnavailable(f"{self.name}: {error}") from error
        except ValidationError as error:
            raise CorpusUnavailable(f"{self.name} answered in another form: {error.error_count()} fields") from error
        passages = [passage for document in found for passage in passages_of(document, self.name)]
        return PassageIndex(passages, self._embedder).search(query, limit) if passages else []

    def fetch(self, address: str) -> Document:
        for document in self._works(address):
            if document.address == address:
                return document
        raise SourceGone(f"{self.name} has no {address}")

    def rarity(self, terms: Iterable[str]) -> Mapping[str, float]:
        return {}

    def _works(self, query: str) -> list[Document]:
        raise NotImplementedError


class CrossrefCorpus(_Scholarly):
    """Works that publishers have registered, as far as they have an abstract there."""

    name = "crossref"

    def __init__(self, embedder: Embedder | None, base: str = CROSSREF) -> None:
        super().__init__(base, embedder)

    def _works(self, query: str) -> list[Document]:
        fields = {"query": query, "rows": str(_ROWS), "select": "DOI,title,abstract,issued,license"}
        raw = self._service.json("GET", f"/works?{urlencode(fields)}", limits=_JSON)
        return [_document(work) for work in _Crossref.model_validate(raw).message.items if work.abstract]


def _document(work: _Work) -> Document:
    title = " ".join(" ".join(work.title).split()) or work.DOI
    text = " ".join(_TAG.sub(" ", work.abstract or "").split())
    parts = (work.issued.date_parts or [[]])[0] if work.issued else []
    date = "-".join(f"{part:02d}" for part in parts if part)
    licence = work.license[0].URL if work.license else ""
    return Document(f"https://doi.org/{work.DOI}", title, (Block(text, title),), date, licence, Trust.SCHOLARLY)


class ArxivCorpus(_Scholarly):
    """Preprints at arXiv. Its answers are XML, which is parsed in the reading process."""

    name = "arxiv"

    def __init__(self, embedder: Embedder | None, base: str = ARXIV) -> None:
        super().__init__(base, embedder)

    def _works(self, query: str) -> list[Document]:
        words = " AND ".join(f"all:{word}" for word in re.findall(r"[\w-]{3,}", query)[:8]) or query
        fields = {"search_query": words, "max_results": str(_ROWS)}
        answer = self._service.answer("GET", f"/api/query?{urlencode(fields)}", limits=_XML)
        return [
            Document(
                entry["id"], entry["title"], (Block(entry["summary"], entry["title"]),), entry["published"][:10],
                entry.get("licence", ""), Trust.SCHOLARLY,
            )
            for entry in read_atom(answer.content)
        ]  # fmt: skip

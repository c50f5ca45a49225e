"""The web as a corpus: an API searches, the first pages are fetched, and their passages are ranked here.

A page that cannot be fetched is left out, and the excerpt that the API gave stands for it.
"""

from collections.abc import Iterable, Mapping, Sequence

from assets.research.corpora.fetching import Fetcher
from assets.research.corpora.index import PassageIndex
from assets.research.corpora.passages import passages_of
from assets.research.corpora.protocol import CorpusUnavailable, SourceGone
from assets.research.corpora.web_search import Hit, WebSearch
from assets.research.records import Block, Document, Found, Passage, Trust
from core.embedding import Embedder

PAGES = 6


class WebCorpus:
    """Public pages: anybody can have written them."""

    remote = True

    def __init__(self, web: WebSearch, fetcher: Fetcher, embedder: Embedder | None, pages: int = PAGES) -> None:
        self._web, self._fetcher, self._embedder, self._pages = web, fetcher, embedder, pages
        self.problems: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return "web"

    @property
    def documents(self) -> int:
        return 0

    def search(self, query: str, limit: int) -> Sequence[Found]:
        passages: list[Passage] = []
        problems = []
        for hit in self._web.search(query)[: self._pages]:
            try:
                document = self._fetcher.document(hit.address)
                if document.problem and not document.blocks:
                    problems.append(f"{hit.address}: {document.problem}")
                    document = _excerpt(hit)
            except (CorpusUnavailable, SourceGone) as error:
                problems.append(str(error))
                document = _excerpt(hit)
            passages += passages_of(document, self.name)
        self.problems = tuple(problems)
        return PassageIndex(passages, self._embedder).search(query, limit) if passages else []

    def fetch(self, address: str) -> Document:
        return self._fetcher.document(address)

    def rarity(self, terms: Iterable[str]) -> Mapping[str, float]:
        return {}


def _excerpt(hit: Hit) -> Document:
    return Document(hit.address, hit.title or hit.address, (Block(hit.text, hit.title),), hit.date, trust=Trust.PUBLIC)

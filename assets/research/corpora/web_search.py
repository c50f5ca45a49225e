"""Web search through a configured API: SearXNG, Brave and Tavily behind one function each.

SearXNG: https://docs.searxng.org/dev/search_api; Brave: https://api-dashboard.search.brave.com/app/documentation;
Tavily: https://docs.tavily.com/documentation/api-reference/endpoint/search.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from assets.research.corpora.protocol import CorpusUnavailable
from core.http import Limits, Service, ServiceUnavailable

Engine = Literal["searxng", "brave", "tavily"]
ADDRESSES: dict[str, str] = {"brave": "https://api.search.brave.com", "tavily": "https://api.tavily.com"}
MOST_HITS = 10
_QUERY = 400
_LIMITS = Limits(seconds=10.0, retries=2, most_bytes=4 << 20)


class Hit(BaseModel):
    """A result: `text` is the excerpt that the API gives."""

    model_config = ConfigDict(frozen=True)

    address: str
    title: str = ""
    text: str = ""
    date: str = ""


class _Answer(BaseModel):
    model_config = ConfigDict(extra="ignore")


class _SearxngResult(_Answer):
    url: str
    title: str = ""
    content: str | None = None
    publishedDate: str | None = None


class _Searxng(_Answer):
    results: list[_SearxngResult]


class _BraveResult(_Answer):
    url: str
    title: str = ""
    description: str | None = None
    page_age: str | None = None


class _BraveWeb(_Answer):
    results: list[_BraveResult] = Field(default_factory=list)


class _Brave(_Answer):
    web: _BraveWeb | None = None


class _TavilyResult(_Answer):
    url: str
    title: str = ""
    content: str | None = None
    published_date: str | None = None


class _Tavily(_Answer):
    results: list[_TavilyResult]


class WebSearch:
    """One of the APIs. `key` is read for each request and appears in no message."""

    def __init__(self, engine: Engine, address: str | None, key: Callable[[], str | None]) -> None:
        base = address or ADDRESSES.get(engine)
        if base is None:
            raise CorpusUnavailable("set the address of the SearXNG server: PENSTOCK_RESEARCH_WEB_ADDRESS")
        self.engine = engine
        self._key = key
        self._service = Service(base, headers=self._headers, remedy="is the search service up, and its key right?")

    def _headers(self) -> Mapping[str, str]:
        key = self._key()
        if self.engine == "searxng" or key is None:
            return {"Accept": "application/json"}
        name, value = ("X-Subscription-Token", key) if self.engine == "brave" else ("Authorization", f"Bearer {key}")
        return {"Accept": "application/json", name: value}

    def search(self, query: str, limit: int = MOST_HITS) -> list[Hit]:
        """Raises `CorpusUnavailable`."""
        query, limit = query[:_QUERY], min(limit, MOST_HITS)
        try:
            found = self._asked(query, limit)
        except ServiceUnavailable as error:
            raise CorpusUnavailable(f"web search by {self.engine}: {error}") from error
        except ValidationError as error:
            wrong = ", ".join(".".join(map(str, one["loc"])) for one in error.errors()[:3])
            raise CorpusUnavailable(f"web search by {self.engine} answered in another form: {wrong}") from error
        return [hit for hit in found if hit.address.startswith(("https://", "http://"))][:limit]

    def _asked(self, query: str, limit: int) -> Sequence[Hit]:
        if self.engine == "searxng":
            raw = self._get("/search", q=query, format="json")
            return [_hit(r.url, r.title, r.content, r.publishedDate) for r in _Searxng.model_validate(raw).results]
        if self.engine == "brave":
            raw = self._get("/res/v1/web/search", q=query, count=str(limit))
            web = _Brave.model_validate(raw).web
            return [_hit(r.url, r.title, r.description, r.page_age) for r in (web.results if web else ())]
        body = {"query": query, "max_results": limit}
        answer = _Tavily.model_validate(self._service.json("POST", "/search", body, limits=_LIMITS))
        return [_hit(r.url, r.title, r.content, r.published_date) for r in answer.results]

    def _get(self, path: str, **fields: str) -> Any:
        return self._service.json("GET", f"{path}?{urlencode(fields)}", limits=_LIMITS)


def _hit(address: str, title: str, text: str | None, date: str | None) -> Hit:
    return Hit(address=address[:2000], title=title[:300], text=(text or "")[:4000], date=(date or "")[:10])

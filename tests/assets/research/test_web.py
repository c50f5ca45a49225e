"""Pages and search APIs: what is fetched and what is refused, against a server on loopback."""

import gzip
import json
import socket
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from assets.research.corpora import fetching
from assets.research.corpora.fetching import Fetcher
from assets.research.corpora.protocol import CorpusUnavailable, SourceGone
from assets.research.corpora.scholarly import ArxivCorpus, CrossrefCorpus
from assets.research.corpora.web import WebCorpus
from assets.research.corpora.web_search import WebSearch
from assets.research.records import Trust
from core.http.addresses import public_addresses

PAGE = b"<html><title>Dam</title><nav>menu</nav><p>The Oster dam is 84 metres high.</p></html>"


class Site:
    """Answers by path: bytes with a type, a redirect, or a function of the handler."""

    def __init__(self) -> None:
        self.paths: dict[str, Any] = {}
        self.asked: list[tuple[str, dict[str, str], bytes]] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                size = int(self.headers.get("Content-Length") or 0)
                site.asked.append((self.path, dict(self.headers), self.rfile.read(size)))
                found = site.paths.get(self.path.partition("?")[0])
                if callable(found):
                    found(self)
                elif isinstance(found, str):
                    self.send_response(302)
                    self.send_header("Location", found)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                elif found is None:
                    self.send_error(404)
                else:
                    content, kind = found
                    self.send_response(200)
                    self.send_header("Content-Type", kind)
                    self.send_header("Content-Length", str(len(content)))
                    self.end_headers()
                    self.wfile.write(content)

            do_POST = do_GET

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.port = self.server.server_address[1]
        self.url = f"http://dam.example:{self.port}"
        self.api = f"http://127.0.0.1:{self.port}"

    def fetcher(self) -> Fetcher:
        """Takes `*.example` for this server, and checks every other name as usual."""

        def resolve(host: str, port: int) -> list[str]:
            return ["127.0.0.1"] if host.endswith(".example") else public_addresses(host, port)

        return Fetcher(resolve)


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_a_page_is_what_a_reader_sees_from_the_address_that_was_checked(site: Site) -> None:
    site.paths["/dam"] = (PAGE, "text/html; charset=utf-8")
    found = site.fetcher().document(f"{site.url}/dam?q=1#part")
    assert [block.text for block in found.blocks] == ["The Oster dam is 84 metres high."]
    assert (found.title, found.trust) == ("Dam", Trust.PUBLIC)
    assert site.asked[-1][1]["Host"] == f"dam.example:{site.port}" and "Cookie" not in site.asked[-1][1]


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:1/", "http://localhost/", "http://[::1]/", "http://169.254.169.254/latest/meta-data",
        "http://10.0.0.1/", "http://[::ffff:127.0.0.1]/", "http://0/", "http://2130706433/",
    ],
)  # fmt: skip
def test_a_private_address_is_refused(site: Site, address: str) -> None:
    with pytest.raises(CorpusUnavailable, match=r"not a public address|cannot be resolved"):
        site.fetcher().fetch(address)


@pytest.mark.parametrize(
    "address", ["file:///etc/passwd", "ftp://a.example/", "http://u:p@a.example/", "http://", "x", "http://[/"]
)
def test_what_is_no_address_of_a_page_is_refused(site: Site, address: str) -> None:
    with pytest.raises(CorpusUnavailable, match=r"no address|not an address"):
        site.fetcher().fetch(address)


def test_a_redirect_to_a_private_address_is_refused(site: Site) -> None:
    site.paths["/out"] = f"http://127.0.0.1:{site.port}/secret"
    site.paths["/secret"] = (b"secret", "text/plain")
    with pytest.raises(CorpusUnavailable, match="not a public address"):
        site.fetcher().fetch(f"{site.url}/out")
    assert not any(path == "/secret" for path, _, _ in site.asked)


def test_a_name_that_leads_elsewhere_the_second_time_is_not_looked_up_again(site: Site) -> None:
    site.paths["/dam"] = (PAGE, "text/html")
    asked: list[str] = []

    def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"]

    Fetcher(resolve).fetch(f"{site.url}/dam")
    assert asked == ["dam.example", "dam.example"]  # for robots.txt and for the page, each connected as checked


def test_a_redirect_loop_ends(site: Site) -> None:
    site.paths["/a"], site.paths["/b"] = "/b", "/a"
    with pytest.raises(CorpusUnavailable, match="more than 5 redirects"):
        site.fetcher().fetch(f"{site.url}/a")


def test_a_page_of_200_megabytes_is_cut_off(site: Site) -> None:
    def endless(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "text/html")
        handler.end_headers()
        try:
            for _ in range(200):
                handler.wfile.write(b"x" * (1 << 20))
        except OSError:
            sent.append("cut")

    sent: list[str] = []
    site.paths["/huge"] = endless
    with pytest.raises(CorpusUnavailable, match="larger than"):
        site.fetcher().fetch(f"{site.url}/huge")
    until = time.monotonic() + 10
    while not sent and time.monotonic() < until:
        time.sleep(0.05)
    assert sent == ["cut"]


def test_a_server_that_drips_is_given_up(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "_SECONDS", 1.0)

    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "text/html")
        handler.end_headers()
        try:
            for _ in range(100):
                handler.wfile.write(b"x" * (1 << 16))
                time.sleep(0.3)
        except OSError:
            return

    site.paths["/slow"] = drip
    began = time.monotonic()
    with pytest.raises(CorpusUnavailable, match="no whole answer"):
        site.fetcher().fetch(f"{site.url}/slow")
    assert time.monotonic() - began < 5


def test_a_server_whose_headers_drip_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "_SECONDS", 0.7)
    ended = threading.Event()

    def drip(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 200 OK\r\n")
            while not ended.wait(0.1):
                try:
                    connection.sendall(b"X-More: 1\r\n")
                except OSError:
                    return

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=drip, args=(server,), daemon=True).start()
        try:
            with pytest.raises(CorpusUnavailable, match="no whole answer"):
                Fetcher(lambda host, port: ["127.0.0.1"]).fetch(f"http://a.example:{server.getsockname()[1]}/")
        finally:
            ended.set()


def packed(content: bytes, encoding: str) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        for name, value in (("Content-Type", "text/html"), ("Content-Encoding", encoding)):
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(content)

    return answer


def test_a_compressed_page_is_read_within_the_same_bounds(site: Site) -> None:
    site.paths["/dam"], site.paths["/bomb"] = (packed(gzip.compress(x), "gzip") for x in (PAGE, bytes(64 << 20)))
    site.paths["/br"], site.paths["/false"] = packed(PAGE, "br"), packed(PAGE, "gzip")
    assert site.fetcher().fetch(f"{site.url}/dam").content == PAGE
    tracemalloc.start()
    try:
        with pytest.raises(CorpusUnavailable, match="larger than"):
            site.fetcher().fetch(f"{site.url}/bomb")
        assert tracemalloc.get_traced_memory()[1] < 6 * fetching.MOST_BYTES
    finally:
        tracemalloc.stop()
    with pytest.raises(CorpusUnavailable, match="not asked for"):
        site.fetcher().fetch(f"{site.url}/br")
    with pytest.raises(CorpusUnavailable, match="not compressed as it says"):
        site.fetcher().fetch(f"{site.url}/false")


def test_a_site_whose_robots_cannot_be_had_is_not_read(site: Site) -> None:
    site.paths["/dam"] = (PAGE, "text/html")
    site.paths["/robots.txt"] = lambda handler: handler.send_error(503)
    with pytest.raises(CorpusUnavailable, match="answered 503"):
        site.fetcher().fetch(f"{site.url}/dam")
    site.paths["/robots.txt"] = lambda handler: handler.send_error(403)
    assert site.fetcher().fetch(f"{site.url}/dam").content == PAGE


def test_a_server_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "_READ_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(CorpusUnavailable, match="Timeout"):
        Fetcher(lambda host, port: ["127.0.0.1"]).fetch(f"http://a.example:{silent.getsockname()[1]}/")


def test_robots_are_respected_and_their_absence_allows(site: Site) -> None:
    site.paths["/robots.txt"] = (b"User-agent: *\nDisallow: /private\n", "text/plain")
    site.paths["/private/dam"] = site.paths["/dam"] = (PAGE, "text/html")
    with pytest.raises(CorpusUnavailable, match="robots"):
        site.fetcher().fetch(f"{site.url}/private/dam")
    assert not any(path == "/private/dam" for path, _, _ in site.asked)
    assert site.fetcher().fetch(f"{site.url}/dam").content == PAGE
    del site.paths["/robots.txt"]
    assert site.fetcher().fetch(f"{site.url}/private/dam").content == PAGE


def test_other_types_and_missing_pages_are_told_apart(site: Site) -> None:
    site.paths["/film"] = (b"x", "video/mp4")
    with pytest.raises(CorpusUnavailable, match="type video/mp4"):
        site.fetcher().fetch(f"{site.url}/film")
    with pytest.raises(SourceGone):
        site.fetcher().fetch(f"{site.url}/none")


def results(site: Site) -> dict[str, tuple[str, Any]]:
    """An answer of each API, in the form that its documentation shows."""
    first, second = f"{site.url}/dam", f"{site.url}/gone"
    return {
        "searxng": (
            "/search",
            {
                "query": "dam", "number_of_results": 2, "answers": [], "suggestions": [],
                "results": [
                    {"url": first, "title": "Dam", "content": "About the dam", "engine": "x", "score": 1.0,
                     "publishedDate": None, "engines": ["x"], "category": "general"},
                    {"url": second, "title": "Gone", "content": "The Oster dam was built in 1931.",
                     "publishedDate": "2024-03-01T00:00:00"},
                ],
            },
        ),
        "brave": (
            "/res/v1/web/search",
            {
                "type": "search", "query": {"original": "dam"},
                "web": {"type": "search", "results": [
                    {"title": "Dam", "url": first, "description": "About the dam", "language": "en"},
                    {"title": "Gone", "url": second, "description": "The Oster dam was built in 1931.",
                     "page_age": "2024-03-01T00:00:00"},
                ]},
            },
        ),
        "tavily": (
            "/search",
            {
                "query": "dam", "answer": None, "images": [], "response_time": 0.4,
                "results": [
                    {"title": "Dam", "url": first, "content": "About the dam", "score": 0.9, "raw_content": None},
                    {"title": "Gone", "url": second, "content": "The Oster dam was built in 1931.", "score": 0.8,
                     "published_date": "2024-03-01"},
                ],
            },
        ),
    }  # fmt: skip


@pytest.mark.parametrize("engine", ["searxng", "brave", "tavily"])
def test_web_search_gives_passages_of_pages_and_excerpts_of_those_that_are_away(site: Site, engine: Any) -> None:
    site.paths["/dam"] = (PAGE, "text/html")
    path, answer = results(site)[engine]
    site.paths[path] = (json.dumps(answer).encode(), "application/json")
    corpus = WebCorpus(WebSearch(engine, site.api, lambda: "the-key"), site.fetcher(), None)
    found = corpus.search("How high is the Oster dam?", 10)
    texts = {one.passage.text: one.passage for one in found}
    assert set(texts) == {"The Oster dam is 84 metres high.", "The Oster dam was built in 1931."}
    excerpt = texts["The Oster dam was built in 1931."]
    assert (excerpt.date, excerpt.trust, excerpt.corpus) == ("2024-03-01", "public", "web")
    assert "is not there" in corpus.problems[0]
    sent = next(headers for asked, headers, _ in site.asked if asked.startswith(path))
    key = {"searxng": None, "brave": sent.get("X-Subscription-Token"), "tavily": sent.get("Authorization")}[engine]
    assert key == {"searxng": None, "brave": "the-key", "tavily": "Bearer the-key"}[engine]


@pytest.mark.parametrize("answer", [b"<html>", b"[]", b'{"results": 3}', b'{"results": [{"title": "x"}]}'])
def test_another_answer_is_an_unavailable_corpus(site: Site, answer: bytes) -> None:
    site.paths["/search"] = (answer, "application/json")
    search = WebSearch("searxng", site.api, lambda: None)
    search._service.sleep = lambda seconds: None
    with pytest.raises(CorpusUnavailable, match="searxng"):
        search.search("dam")


def test_crossref_gives_abstracts_with_date_and_licence(site: Site) -> None:
    work = {
        "DOI": "10.1/dam", "title": ["Heights of dams"], "issued": {"date-parts": [[2021, 5]]},
        "abstract": "<jats:p>The Oster dam is 84 metres high.</jats:p>", "license": [{"URL": "https://cc.example/by"}],
    }  # fmt: skip
    answer = {"status": "ok", "message-type": "work-list", "message": {"items": [work, {"DOI": "10.1/none"}]}}
    site.paths["/works"] = (json.dumps(answer).encode(), "application/json")
    (found,) = CrossrefCorpus(None, site.api).search("How high is the Oster dam?", 5)
    passage = found.passage
    assert (passage.text, passage.address) == ("The Oster dam is 84 metres high.", "https://doi.org/10.1/dam")
    assert (passage.date, passage.licence, passage.trust) == ("2021-05", "https://cc.example/by", "scholarly")


def test_arxiv_gives_abstracts_and_its_xml_opens_nothing(site: Site) -> None:
    feed = (
        b'<?xml version="1.0"?><!DOCTYPE feed [<!ENTITY x SYSTEM "file:///etc/hostname">]>'
        b'<feed xmlns="http://www.w3.org/2005/Atom"><entry><id>http://arxiv.org/abs/2101.00001v1</id>'
        b"<title>Heights of\n dams</title><summary>The Oster dam is 84 metres high. &x;</summary>"
        b"<published>2021-01-01T00:00:00Z</published></entry></feed>"
    )
    site.paths["/api/query"] = (feed, "application/atom+xml")
    (found,) = ArxivCorpus(None, site.api).search("How high is the Oster dam?", 5)
    assert found.passage.text == "The Oster dam is 84 metres high."
    assert (found.passage.title, found.passage.date) == ("Heights of dams", "2021-01-01")

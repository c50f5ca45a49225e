"""The data docs that Great Expectations builds: opened from disk, they ask nobody for anything."""

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from assets.shared.data_docs import Docs, Table, run_suites
from assets.shared.offline_pages import offline_page

ROWS = (("a.py", 1), ("<script src='https://elsewhere.example/x.js'></script>", 2), ("b.py", 900))


def expected(gx: Any) -> dict[str, list[Any]]:
    return {
        "files": [
            gx.ExpectColumnValuesToBeBetween(column="lines", max_value=5),
            gx.ExpectColumnValuesToBeInSet(column="path", value_set=["a.py", "b.py"]),
        ]
    }


@pytest.fixture(scope="module")
def docs(tmp_path_factory: pytest.TempPathFactory) -> Docs:
    folder = tmp_path_factory.mktemp("docs")
    return run_suites("first", {"files": Table(("path", "lines"), ROWS)}, {"shape": expected}, folder)


class Addresses(HTMLParser):
    """Every address that a page's markup names, and its styles."""

    def __init__(self) -> None:
        super().__init__()
        self.named: list[str] = []
        self.policy = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        held = dict(attrs)
        if held.get("http-equiv") == "Content-Security-Policy":
            self.policy = held["content"] or ""
        self.named += [
            f"<{tag} {name}={value}>"
            for name, value in attrs
            if name in ("src", "href", "srcset", "action", "data", "poster", "style")
            and re.search(r"(?:^|[\s('\"])(?:[a-z+]+:)?//", value or "")
        ]

    def read(self, page: str) -> "Addresses":
        self.feed(page)
        self.named += remote_styles(page)
        return self


def remote_styles(text: str) -> list[str]:
    return re.findall(r"(?:url\(|@import)\s*['\"]?(?:https?:)?//[^;)]*", text)


def test_the_pages_name_no_remote_address(docs: Docs) -> None:
    assert [failure.split(":")[0] for failure in docs["shape"].failed] == ["files", "files"]
    root = docs.index.parent
    pages = sorted(root.rglob("*.html"))
    assert len(pages) == 3
    for page in pages:
        found = Addresses().read(page.read_text())
        assert found.named == [], page.relative_to(root)
        assert "default-src 'self'" in found.policy
    for sheet in root.rglob("*.css"):
        assert remote_styles(sheet.read_text()) == []


def test_the_pages_still_tell_what_was_expected_and_show_texts_as_texts(docs: Docs) -> None:
    [page] = (docs.index.parent / "validations").rglob("*.html")
    shown = page.read_text()
    assert "values must belong to this set" in shown
    assert "&lt;script src=" in shown


@pytest.mark.parametrize(
    "named",
    [
        '<link rel="stylesheet"\n href="https://elsewhere.example/a.css" />',
        "<script defer src=//elsewhere.example/a.js></script>",
        '<img alt="x" src="http://elsewhere.example/a.png?d=1">',
        "<IFRAME SRC='https://elsewhere.example'></IFRAME>",
        "<style>@import url('https://elsewhere.example/a.css'); p { color: url( //elsewhere.example/b.png) }</style>",
        '<a class="x" href="https://elsewhere.example/letter?a=1&b=2" target="_blank">letter</a>',
        '<form action="https://elsewhere.example/"></form>',
    ],
)
def test_each_kind_of_remote_address_is_taken_out(named: str) -> None:
    made = offline_page(f"<html><head></head><body>{named}<p>kept</p></body></html>".encode()).decode()
    assert "elsewhere.example" not in made
    assert "<p>kept</p>" in made


def test_what_lies_beside_a_page_and_what_people_wrote_stays() -> None:
    page = '<head></head><link href="static/a.css"><a href="../index.html">up</a> see https://example.org/x'
    assert offline_page(page.encode()).decode().endswith(page.removeprefix("<head></head>"))


def test_docs_of_long_ago_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from assets.shared import data_docs

    monkeypatch.setattr(data_docs, "KEPT_DOCS", 1)
    for name in ("one", "two"):
        run_suites(name, {"files": Table(("path", "lines"), ROWS[:1])}, {"shape": expected}, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["two"]

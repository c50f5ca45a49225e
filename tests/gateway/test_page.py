"""The page at `/`, which anybody may see."""

import base64
import hashlib
import re
from html.parser import HTMLParser
from typing import Any

import psycopg
import pytest
from starlette.testclient import TestClient

from core.database import Database
from gateway import page
from gateway.gate import is_open


class Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.inline: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("href", "src", "action")]
        self.inline += [name for name, _ in attrs if name == "style" or name.startswith("on")]


def test_the_front_page_needs_no_token_and_no_script(client: TestClient) -> None:
    answer = client.get("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "Ready: it takes events." in answer.text
    reader = Reader()
    reader.feed(answer.text)
    assert not {"script", "img", "link", "iframe", "form", "object"} & set(reader.tags)
    assert not reader.inline, "the policy would ignore it"
    assert all(one.startswith("/") for one in reader.links), "it loads nothing from elsewhere"
    for link in reader.links:
        assert client.get(link).status_code in (200, 401), link


def test_its_policy_allows_its_own_style_alone(client: TestClient) -> None:
    answer = client.get("/")
    style = re.search(r"<style>(.*?)</style>", answer.text, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
    assert policy == {
        "default-src": "'none'", "style-src": f"'sha256-{digest}'", "base-uri": "'none'", "form-action": "'none'",
        "frame-ancestors": "'none'",
    }  # fmt: skip
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_every_webhook_that_it_names_is_one(client: TestClient) -> None:
    named = re.findall(r"<code>(/webhooks/[a-z]+)</code>", client.get("/").text)
    assert len(named) == len(page._WEBHOOKS)
    assert all(is_open(path) for path in named)


def test_without_a_database_it_says_so_and_still_shows(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(_: Database) -> Any:
        raise psycopg.OperationalError("connection to server at 10.1.2.3 failed")

    monkeypatch.setattr(Database, "system", gone)
    answer = client.get("/")
    assert answer.status_code == 200
    assert "Not ready: the database cannot be reached." in answer.text
    assert "10.1.2.3" not in answer.text


def test_other_methods_and_paths_stay_closed(client: TestClient) -> None:
    assert client.post("/").status_code == 405
    for path in ("/index.html", "/tasks", "/x"):
        assert client.get(path).status_code in (401, 404), path
    assert not is_open("//")

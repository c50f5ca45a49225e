"""Threads over HTTP: the client through a real gateway, attachments, bad input, and who is who."""

import hashlib
import json
import os
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

from core.access.audit import Actor
from core.access.roles import Role
from core.database import Database
from core.events import DEFAULT_TEAM
from gateway.callers import Caller
from gateway.threads import member_of
from tests.gateway.indexed import index_file
from threads.client.client import ThreadClient
from threads.client.session import NotASession, SessionFile
from threads.client.transport import HttpTransport, Offline, SignedOut, Tokens

TokenFor = Callable[..., dict[str, str]]


def _secret(headers: dict[str, str]) -> str:
    return headers["Authorization"].removeprefix("Bearer ")


def _append(thread: str, text: str = "text", **more: Any) -> dict[str, Any]:
    return {"thread": thread, "kind": "append", "message": str(uuid.uuid4()), "role": "user", "text": text, **more}


class Sender:
    def __init__(self, client: TestClient, headers: dict[str, str]) -> None:
        self.client, self.headers, self.id, self.last = client, headers, str(uuid.uuid4()), 0

    def push(self, *mutations: dict[str, Any]) -> Any:
        numbered = [{"id": self.last + place, **one} for place, one in enumerate(mutations, 1)]
        body = {"protocol": 1, "client": self.id, "mutations": numbered}
        answer = self.client.post("/sync/push", json=body, headers=self.headers)
        if answer.status_code == 200:
            self.last = answer.json()["last_mutation_id"]
        return answer

    def create(self, **more: Any) -> str:
        thread = str(uuid.uuid4())
        assert self.push({"thread": thread, "kind": "create", "title": "A thread", **more}).status_code == 200
        return thread


def test_two_clients_see_what_the_other_writes(serve: Callable[..., Any], token_for: TokenFor, tmp_path: Path) -> None:
    ann, bob = token_for("operator", "ann"), token_for("viewer", "bob")
    with serve() as url:
        transports = [HttpTransport(url, Tokens(_secret(one))) for one in (ann, bob)]
        with (
            ThreadClient(tmp_path / "ann.db", transports[0]) as writer,
            ThreadClient(tmp_path / "bob.db", transports[1]) as reader,
        ):
            thread = writer.create("A thread", visibility="team")
            message = writer.say(thread, "first")
            while writer.sync.waiting():
                time.sleep(0.02)
            reader.open(thread)
            seen: list[tuple[list[str], float]] = []

            def watch() -> None:
                for snapshot in reader.observe(thread, seconds=20):
                    seen.append((snapshot.texts, time.monotonic()))
                    if snapshot.texts == ["FIRST", "second"]:
                        return

            watching = threading.Thread(target=watch)
            watching.start()
            time.sleep(1)
            began = time.monotonic()
            writer.edit(thread, message, "FIRST")
            writer.say(thread, "second")
            watching.join()
            assert seen[0][0] == ["first"] and seen[-1][0] == ["FIRST", "second"]
            assert seen[-1][1] - began < 3
            assert (writer.state, writer.report().pushes > 0) == ("online", True)
            reader.say(thread, "may I?")
            while reader.sync.waiting():
                time.sleep(0.02)
            assert [one.code for one in reader.dead_letters()] == ["role"]
        for one in transports:
            one.close()


def test_a_refused_token_is_refreshed_once_for_all(serve: Callable[..., Any], token_for: TokenFor) -> None:
    good = _secret(token_for("operator"))
    refreshed = []

    def refresh() -> str:
        time.sleep(0.2)
        refreshed.append(1)
        return good

    with serve() as url:
        transport = HttpTransport(url, Tokens("pst_old", refresh))
        answers: list[Any] = []
        callers = [
            threading.Thread(target=lambda: answers.append(transport.request("GET", "/sync/pull"))) for _ in range(5)
        ]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
        assert len(answers) == 5 and refreshed == [1]
        over = HttpTransport(url, Tokens("pst_old", lambda: None))
        for _ in range(2):
            with pytest.raises(SignedOut):
                over.request("GET", "/sync/pull")
        transport.close()
        over.close()
    gone = HttpTransport(url, Tokens(good))
    with pytest.raises(Offline):
        gone.request("GET", "/sync/pull")
    gone.close()


def test_processes_that_share_a_session_refresh_it_once_and_give_up_when_it_is_over(
    serve: Callable[..., Any], token_for: TokenFor, database: Database, tmp_path: Path
) -> None:
    with serve() as address:
        path = tmp_path / "session.json"
        answer = httpx.post(f"{address}/sessions", headers=token_for("operator"), timeout=60)
        path.write_text(answer.text)
        transports = [HttpTransport(address, SessionFile(path, address).tokens()) for _ in range(3)]

        def all_ask() -> list[str]:
            def ask(transport: HttpTransport) -> str:
                try:
                    return str(transport.request("GET", "/me")["name"])
                except SignedOut:
                    return "signed out"

            with ThreadPoolExecutor(6) as pool:
                return list(pool.map(ask, transports * 2))

        def issued() -> int:
            with database.system() as connection:
                row = connection.execute("SELECT count(*) FROM session_tokens WHERE kind = 'refresh'").fetchone()
            assert row is not None
            return int(row[0])

        assert len(set(all_ask())) == 1 and issued() == 1
        with database.system() as connection:
            connection.execute("UPDATE session_tokens SET expires_at = now() WHERE kind = 'access'")
        assert "signed out" not in all_ask()
        assert issued() == 2
        with database.system() as connection:
            connection.execute("UPDATE session_tokens SET expires_at = now() WHERE kind = 'access'")
        os.utime(path, (time.time() - 3600,) * 2)  # nobody has asked for long, and this process longest
        older = SessionFile(path, address)
        older._current = "psa_older"
        idle = HttpTransport(address, older.tokens())
        assert idle.request("GET", "/me")["name"] and issued() == 3
        idle.close()
        assert json.loads(path.read_text())["refresh_token"] != answer.json()["refresh_token"]
        assert path.stat().st_mode & 0o777 == 0o600
        with database.system() as connection:
            connection.execute("UPDATE sessions SET ended_at = now(), ended_why = 'signed out'")
        assert set(all_ask()) == {"signed out"}
        assert issued() == 3
        for transport in transports:
            transport.close()
    path.write_text('{"access_token": "psa_x"}')
    with pytest.raises(NotASession, match="POST /sessions"):
        SessionFile(path, address)


def test_an_attachment_is_served_to_readers_of_its_thread_only(client: TestClient, token_for: TokenFor) -> None:
    ann, bob = Sender(client, token_for("operator", "ann")), Sender(client, token_for("admin", "bob"))
    thread = ann.create()
    content = b"<script>alert(1)</script>"
    digest = hashlib.sha256(content).hexdigest()
    place = f"/threads/{thread}/blobs/{digest}"
    attach = {"body": {"attachments": [{"sha256": digest, "name": "page.html"}]}}
    assert ann.push(_append(thread, **attach)).json()["results"][0]["code"] == "attachment"
    assert client.put(place, content=b"other", headers=ann.headers).json()["field"] == "sha256"
    html = {"Content-Type": "text/html; charset=utf-8"}
    assert client.put(place, content=content, headers=ann.headers | html).status_code == 204
    assert client.put(place, content=content, headers=bob.headers | html).status_code == 404
    assert ann.push(_append(thread, **attach)).json()["results"][0]["status"] == "applied"
    found = client.get(place, headers=ann.headers)
    assert found.content == content and found.headers["content-disposition"] == "attachment"
    assert (
        found.headers["x-content-type-options"] == "nosniff" and "sandbox" in found.headers["content-security-policy"]
    )
    assert client.get(place, headers=bob.headers).status_code == 404
    large = b"x" * ((1 << 20) + 1)
    place = f"/threads/{thread}/blobs/{hashlib.sha256(large).hexdigest()}"
    assert client.put(place, content=large, headers=ann.headers).status_code == 413


def test_who_is_let_in_is_in_the_audit_log(client: TestClient, token_for: TokenFor) -> None:
    ann = Sender(client, token_for("operator", "ann"))
    thread = ann.create()
    sharing = {"acl_epoch": 1, "visibility": "link", "link": {"role": "reader"}}
    answer = client.put(f"/threads/{thread}/sharing", json=sharing, headers=ann.headers)
    bob = token_for("viewer", "bob")
    assert client.post("/threads/join", json={"link": answer.json()["link"]}, headers=bob).json() == {"thread": thread}
    entries = client.get("/audit", headers=token_for("admin")).json()["entries"]
    found = {one["action"]: one for one in entries if one["subject"] == thread}
    assert found["thread.share"]["actor"] == "ann" and "a link for a reader" in found["thread.share"]["detail"]
    assert found["thread.join"]["actor"] == "bob" and answer.json()["link"] not in str(entries)


def test_bad_pushes_have_clear_answers(client: TestClient, token_for: TokenFor, other_team: Any) -> None:
    ann = Sender(client, token_for("operator", "ann"))
    thread = ann.create()
    good = {"protocol": 1, "client": ann.id, "mutations": [{"id": 2, **_append(thread)}]}
    cut = client.post(
        "/sync/push", content=json.dumps(good)[:-20], headers=ann.headers | {"Content-Type": "application/json"}
    )
    assert (cut.status_code, cut.json()["code"]) == (400, "malformed")
    for change, code in (
        ({"protocol": 0}, "protocol"),
        ({"client": "x"}, "field"),
        ({"mutations": []}, "field"),
        ({"mutations": [{"id": 2, **_append(thread, "\x00")}]}, "field"),
        ({"mutations": [{"id": 2, **_append(thread, "x" * (256 << 10) + "y")}]}, "field"),
        ({"mutations": [{"id": 2, **_append(thread)}, {"id": 4, **_append(thread)}]}, "field"),
        ({"mutations": [{"id": 2, **_append(thread), "seq": 7}]}, "field"),
        ({"mutations": [{"id": 2, **_append(thread), "role": "tool_result"}]}, "field"),
        ({"mutations": [{"id": n + 2, **_append(thread)} for n in range(51)]}, "field"),
    ):
        answer = client.post("/sync/push", json=good | change, headers=ann.headers)
        assert (answer.status_code, answer.json()["code"]) == (400, code), (change, answer.text)
    theirs = Sender(client, other_team[1])
    assert theirs.push(_append(thread)).json()["results"][0]["code"] == "no-thread"
    theirs.id = ann.id
    assert theirs.push(_append(thread)).json()["code"] == "client"
    assert client.get("/sync/pull", params={"cursor": "99999"}, headers=ann.headers).json()["reset"] is True
    assert client.get("/sync/pull", params={"cursor": "x'y"}, headers=ann.headers).json()["reset"] is True
    assert [op["seq"] for op in client.get(f"/threads/{thread}/ops", headers=ann.headers).json()["ops"]] == [1]


def test_threads_are_listed_in_pages_newest_first(client: TestClient, token_for: TokenFor) -> None:
    ann = Sender(client, token_for("operator", "ann"))
    made = [ann.create() for _ in range(5)]
    child = ann.create(parent=made[0])
    found: list[str] = []
    following = None
    while True:
        page = client.get(
            "/threads", params={"limit": 2} | ({"before": following} if following else {}), headers=ann.headers
        ).json()
        found += [one["id"] for one in page["threads"]]
        following = page["next"]
        if following is None:
            break
    assert found == [child, *reversed(made)]
    assert [one["id"] for one in client.get(f"/threads/{made[0]}/children", headers=ann.headers).json()["threads"]] == [
        child
    ]
    assert client.get("/threads", params={"before": "x"}, headers=ann.headers).json()["field"] == "before"


def test_a_name_that_the_issuer_does_not_vouch_for_is_no_user() -> None:
    def principal(*actor: Any) -> str:
        return member_of(Caller(DEFAULT_TEAM, Role.VIEWER, Actor(*actor))).principal

    assert principal("token", "ci", "7", "Ann") == "user:ann"
    assert principal("token", "ci", "7") == "token:7"
    assert principal("user", "ann", "subject-1") == "user:ann"
    assert principal("user", "ann", "ann") == "subject:ann"


def test_the_lines_of_a_mentioned_file_are_read_at_its_commit_by_its_team(
    client: TestClient, authorised: dict[str, str], database: Database, other_team: Any
) -> None:
    index_file(database, "a/b.py", "one a\ntwo\nthree", "one b\ntwo\nthree")
    index_file(database, "a/b.py", "secret", source="theirs", team=other_team[0])

    def lines(source: str = "shop", commit: str = "a" * 7, path: str = "a/b.py", **more: int) -> Any:
        query: dict[str, Any] = {"source": source, "commit": commit, "path": path, **more}
        answer = client.get("/file-lines", params=query, headers=authorised)
        return answer.json()["lines"] if answer.status_code == 200 else answer.status_code

    assert lines() == ["one a", "two", "three"]
    assert lines(commit="b" * 40, first=1, last=1) == ["one b"]
    assert lines(first=2, last=9) == ["two", "three"]
    assert [lines(first=4), lines(commit="c" * 40), lines(path="b.py"), lines("theirs")] == [404] * 4

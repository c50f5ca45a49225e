"""Durable objects over HTTP: calls, repeats, refusals, lists, the page, event streams, and what each team sees."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from core.database import Database
from core.events import DEFAULT_TEAM
from objects.client import ObjectRefused, Objects, typed
from objects.lifecycle import terminate
from objects.node import ThreadedNode

Header = dict[str, str]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def node(database_url: str) -> Iterator[ThreadedNode]:
    made = ThreadedNode(database_url)
    yield made
    made.stop()


def test_a_call_is_answered_and_a_repeat_has_no_second_effect(
    client: TestClient, authorised: Header, node: ThreadedNode
) -> None:
    once = authorised | {"Idempotency-Key": "first"}
    for repeated in (None, "true"):
        answer = client.post("/objects/register/a/add", json={"amount": 2}, headers=once)
        assert (answer.status_code, answer.json()) == (200, {"count": 2})
        assert answer.headers.get("Penstock-Repeated") == repeated
    assert client.post("/objects/register/a/add", json={"amount": 3}, headers=once).status_code == 422
    read = client.get("/objects/register/a/read", headers=authorised)
    assert read.json() == {"value": None, "count": 2} and read.headers["Penstock-State-Version"] == "1"
    for path in ("register/a/add", "authentication/a/check?token=x"):
        assert client.get(f"/objects/{path}", headers=authorised).status_code == 405
    for bad in ("two words", "\u00e9" * 90):  # of other characters, 200 are more bytes than the mailbox takes
        keyed = authorised | {"Idempotency-Key": bad.encode("latin-1")}
        answer = client.post("/objects/register/a/add", json={"amount": 2}, headers=keyed)  # type: ignore[arg-type]
        assert answer.status_code == 400 and "printable ASCII" in answer.text


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/objects/nonsense/a/add", "{}", 404, "no-such-type"),
        ("/objects/register/a/burn", "{}", 404, "no-such-method"),
        ("/objects/register/a/expire", "1", 404, "no-such-method"),
        ("/objects/register/a/add", '{"amount": "x"}', 400, "argument"),
        ("/objects/register/a/add", "{", 400, "malformed"),
        ("/objects/register/a/write", '{"value": NaN}', 400, "malformed"),
        ("/objects/register/a/write", '{"value": "\\u0000"}', 400, "malformed"),
        ("/objects/register/a/write", '{"value": "\\ud800"}', 400, "malformed"),
        ("/objects/register/a/write", "[" * 100_000, 400, "malformed"),
        (f"/objects/register/{'k' * 201}/add", "{}", 400, "field"),
        ("/objects/register/a%00b/add", "{}", 400, "field"),
        ("/objects/register/a%C2%85b/add", "{}", 400, "field"),
        ("/objects/a%00b/a/add", "{}", 400, "field"),
        (f"/objects/register/{'%C3%A9' * 101}/add", "{}", 404, "no-such-key"),
        (f"/objects/register/{'%C3%A9' * 101}/-/terminate", "{}", 404, "no-such-key"),
        ("/objects/register/a%E2%80%AEb/add", "{}", 404, "no-such-key"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_is_wrong_with_a_call_is_said(
    client: TestClient, authorised: Header, node: ThreadedNode, path: str, body: str, status: int, code: str
) -> None:
    answer = client.post(path, content=body, headers=authorised | {"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


def test_an_objects_refusal_has_its_own_code(client: TestClient, authorised: Header, node: ThreadedNode) -> None:
    client.post("/objects/register/a/lock", json={"owner": "x"}, headers=authorised)
    answer = client.post("/objects/register/a/lock", json={"owner": "y"}, headers=authorised)
    assert (answer.status_code, answer.json()) == (409, {"error": "x holds the lock", "code": "locked"})


def test_without_a_node_one_is_asked_for_and_the_call_ends_in_time(
    make_client: Callable[..., TestClient], authorised: Header, settings: Any
) -> None:
    client = make_client()
    settings.home.mkdir(parents=True, exist_ok=True)
    answer = client.post(
        "/objects/register/a/add", json={}, headers=authorised | {"Penstock-Seconds": "0.3"}
    )  # fmt: skip
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert settings.objects_wanted.exists()


def test_types_and_objects_are_listed_with_their_methods(
    client: TestClient, authorised: Header, node: ThreadedNode
) -> None:
    client.post("/objects/register/a/add", json={}, headers=authorised)
    types = {one["type"]: one for one in client.get("/object-types", headers=authorised).json()["types"]}
    assert types["register"]["methods"]["read"]["reading"] is True
    shown = client.get("/object-types/register", headers=authorised).json()
    assert shown["health"]["answered"] == 1 and shown["health"]["objects"] == {"Active": 1}
    document = client.get("/object-types/register/openapi.json", headers=authorised).json()
    assert set(document["paths"]["/objects/register/{key}/read"]) == {"get", "post"}
    assert "/objects/register/{key}/expire" not in document["paths"]
    [one] = client.get("/objects", params={"type": "register"}, headers=authorised).json()["objects"]
    assert (one["key"], one["shown"], one["state_version"]) == ("a", "Active", 1)
    detail = client.get("/objects/register/a", headers=authorised).json()
    assert detail["state"]["count"] == 1 and detail["calls"][0]["caller"] == "token first start"
    assert client.get("/objects/register/none", headers=authorised).status_code == 404


def test_people_go_back_end_and_revive_and_the_audit_log_says_so(
    client: TestClient, authorised: Header, node: ThreadedNode
) -> None:
    for _ in range(3):
        client.post("/objects/register/a/add", json={}, headers=authorised)
    history = client.get("/objects/register/a/-/history", headers=authorised).json()
    assert [one["version"] for one in history] == [3, 2, 1]
    assert client.post("/objects/register/a/-/restore", json={"version": 1}, headers=authorised).status_code == 200
    assert client.get("/objects/register/a/read", headers=authorised).json()["count"] == 1
    assert client.post("/objects/register/a/-/restore", json={"version": 9}, headers=authorised).status_code == 404
    ended = client.post("/objects/register/a/-/terminate", json={"reason": "done"}, headers=authorised)
    assert ended.json()["status"] == "Terminated"
    assert client.post("/objects/register/a/add", json={}, headers=authorised).status_code == 410
    revived = client.post("/objects/register/a/-/revive", headers=authorised)
    assert revived.json()["incarnation"] == 2
    entries = client.get("/audit", headers=authorised).json()["entries"]
    done = [(e["action"], e["subject"]) for e in reversed(entries) if e["outcome"] == "done"]
    assert done == [(f"object.{what}", "register/a") for what in ("restore", "terminate", "revive")]


def test_a_new_incarnation_shows_no_calls_and_failures_of_the_one_before(
    client: TestClient, authorised: Header, node: ThreadedNode, database: Database
) -> None:
    def fail(reason: str) -> None:
        with database.team(DEFAULT_TEAM) as connection:
            connection.execute(
                "INSERT INTO object_faults (team_id, type, key, code_version, what, reason) "
                "VALUES (%s, 'register', 'a', 1, 'call', %s)",
                (DEFAULT_TEAM, reason),
            )

    def shown() -> tuple[list[str], list[str]]:
        found = client.get("/objects/register/a", headers=authorised).json()
        return [one["method"] for one in found["calls"]], [one["reason"] for one in found["faults"]]

    client.post("/objects/register/a/add", json={}, headers=authorised)
    fail("the first life")
    assert shown() == (["add"], ["the first life"])
    client.post("/objects/register/a/-/terminate", json={}, headers=authorised)
    assert shown() == (["add"], ["the first life"])
    client.post("/objects/register/a/-/revive", headers=authorised)
    assert shown() == ([], [])
    assert "the first life" not in client.get("/objects/register/a/-/page", headers=authorised).text
    client.post("/objects/register/a/write", json={"value": 1}, headers=authorised)
    fail("the second life")
    assert shown() == (["write"], ["the second life"])


def test_a_team_sees_and_calls_only_its_own_objects(
    client: TestClient, authorised: Header, other_team: Any, node: ThreadedNode
) -> None:
    _, others = other_team
    client.post("/objects/register/a/write", json={"value": "secret"}, headers=authorised)
    assert client.get("/objects", headers=others).json() == {"objects": [], "next": None}
    for path in ("", "/-/page", "/-/history", "/-/events"):
        assert client.get(f"/objects/register/a{path}", headers=others).status_code == 404
    assert client.post("/objects/register/a/-/terminate", json={}, headers=others).status_code == 404
    assert client.get("/objects/register/a/read", headers=others).json()["value"] is None


def test_the_page_escapes_what_an_object_holds(client: TestClient, authorised: Header, node: ThreadedNode) -> None:
    hostile = "</pre><script>alert(1)</script><img src=x onerror=alert(1)>"
    client.post("/objects/register/a/write", json={"value": hostile}, headers=authorised)
    client.post("/objects/register/a/lock", json={"owner": hostile}, headers=authorised)
    page = client.get("/objects/register/a/-/page", headers=authorised)
    assert page.status_code == 200 and page.headers["content-type"].startswith("text/html")
    assert "<script" not in page.text and "<img" not in page.text and "&lt;script&gt;" in page.text
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    style = re.search(r"<style>(.*?)</style>", page.text, re.S)
    assert style and "sha256-" in policy


def test_a_watcher_is_told_each_state_until_the_end(
    client: TestClient, authorised: Header, node: ThreadedNode, database: Database
) -> None:
    client.post("/objects/register/a/add", json={}, headers=authorised)
    with database.team(DEFAULT_TEAM) as connection:
        connection.execute("SELECT 1")
    with database.team(DEFAULT_TEAM) as connection:
        terminate(connection, DEFAULT_TEAM, "register", "a", "over")
    text = client.get("/objects/register/a/-/events", headers=authorised).text
    assert "event: end\n" in text and '"state": null' in text
    resumed = client.get(
        "/objects/register/a/-/events", headers=authorised | {"Last-Event-ID": "1.1.Active"}
    ).text  # fmt: skip
    [data] = re.findall(r"^data: (.*)$", resumed, re.M)
    assert json.loads(data)["status"] == "Terminated"


def test_the_gateway_imports_neither_the_sandbox_nor_heavy_libraries() -> None:
    script = (
        "import sys, gateway.app; print([m for m in ('sandbox', 'objects.node', 'objects.custom', 'duckdb', 'argon2', "
        "'jinja2', 'dagster', 'aiohttp') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def test_the_python_client_calls_repeats_and_makes_typed_clients(
    client: TestClient, authorised: Header, node: ThreadedNode, tmp_path: Path
) -> None:
    objects = Objects("", authorised["Authorization"].removeprefix("Bearer "), client=client)  # type: ignore[arg-type]
    visits = objects.of("register", "visits")
    assert visits.call("add", amount=2) == {"count": 2}
    assert [objects.call("register", "visits", "add", {}, id="once") for _ in range(2)] == [{"count": 3}] * 2
    visits.call("lock", owner="x")
    with pytest.raises(ObjectRefused) as refused:
        visits.call("lock", {"owner": "y"})
    assert (refused.value.status, refused.value.code) == (409, "locked")
    source = typed(objects.type("register"))
    (tmp_path / "register_client.py").write_text(source)
    made: dict[str, Any] = {}
    exec(compile(source, "register_client.py", "exec"), made)  # noqa: S102  what was just made
    register = made["Register"](objects, "visits")
    assert register.add(amount=4) == {"count": 7}
    assert register.read()["count"] == 7
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", str(tmp_path / "register_client.py")],
        capture_output=True, text=True, timeout=300, check=False, cwd=ROOT,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stdout


def test_lists_of_objects_and_types_come_in_pages(client: TestClient, authorised: Header, node: ThreadedNode) -> None:
    for where in ("register/a", "register/b", "user/a"):
        method, argument = ("add", {"amount": 1}) if where.startswith("register") else ("create", {"profile": {}})
        assert client.post(f"/objects/{where}/{method}", json=argument, headers=authorised).is_success

    def pages(path: str, what: str, limit: int) -> list[list[str]]:
        after, found = "", []
        while after is not None:
            page = client.get(f"{path}?limit={limit}&after={after}", headers=authorised).json()
            found.append([f"{one['type']}/{one.get('key', '')}".rstrip("/") for one in page[what]])
            after = page["next"]
        return found

    objects = pages("/objects", "objects", 2)
    assert objects == [["register/a", "register/b"], ["user/a"]]
    types = pages("/object-types", "types", 3)
    names = [name for page in types for name in page]
    assert names == sorted(names) and len(names) == len(set(names)) == 8 and len(types[0]) == 3
    of_type = client.get("/objects?type=register&after=a", headers=authorised).json()["objects"]
    assert [one["key"] for one in of_type] == ["b"]
    from_type = client.get("/objects?after=user", headers=authorised).json()["objects"]
    assert [one["type"] for one in from_type] == ["user"]

"""The pages in a real Chromium: by keyboard, live, offline and back, and without scripts."""

import os
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from core.access.roles import Role
from core.access.users import add_user
from core.database import Database
from core.events import DEFAULT_TEAM
from tests.devtools import Chromium, Page, chromium, find_chromium
from tests.gateway.indexed import index_file

pytestmark = [pytest.mark.services, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    program = find_chromium()
    if program is None:
        missing = "no Chromium: TOOLCHAINS=1 make services installs it, as root, or install the package chromium"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    with chromium(program) as started:
        yield started


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


class Server:
    """The gateway on one port, which can go away and come back."""

    def __init__(self, serve: Callable[..., Any], port: int) -> None:
        self._serve = serve
        self._port = port
        self._running = ExitStack()
        self.address = f"http://127.0.0.1:{port}"

    def start(self) -> None:
        self._running.enter_context(self._serve(settings={"gateway_port": self._port}))

    def stop(self) -> None:
        self._running.close()


@pytest.fixture
def server(serve: Callable[..., Any], port: int) -> Iterator[Server]:
    made = Server(serve, port)
    made.start()
    yield made
    made.stop()


def texts(database: Database) -> list[str]:
    """What people have said, in the order that the server gave it."""
    with database.team(DEFAULT_TEAM) as connection:
        rows = connection.execute(
            "SELECT text FROM thread_messages WHERE role = 'user' AND NOT deleted ORDER BY seq OFFSET 1"
        ).fetchall()
    return [str(text) for (text,) in rows]


def until(true: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.1)


def press_button(page: Page, label: str) -> None:
    page.run(f"[...document.querySelectorAll('button')].find((one) => one.textContent === '{label}').click()")


def say(page: Page, text: str) -> None:
    page.run("document.activeElement.blur()")
    page.press("m")
    page.wait("document.activeElement.id === 'say'", "the box for a message")
    page.type(text)
    page.press("Enter", control=True)


def says(text: str, *, sent: bool | None = None) -> str:
    """A script: whether a message is shown, as sent or as still to be sent."""
    mark = "" if sent is None else f" && {'!' if sent else ''}one.classList.contains('pending')"
    return f"[...document.querySelectorAll('.message')].some((one) => one.innerText.includes('{text}'){mark})"


def test_a_person_reads_and_writes_online_and_offline(
    browser: Chromium,
    server: Server,
    link: Callable[..., str],
    add_task: Callable[..., str],
    add_attempt: Callable[..., None],
    client: TestClient,
    authorised: dict[str, str],
    database: Database,
) -> None:
    add_task("Another one")
    task = add_task("Total is wrong", state="running")
    add_attempt(task)
    page = browser.tab()
    page.go(server.address + link(person="ada"))
    assert page.run("location.pathname") == "/web"

    # By keyboard to the task.
    page.press("j")
    page.press("Enter")
    page.wait("document.getElementById('composer')?.hidden === false", "the thread")
    assert page.run("location.pathname") == f"/web/tasks/{task}"

    # A message is shown at once, and sent.
    say(page, "Is it the discount?")
    page.wait(says("Is it the discount?", sent=True), "the message to be sent")
    assert texts(database) == ["Is it the discount?"]

    # Somebody else's comes by itself, and what the attempt does too.
    thread = client.get(f"/tasks/{task}/thread", headers=authorised).json()["thread"]
    other = str(uuid.uuid4())

    def push(number: int, **mutation: Any) -> None:
        answer = client.post(
            "/sync/push",
            json={"protocol": 1, "client": other, "mutations": [{"id": number, "thread": thread, **mutation}]},
            headers=authorised,
        )
        assert [one["status"] for one in answer.json()["results"]] == ["applied"], answer.text

    began = time.monotonic()
    push(1, kind="append", message=str(uuid.uuid4()), role="user", text="No, the first price is missing.")
    page.wait(says("the first price is missing", sent=True), "another's message", 10)
    assert time.monotonic() - began < 5
    with database.team(DEFAULT_TEAM) as connection:
        connection.execute(
            "INSERT INTO trajectory (team_id, task_id, attempt, seq, epoch, kind, body) "
            'VALUES (%s, %s, 1, 2, 1, \'begin\', \'{"engine": "search", "seconds": 60}\')',
            (DEFAULT_TEAM, task),
        )
    page.wait("document.getElementById('moments').innerText.includes('begins with the engine search')", "the step", 20)

    # The server goes away: what was read stays, and what is written waits.
    page.wait("navigator.serviceWorker.controller !== null", "the service worker")
    page.wait(f"caches.match('{server.address}/web/tasks/{task}')", "the copy of the page")
    server.stop()
    say(page, "Written in a train.")
    page.wait(says("Written in a train.", sent=False), "the message to wait")
    page.wait("!document.getElementById('net').hidden", "that it says offline")
    page.send("Page.reload")
    page.wait("document.readyState === 'complete' && document.querySelectorAll('.message').length >= 3", "the copies")
    assert page.run(says("Written in a train.", sent=False))
    assert page.run(says("the first price is missing", sent=True))
    assert "Total is wrong" in page.text() and "return sum(prices)" in page.text()

    # Meanwhile somebody deletes the message that is edited here.
    page.run("[...document.querySelectorAll('.message button')].find((one) => one.textContent === 'Edit').click()")
    page.run("document.getElementById('say').select()")
    page.type("Is it the rounding?")
    page.press("Enter", control=True)
    page.wait(says("Is it the rounding?", sent=False), "the edit to wait")
    with database.team(DEFAULT_TEAM) as connection:
        row = connection.execute("SELECT id FROM thread_messages WHERE text = 'Is it the discount?'").fetchone()
    assert row is not None
    push(2, kind="delete", message=str(row[0]))

    # It comes back, while the list is open: what waited is sent once, in order, and what was not accepted is shown.
    page.go(f"{server.address}/web")
    server.start()
    page.wait("document.getElementById('net').hidden && document.querySelectorAll('.row').length === 2", "the list", 60)
    until(lambda: "Written in a train." in texts(database))
    page.go(f"{server.address}/web/tasks/{task}")
    page.wait(says("Written in a train.", sent=True), "what waited to be sent", 60)
    page.wait("document.querySelector('.message.lost')?.innerText.includes('not accepted')", "the refused edit", 60)
    page.wait("document.getElementById('net').hidden", "that it is online again", 60)
    assert texts(database) == ["No, the first price is missing.", "Written in a train."]
    page.run("[...document.querySelectorAll('.message.lost button')].find((b) => b.textContent === 'Dismiss').click()")
    page.wait("!document.querySelector('.message.lost')", "it to be dismissed")

    # Signing out leaves nothing behind.
    page.run("document.querySelector('form[action$=\"/session/end\"] button').click()")
    page.wait("location.pathname === '/web/sign-in'", "the page for signing in")
    assert page.run("caches.keys().then((names) => names.filter((name) => name === 'penstock-pages').length)") == 0
    assert (
        page.run("indexedDB.databases().then((all) => all.filter((one) => one.name === 'penstock-threads').length)")
        == 0
    )
    refused = [one for one in page.problems if "ERR_" not in one and "status of" not in one]
    assert refused == [], "no error of a script, nothing that the policy forbids"


def test_a_thread_has_files_versions_a_title_and_readers(
    browser: Chromium,
    server: Server,
    link: Callable[..., str],
    client: TestClient,
    authorised: dict[str, str],
    add_task: Callable[..., str],
    database: Database,
    tmp_path: Path,
) -> None:
    task = add_task("Total is wrong", state="running")
    thread = client.get(f"/tasks/{task}/thread", headers=authorised).json()["thread"]
    index_file(database, "shop/total.py", "def total(prices):\n    return sum(prices[1:])\n")
    with database.team(DEFAULT_TEAM) as connection:
        connection.execute("UPDATE threads SET owner = 'user:ada', visibility = 'team' WHERE id = %s", (thread,))
        add_user(connection, DEFAULT_TEAM, "bob", Role.OPERATOR)
    page = browser.tab()
    page.go(server.address + link(person="ada"))
    page.go(f"{server.address}/web/tasks/{task}")
    page.wait("document.getElementById('composer')?.hidden === false", "the thread")

    # A file goes with a message, and the lines that it mentions are shown. One that is too large says so.
    attached = tmp_path / "prices <b>.csv"
    attached.write_text("1,2\n")
    large = tmp_path / "large.bin"
    large.write_bytes(b"x" * (1 << 20) + b"y")
    page.choose("#attach", large)
    say(page, "Look at shop/total.py:2")
    page.wait("document.getElementById('say-note').textContent.includes('larger than 1 MiB')", "the refusal")
    page.choose("#attach", attached)
    page.run("document.getElementById('composer').requestSubmit()")
    page.wait(says("Look at shop/total.py:2", sent=True), "the message to be sent")
    stored = "fetch(document.querySelector('.attachments a').href).then((answer) => answer.text())"
    assert page.run(stored) == "1,2\n"
    assert page.run("document.querySelector('.attachments a').download") == "prices <b>.csv"
    page.wait("document.querySelector('.mention summary')", "the file to be found")
    page.run("document.querySelector('.mention summary').click()")
    page.wait("document.querySelector('.snippet').textContent.includes('2      return sum(prices[1:])')", "its lines")

    # The title: changed here and shown to all.
    page.run("window.prompt = () => 'Prices, and their total'; document.getElementById('rename').click()")
    page.wait("document.getElementById('thread-name').textContent === 'Prices, and their total'", "the title")
    until(lambda: client.get(f"/threads/{thread}", headers=authorised).json()["title"] == "Prices, and their total")

    # Two texts for one message: a person chooses.
    with database.team(DEFAULT_TEAM) as connection:
        row = connection.execute("SELECT id, seq FROM thread_messages WHERE text LIKE 'Look at%%'").fetchone()
    assert row is not None
    edits = [
        {"thread": thread, "kind": "edit", "message": str(row[0]), "base": row[1], "text": text}
        for text in ("See total.py", "Read the file")
    ]
    for number, edit in enumerate(edits):
        body = {"protocol": 1, "client": str(uuid.uuid4()), "mutations": [{"id": 1, **edit}]}
        [result] = client.post("/sync/push", json=body, headers=authorised).json()["results"]
        assert result["status"] == ("applied", "conflict")[number], result
    page.wait("document.querySelector('.sibling')?.innerText.includes('Read the file')", "both versions")
    press_button(page, "Use this text")
    page.wait(f"!document.querySelector('.sibling') && {says('Read the file', sent=True)}", "the choice to be sent")
    assert "See total.py" not in page.text()

    # Sharing: whom nobody knows is refused with the reason, and who is listed can read.
    page.run("document.getElementById('share').click()")
    page.wait("document.querySelector('dialog[open] select[name=visibility]')?.value === 'team'", "the sharing")
    page.run("Object.assign(document.querySelector('[name=visibility]'), {value: 'listed'})")
    page.run("document.querySelector('[name=people]').value = 'nobody writer'")
    press_button(page, "Save")
    page.wait("document.querySelector('dialog .problem').innerText.includes('nobody')", "the refusal")
    page.run("document.querySelector('[name=people]').value = 'Bob reader'")
    press_button(page, "Save")
    page.wait("!document.querySelector('form.sharing')", "it to be saved")
    with database.team(DEFAULT_TEAM) as connection:
        found = connection.execute("SELECT principal, role FROM thread_grants WHERE thread_id = %s", (thread,))
        assert found.fetchall() == [("user:bob", "reader")]

    # Signing out asks before it forgets what is not sent.
    server.stop()
    say(page, "Not sent yet")
    page.wait(says("Not sent yet", sent=False), "the message to wait")
    page.run("window.asked = ''; window.confirm = (text) => { window.asked = text; return false; }")
    page.run("document.querySelector('form[action$=\"/session/end\"] button').click()")
    page.wait("window.asked.includes('not sent yet')", "the question")
    assert page.run(says("Not sent yet", sent=False))


def test_a_phone_and_a_reader_without_scripts_see_everything(
    browser: Chromium,
    server: Server,
    link: Callable[..., str],
    add_task: Callable[..., str],
    add_attempt: Callable[..., None],
) -> None:
    task = add_task("A title that is longer than a phone is wide: " + "x" * 120, state="resolved")
    add_attempt(task, "held")
    page = browser.tab()
    page.scripts(on=False)
    page.size(390, 844, dark=True)
    page.go(server.address + link(person="bob"))
    for path in ("/web", f"/web/tasks/{task}"):
        page.go(server.address + path)
        assert page.run("document.documentElement.scrollWidth <= innerWidth"), f"{path} is wider than the screen"
    shown = page.text()
    assert "return sum(prices)" in shown and "Approve and publish" in shown and "It should be 3." in shown
    page.run("document.querySelector('form[action$=\"/approve\"] button').click()")
    page.wait("!document.body.innerText.includes('Waits for approval')", "the approval")
    assert page.run("getComputedStyle(document.body).backgroundColor") == "rgb(16, 18, 22)"

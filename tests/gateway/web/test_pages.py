"""The pages as they are sent: what they show, to whom, and that nothing in them runs but our own scripts."""

import re
import uuid
from collections.abc import Callable
from html.parser import HTMLParser

import pytest
from starlette.testclient import TestClient

from core.database import Database
from core.events import DEFAULT_TEAM
from gateway.web.files import FOLDER, files
from gateway.web.pages import formatted
from gateway.web.render import ticks

from .conftest import OWN, Browser

Enter = Callable[..., Browser]
AddTask = Callable[..., str]


class Reader(HTMLParser):
    """Finds what could run or load something from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.scripts: list[str] = []
        self.inline: list[str] = []
        self.loaded: list[str] = []
        self._script = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.inline += [name for name in given if name == "style" or name.startswith("on")]
        self._script = tag in ("script", "style")
        if tag == "script":
            self.scripts.append(given.get("src", ""))
        if tag in ("link", "script", "img", "iframe", "object", "embed"):
            self.loaded.append(given.get("href", given.get("src", "")))

    def handle_data(self, data: str) -> None:
        if self._script and data.strip():
            self.inline.append(data)

    def handle_endtag(self, tag: str) -> None:
        self._script = False


HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)> `<b>` {{ 7 * 7 }} \u202e \u2028"


def test_the_list_shows_the_teams_tasks_newest_first(enter: Enter, add_task: AddTask) -> None:
    browser = enter()
    assert "No tasks yet." in browser.get("/web").text
    for title in ("one", "two"):
        add_task(title)
    add_task("three", state="unresolved")
    page = browser.get("/web").text
    assert re.findall(r'class="title">(\w+)', page) == ["three", "two", "one"]
    assert re.findall(r'class="title">(\w+)', browser.get("/web?state=queued").text) == ["two", "one"]
    assert re.findall(r'class="title">(\w+)', browser.get("/web?q=TW").text) == ["two"]
    assert re.findall(r'class="title">(\w+)', browser.get("/web?source=other").text) == []
    assert 'All <span class="count">3</span>' in page and 'Unresolved <span class="count">1</span>' in page


def test_a_search_is_taken_as_it_is_written(enter: Enter, add_task: AddTask) -> None:
    browser = enter()
    add_task("100% of it_all")
    add_task("1000 of it all")
    assert re.findall(r'class="title">([^<]+)', browser.get("/web?q=0%25 of it_").text) == ["100% of it_all"]
    assert browser.get("/web", X="y").status_code == 200
    assert browser.client.get("/web", params={"q": "\x00'\"\\"}, headers=OWN).status_code == 200


def test_a_long_list_has_pages(enter: Enter, add_task: AddTask) -> None:
    for number in range(103):
        add_task(f"n{number}")
    browser, seen, path = enter(), [], "/web?state=queued"
    for _ in range(3):
        page = browser.get(path).text
        seen += re.findall(r'class="title">n(\d+)', page)
        following = re.search(r'rel="next" href="([^"]+)"', page)
        path = "/web" + following[1].replace("&amp;", "&") if following else ""
    assert sorted(map(int, seen)) == list(range(103)) and not path
    assert browser.get("/web?cursor=nonsense").status_code == 400


def test_a_draft_is_told_from_what_was_proven(
    enter: Enter, add_task: AddTask, add_attempt: Callable[..., None], database: Database
) -> None:
    add_attempt(add_task("proven", state="resolved"), "published")
    browser = enter()
    assert ">draft</span>" not in browser.get("/web").text
    with database.system() as connection:
        connection.execute("UPDATE verdicts SET verdict = 'draft'")
    assert ">draft</span>" in browser.get("/web").text


def test_what_waits_for_a_person_is_found(
    enter: Enter, add_task: AddTask, add_attempt: Callable[..., None], database: Database
) -> None:
    add_task("running", state="running")
    add_task("waiting", state="waiting")
    held = add_task("held", state="resolved")
    add_attempt(held, "held")
    browser = enter()
    assert re.findall(r'class="title">(\w+)', browser.get("/web?state=needs-you").text) == ["held", "waiting"]
    assert 'Needs you <span class="count">2</span>' in browser.get("/web").text


def test_a_task_is_told_as_a_story(enter: Enter, add_task: AddTask, add_attempt: Callable[..., None]) -> None:
    task = add_task(state="resolved", url="https://forge.example/acme/shop/issues/1")
    add_attempt(task)
    page = enter().get(f"/web/tasks/{task}").text
    order = [page.index(f'id="{name}"') for name in ("issue", "plan", "activity", "patch", "tests", "gate", "thread")]
    assert order == sorted(order)
    assert "It should be <strong>3</strong>." in page
    assert "looks for places in &lt;b&gt;shop&lt;/b&gt;" in page
    assert '<tr class="del"><td class="no">2</td><td class="no"></td>' in page
    assert "return sum(prices[1:])" in page and '<span class="plus">+1</span>' in page
    assert "It applies to <code>shop</code>." in page and "Proven &lt;i&gt;well&lt;/i&gt;." in page
    assert 'href="https://forge.example/acme/shop/issues/1" rel="nofollow noopener noreferrer"' in page


def test_what_comes_from_data_is_shown_and_never_run(
    enter: Enter, add_task: AddTask, add_attempt: Callable[..., None]
) -> None:
    body = f"{HOSTILE}\n\n[a](javascript:alert(3)) ![b](https://evil.example/x.png) <style>*{{}}</style>"
    task = add_task(HOSTILE, body=body, url="javascript:alert(4)", source="<i>shop</i>")
    add_attempt(task)
    browser = enter(person='"><script>alert(5)</script>')
    for path in ("/web", f"/web/tasks/{task}", "/web?q=%3Cscript%3E", "/web?source=%22%3E%3Cscript%3E", "/web/offline"):
        answer = browser.get(path)
        reader = Reader()
        reader.feed(answer.text)
        assert answer.status_code == 200
        assert reader.scripts == [files().place("page.mjs")]
        assert not reader.inline
        assert all(one.startswith(f"/web/static/{files().digest}/") for one in reader.loaded), reader.loaded
        assert 'href="javascript:' not in answer.text and "49" not in re.findall(r'class="title">([^<]*)', answer.text)


def test_the_policy_lets_nothing_run_that_is_not_ours(enter: Enter, add_task: AddTask, client: TestClient) -> None:
    browser = enter()
    for answer in (
        browser.get("/web"),
        browser.get(f"/web/tasks/{add_task()}"),
        browser.get(f"/web/tasks/{uuid.uuid4()}"),
        client.get("/web/sign-in", headers=OWN),
    ):
        policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
        assert policy["default-src"] == "'none'" and policy["script-src"] == policy["style-src"] == "'self'"
        assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_another_teams_tasks_are_not_there(
    enter: Enter, add_task: AddTask, other_team: tuple[uuid.UUID, dict[str, str]]
) -> None:
    own, theirs = add_task("ours"), add_task("theirs", team=other_team[0])
    for browser, mine, foreign in (
        (enter(), own, theirs), (enter(team=other_team[0]), theirs, own),
    ):  # fmt: skip
        assert len(re.findall(r'class="title">', browser.get("/web").text)) == 1
        assert browser.get(f"/web/tasks/{mine}").status_code == 200
        answer = browser.get(f"/web/tasks/{foreign}")
        assert (answer.status_code, "There is nothing here" in answer.text) == (404, True)
        assert browser.send(f"/web/tasks/{foreign}/cancel", {"form": browser.form_token()}).status_code == 404
        assert browser.get("/web/tasks/no-id").status_code == 404


def test_forms_act_and_go_back_to_the_task(
    enter: Enter, add_task: AddTask, add_attempt: Callable[..., None], authorised: dict[str, str], database: Database
) -> None:
    browser = enter(person="ada")
    form = {"form": browser.form_token()}
    task = add_task(state="running")
    assert "cancelled by ada" in browser.send(f"/web/tasks/{task}/cancel", form).text
    assert browser.send(f"/web/tasks/{task}/retry", form).status_code == 200
    assert browser.send(f"/web/tasks/{task}/retry", form).status_code == 409
    held = add_task("held", state="resolved")
    add_attempt(held, "held")
    assert "Waits for approval" in browser.get(f"/web/tasks/{held}").text
    assert "Waits for approval" not in browser.send(f"/web/tasks/{held}/approve", form).text
    entries = browser.client.get("/audit", headers=authorised).json()["entries"]
    assert [(e["actor"], e["action"], e["outcome"]) for e in entries[:4]] == [
        ("ada", "task.approve", "done"),
        ("ada", "task.retry", "failed"),
        ("ada", "task.retry", "done"),
        ("ada", "task.cancel", "done"),
    ]
    with database.team(DEFAULT_TEAM) as connection:
        assert connection.execute("SELECT approved_by FROM publications").fetchall() == [("ada",)]


def test_a_viewer_reads_and_is_offered_nothing_else(
    enter: Enter, add_task: AddTask, add_attempt: Callable[..., None]
) -> None:
    task = add_task(state="resolved")
    add_attempt(task, "held")
    browser = enter(role="viewer")
    page = browser.get(f"/web/tasks/{task}").text
    assert "Waits for approval" in page and "An operator can approve it." in page
    assert "<form" not in page.replace('<form method="post" action="/web/session/end">', "").replace(
        '<form method="dialog">', ""
    ).replace('<form class="composer"', "")
    for name in ("approve", "cancel", "retry", "answer"):
        answer = browser.send(f"/web/tasks/{task}/{name}", {"form": browser.form_token()})
        assert (answer.status_code, "Your role does not allow this" in answer.text) == (403, True)


def test_the_thread_is_read_and_written_without_scripts(enter: Enter, add_task: AddTask) -> None:
    task, browser = add_task(), enter()
    page = browser.get(f"/web/tasks/{task}").text
    [message] = re.findall(r'name="message" value="([^"]+)"', page)
    fields = {"form": browser.form_token(), "message": message, "text": "<b>Why?</b>\r\nReally."}
    for _ in range(2):
        page = browser.send(f"/web/tasks/{task}/say", fields).text
    assert page.count("&lt;b&gt;Why?&lt;/b&gt;\nReally.") == 2, "as an answer of the task, and in the thread"
    refreshed = browser.get(f"/web/tasks/{task}", **{"Penstock-Refresh": "1"}).text
    assert refreshed.count("&lt;b&gt;Why?&lt;/b&gt;\nReally.") == 1, "a page with scripts reads the thread by itself"
    viewer = enter(role="viewer", person="eve")
    page = viewer.get(f"/web/tasks/{task}").text
    assert "&lt;b&gt;Why?" in page and "/say" not in page
    assert (
        viewer.send(
            f"/web/tasks/{task}/say", {**fields, "form": viewer.form_token(), "message": str(uuid.uuid4())}
        ).status_code
        == 409
    )
    for wrong in ({"form": "x"}, {"text": " "}, {"text": "x" * 60_001}, {"message": "x"}):
        assert browser.send(f"/web/tasks/{task}/say", fields | wrong).status_code in (400, 403)
    assert browser.send(f"/web/tasks/{uuid.uuid4()}/say", fields).status_code == 404


def test_files_are_kept_for_good_under_a_name_that_changes_with_them(client: TestClient) -> None:
    for name in files().files:
        answer = client.get(files().place(name))
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
    for path in (
        f"/web/static/{'0' * 16}/page.css", f"/web/static/{files().digest}/../files.py",
        f"/web/static/{files().digest}/%2e%2e%2ffiles.py", f"/web/static/{files().digest}/x.css",
    ):  # fmt: skip
        assert client.get(path).status_code == 404, path


def test_every_module_that_is_imported_is_served() -> None:
    for name, (_, content) in files().files.items():
        for imported in re.findall(r'(?:from|import\() ?"\./([^"]+)"', content.decode()):
            assert imported in files().files, f"{name} imports {imported}"
    assert {path.name for path in FOLDER.iterdir()} == set(files().files)


def test_the_worker_knows_this_versions_files(client: TestClient) -> None:
    answer = client.get("/web/worker.js")
    assert files().digest in answer.text and "__" not in answer.text.replace("__proto__", "")
    assert files().place("thread.mjs") in answer.text
    assert (answer.headers["service-worker-allowed"], answer.headers["cache-control"]) == ("/web", "no-cache")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a `b<c` d", "a <code>b&lt;c</code> d"),
        ("see https://x.example/a?b=1&c=2.", 'see <a href="https://x.example/a?b=1&amp;c=2" '
         'rel="nofollow noopener noreferrer">https://x.example/a?b=1&amp;c=2</a>.'),
        ("<script>", "&lt;script&gt;"),
        ("javascript:alert(1)", "javascript:alert(1)"),
        ('https://x"onclick=', '<a href="https://x" rel="nofollow noopener noreferrer">https://x</a>&#34;onclick='),
    ],
)  # fmt: skip
def test_code_and_addresses_are_marked_in_escaped_text(text: str, shown: str) -> None:
    assert ticks(text) == shown


def test_a_text_that_is_too_long_is_not_formatted() -> None:
    assert formatted("*a*") == "<p><em>a</em></p>\n"
    assert formatted("x" * 60_001) is None

import base64
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook
from starlette.testclient import TestClient

from core.credentials import Credentials
from core.events import DEFAULT_TEAM, task_id

DATA = Path(__file__).parents[1] / "data" / "webhooks" / "github"
SHARED = Path(__file__).parents[3] / "shared" / "webhooks" / "github"
SAMPLES = sorted({(p.parent.name, p.name): p for root in (DATA, SHARED) for p in root.glob("*/*.json")}.values())

Stored = Callable[[str], list[tuple[Any, ...]]]


def test_an_issue_opened_in_a_configured_source_starts_one_task(
    client: TestClient, sender: Any, issue: dict[str, Any], add_source: Callable[..., None], stored: Stored
) -> None:
    add_source()
    answer = client.request("POST", **sender.github(issue, delivery="d1"))
    task = task_id(DEFAULT_TEAM, "github:d1")
    assert answer.status_code == 202
    assert answer.json() == {"status": "accepted", "delivery": "github:d1", "task": str(task)}
    assert stored("SELECT id, state, kind, task_id, duplicates FROM deliveries") == [
        ("github:d1", "task", "issues.opened", task, 0)
    ]
    assert stored("SELECT id, event_id, source, title, body, url, author, state FROM tasks") == [
        (
            task,
            "github:d1",
            "hello",
            "Total is wrong",
            "It should be 3.",
            "https://github.com/Codertocat/Hello-World/issues/1",
            "Codertocat",
            "queued",
        )
    ]
    events = client.app.state.gateway.log.read("penstock.tasks", {}).records  # type: ignore[attr-defined]
    assert [(r.event.id, r.event.type, r.event.subject, r.event.data["task"]) for r in events] == [
        ("github:d1", "penstock.task.requested", "hello", str(task))
    ]


def test_a_delivery_that_was_ignored_is_taken_when_it_is_sent_again_after_its_source_was_added(
    client: TestClient, sender: Any, issue: dict[str, Any], add_source: Callable[..., None], stored: Stored
) -> None:
    request = sender.github(issue, delivery="d1")
    first, again = client.request("POST", **request), client.request("POST", **request)
    assert (first.json()["status"], again.json()["status"]) == ("ignored", "duplicate")
    add_source()
    with ThreadPoolExecutor(4) as several:  # GitHub may be asked more than once
        answers = list(several.map(lambda _: client.request("POST", **request), range(4)))
    assert sorted(answer.json()["status"] for answer in answers) == ["accepted", *["duplicate"] * 3]
    task = task_id(DEFAULT_TEAM, "github:d1")
    assert {answer.json()["task"] for answer in answers} == {str(task)}
    assert stored("SELECT id, state, reason, task_id, duplicates FROM deliveries") == [
        ("github:d1", "task", None, task, 3)
    ]
    assert stored("SELECT id, source FROM tasks") == [(task, "hello")]
    assert len(client.app.state.gateway.log.read("penstock.tasks", {}).records) == 1  # type: ignore[attr-defined]


def test_an_ignored_delivery_is_not_taken_with_another_body_or_when_it_means_nothing(
    client: TestClient, sender: Any, issue: dict[str, Any], add_source: Callable[..., None], stored: Stored
) -> None:
    client.request("POST", **sender.github(issue, delivery="d1"))
    client.request("POST", **sender.github({"zen": "x"}, delivery="d2", event="ping"))
    add_source()
    other = issue | {"issue": issue["issue"] | {"title": "Another"}}
    answers = [
        client.request("POST", **sender.github(other, delivery="d1")),
        client.request("POST", **sender.github({"zen": "x"}, delivery="d2", event="ping")),
    ]
    assert [answer.json()["status"] for answer in answers] == ["duplicate", "duplicate"]
    assert stored("SELECT state, duplicates FROM deliveries ORDER BY id") == [("ignored", 1), ("ignored", 1)]
    assert stored("SELECT id FROM tasks") == []


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"X-Hub-Signature-256": None}, "signature-missing"),
        ({"X-Hub-Signature-256": ""}, "signature-missing"),
        ({"X-Hub-Signature-256": "sha256=" + "0" * 64}, "signature-wrong"),
        ({"X-Hub-Signature-256": "sha1=abc"}, "signature-wrong"),
        ({"X-Hub-Signature-256": "sha256=\xe9"}, "signature-wrong"),
    ],
)
def test_a_delivery_without_a_right_signature_is_refused_and_leaves_no_trace(
    client: TestClient, sender: Any, issue: dict[str, Any], stored: Stored, change: dict[str, Any], code: str
) -> None:
    request = sender.github(issue)
    for name, value in change.items():
        request["headers"].pop(name)
        if value is not None:
            request["headers"][name] = value.encode("latin-1")
    answer = client.request("POST", **request)
    assert (answer.status_code, answer.json()["code"]) == (401, code)
    assert stored("SELECT * FROM deliveries") == []


def test_a_body_changed_after_signing_is_refused(client: TestClient, sender: Any, issue: dict[str, Any]) -> None:
    request = sender.github(issue)
    request["content"] += b" "
    assert client.request("POST", **request).status_code == 401


def test_every_configured_github_secret_is_accepted_and_a_retired_one_is_not(
    make_client: Callable[..., TestClient], settings: Any, database: Any, sender: Any, issue: dict[str, Any]
) -> None:
    from gateway.app import create_app

    rotating = Credentials("pst_x", ("new secret", "old secret"), ("whsec_eHh4",))
    client = TestClient(create_app(settings, database, rotating))
    assert client.request("POST", **sender.github(issue, secret="new secret")).status_code == 202
    assert client.request("POST", **sender.github(issue, secret="old secret")).status_code == 202
    assert client.request("POST", **sender.github(issue, secret="older secret")).status_code == 401


@pytest.mark.parametrize("header", ["X-GitHub-Delivery", "X-GitHub-Event"])
def test_a_missing_header_is_named(client: TestClient, sender: Any, issue: dict[str, Any], header: str) -> None:
    request = sender.github(issue)
    del request["headers"][header]
    answer = client.request("POST", **request)
    assert answer.status_code == 400
    assert answer.json()["field"] == header


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"[1]", "a JSON object, not a list"),
        (b"null", "a JSON object, not null"),
        (b"3", "a JSON object, not a number"),
        (b"{} {}", "not JSON"),
        (b'{"a": NaN}', "NaN"),
        (b'{"a": "\xff"}', "not UTF-8"),
        (b"[" * 200_000, "nested too deeply"),
        (b'{"a": ' * 20_000 + b"1" + b"}" * 20_000, "nested too deeply"),
        (b'{"a": ' + b"9" * 5000 + b"}", "too many digits"),
        ('{"a": 1}'.encode("utf-16"), "not UTF-8"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_malformed_body_is_refused_saying_what_is_wrong(
    client: TestClient, sender: Any, stored: Stored, body: bytes, says: str
) -> None:
    answer = client.request("POST", **sender.github(body))
    assert answer.status_code == 400, answer.text
    assert says in answer.json()["error"]
    assert stored("SELECT * FROM deliveries") == []


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        ("action", None, "action"),
        ("issue", None, "issue.title"),
        ("issue", "text", "issue"),
        ("issue.title", None, "issue.title"),
        ("issue.title", 7, "issue.title"),
        ("issue.body", ["a"], "issue.body"),
        ("issue.user", "me", "issue.user"),
        ("repository", None, "repository.full_name"),
        ("repository.full_name", "noslash", "repository.full_name"),
    ],
)
def test_a_missing_or_wrong_field_is_named(
    client: TestClient, sender: Any, issue: dict[str, Any], path: str, value: Any, field: str
) -> None:
    *parents, name = path.split(".")
    holder = issue
    for parent in parents:
        holder = holder[parent]
    if value is None:
        del holder[name]
    else:
        holder[name] = value
    answer = client.request("POST", **sender.github(issue))
    assert answer.status_code == 400
    assert answer.json()["field"] == field
    assert field in answer.json()["error"]


def test_text_that_the_database_cannot_store_is_replaced(
    client: TestClient, sender: Any, issue: dict[str, Any], add_source: Callable[..., None], stored: Stored
) -> None:
    add_source()
    issue["issue"]["title"] = "nul \x00 and \ud800 lone"
    issue["issue"]["body"] = "\x00\udfff"
    issue["action\x00"] = issue["extra"] = "\x00"
    assert client.request("POST", **sender.github(issue)).status_code == 202
    assert stored("SELECT title, body FROM tasks") == [("nul \ufffd and \ufffd lone", "\ufffd\ufffd")]


def test_duplicate_keys_and_long_numbers_are_harmless(client: TestClient, sender: Any) -> None:
    body = b'{"action": "opened", "action": "closed", "n": 1e999, "m": ' + b"9" * 4000 + b"}"
    answer = client.request("POST", **sender.github(body))
    assert answer.status_code == 202
    assert answer.json()["reason"] == "issues.closed starts no work"


def test_long_texts_are_cut_and_say_so(
    client: TestClient, sender: Any, issue: dict[str, Any], add_source: Callable[..., None], stored: Stored
) -> None:
    add_source()
    issue["issue"]["title"] = "t" * 2000
    issue["issue"]["body"] = "é" * 100_000
    assert client.request("POST", **sender.github(issue)).status_code == 202
    [(title, body)] = stored("SELECT title, body FROM tasks")
    assert len(title) == 500
    assert title.endswith("…")
    assert len(body.encode()) < 66_000
    assert "200000 bytes" in body[-100:]


def test_an_address_that_is_not_a_web_address_is_dropped(
    client: TestClient, sender: Any, issue: dict[str, Any], add_source: Callable[..., None], stored: Stored
) -> None:
    add_source()
    issue["issue"]["html_url"] = "javascript:alert(1)"
    assert client.request("POST", **sender.github(issue)).status_code == 202
    assert stored("SELECT url FROM tasks") == [(None,)]


def test_a_repository_that_is_not_a_source_is_ignored_with_the_reason(
    client: TestClient, sender: Any, issue: dict[str, Any], stored: Stored
) -> None:
    answer = client.request("POST", **sender.github(issue, delivery="d1"))
    reason = "repository codertocat/hello-world is not a configured source"
    assert answer.status_code == 202
    assert answer.json() == {"status": "ignored", "delivery": "github:d1", "reason": reason}
    assert stored("SELECT state, reason, task_id FROM deliveries") == [("ignored", reason, None)]


@pytest.mark.parametrize(
    ("action", "label", "status"),
    [("opened", "bug", "ignored"), ("labeled", "Bug", "accepted"), ("labeled", "other", "ignored")],
)
def test_with_a_trigger_label_only_issues_given_that_label_start_work(
    make_client: Callable[..., TestClient],
    sender: Any,
    issue: dict[str, Any],
    add_source: Callable[..., None],
    action: str,
    label: str,
    status: str,
) -> None:
    add_source()
    client = make_client(trigger_label="bug")
    issue |= {"action": action, "label": {"name": label}}
    answer = client.request("POST", **sender.github(issue)).json()
    assert answer["status"] == status
    assert ("reason" in answer) == (status == "ignored")


def test_every_sample_payload_is_acknowledged_and_recorded(
    client: TestClient, sender: Any, add_source: Callable[..., None], stored: Stored
) -> None:
    add_source()
    expected: set[tuple[str, str, str, bool]] = set()
    opened = set()
    for number, sample in enumerate(SAMPLES):
        event = sample.parent.name
        answer = client.request("POST", **sender.github(sample.read_bytes(), event=event, delivery=f"d{number}"))
        payload = json.loads(sample.read_bytes())
        action = payload.get("action")
        state = "ignored"
        ticket = event in ("issues", "issue_comment", "pull_request", "pull_request_review_comment")
        if (event, action) == ("issues", "opened"):
            issue = (payload["repository"]["id"], payload["issue"]["number"], payload["issue"]["created_at"])
            state = "duplicate" if issue in opened else "task"
            opened.add(issue)
        elif ticket or (event == "push" and payload["ref"].startswith("refs/heads/")):
            state = "change"
        assert answer.status_code == (200 if state == "duplicate" else 202), (sample, answer.text)
        reported = state in ("task", "change")
        expected.add((f"github:d{number}", f"{event}.{action}" if action else event, state, reported))
    assert len(expected) >= 7
    assert set(stored("SELECT id, kind, state, reason IS NULL FROM deliveries")) == expected


def test_a_push_to_a_configured_source_is_a_change_on_the_log(
    client: TestClient, sender: Any, add_source: Callable[..., None], stored: Stored
) -> None:
    add_source()
    payload = json.loads((DATA / "push" / "with-new-branch.payload.json").read_bytes())
    assert client.request("POST", **sender.github(payload, event="push", delivery="p")).status_code == 202
    [record] = client.app.state.gateway.log.read("penstock.changes", {}).records  # type: ignore[attr-defined]
    assert (record.event.id, record.event.type, record.event.subject) == (
        "github:p",
        "penstock.source.changed",
        "hello",
    )
    assert dict(record.event.data) == {
        "source": "hello",
        "ref": payload["ref"],
        "before": payload["before"],
        "after": payload["after"],
    }
    assert stored("SELECT * FROM tasks") == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"ref": "refs/tags/v1"}, "not a branch"),
        ({"deleted": True}, "was deleted"),
        ({"ref": "refs/heads/penstock/0b1c"}, "Penstock's own"),
    ],
)
def test_pushes_of_tags_deleted_and_own_branches_are_ignored(
    client: TestClient, sender: Any, add_source: Callable[..., None], change: dict[str, Any], says: str
) -> None:
    add_source()
    payload = json.loads((DATA / "push" / "with-new-branch.payload.json").read_bytes()) | change
    assert says in client.request("POST", **sender.github(payload, event="push")).json()["reason"]


def test_a_repeated_delivery_is_counted_and_changes_nothing(
    client: TestClient, sender: Any, issue: dict[str, Any], add_source: Callable[..., None], stored: Stored
) -> None:
    add_source()
    first = client.request("POST", **sender.github(issue, delivery="d1"))
    issue["issue"]["title"] = "another title"
    second = client.request("POST", **sender.github(issue, delivery="d1"))
    assert (first.status_code, second.status_code) == (202, 200)
    assert second.json() == {**first.json(), "status": "duplicate"}
    assert stored("SELECT duplicates FROM deliveries") == [(1,)]
    assert stored("SELECT title FROM tasks") == [("Total is wrong",)]


def test_a_form_is_refused_saying_which_setting_to_change(client: TestClient, sender: Any) -> None:
    request = sender.github(b"payload=%7B%7D")
    request["headers"]["Content-Type"] = "application/x-www-form-urlencoded"
    answer = client.request("POST", **request)
    assert answer.status_code == 400
    assert "application/json" in answer.json()["error"]


def test_one_delivery_sent_twenty_times_simultaneously_makes_one_task_and_one_event(
    client: TestClient, sender: Any, issue: dict[str, Any], add_source: Callable[..., None], stored: Stored
) -> None:
    add_source()
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: client.request("POST", **sender.github(issue, delivery="d1")), range(20)))
    assert sorted(answer.status_code for answer in answers) == [200] * 19 + [202]
    assert stored("SELECT duplicates FROM deliveries") == [(19,)]
    assert stored("SELECT count(*) FROM tasks") == [(1,)]
    log = client.app.state.gateway.log  # type: ignore[attr-defined]
    assert len(log.read("penstock.tasks", {}).records) == 1


def test_a_generic_delivery_creates_a_task(
    client: TestClient, sender: Any, add_source: Callable[..., None], stored: Stored
) -> None:
    add_source()
    payload = {"type": "task.requested", "data": {"source": "hello", "title": "Fix it", "body": "please"}}
    answer = client.request("POST", **sender.generic(payload, delivery="m1"))
    assert answer.status_code == 202
    assert answer.json()["delivery"] == "generic:m1"
    assert stored("SELECT source, title, body FROM tasks") == [("hello", "Fix it", "please")]
    assert client.request("POST", **sender.generic(payload, delivery="m1")).status_code == 200


@pytest.mark.parametrize(
    ("payload", "state", "reason"),
    [
        ({"type": "source.changed", "data": {"source": "hello"}}, "change", None),
        ({"type": "invoice.paid", "data": {}}, "ignored", "invoice.paid starts no work"),
        (
            {"type": "source.changed", "data": {"source": "x"}},
            "ignored",
            "source x is not a configured source",
        ),
    ],
)
def test_generic_deliveries_of_each_kind_are_recorded(
    client: TestClient,
    sender: Any,
    add_source: Callable[..., None],
    stored: Stored,
    payload: dict[str, Any],
    state: str,
    reason: str | None,
) -> None:
    add_source()
    assert client.request("POST", **sender.generic(payload)).status_code == 202
    assert stored("SELECT state, reason FROM deliveries") == [(state, reason)]


@pytest.mark.parametrize(
    ("payload", "field"),
    [
        ({}, "type"),
        ({"type": "task.requested"}, "data.source"),
        ({"type": "task.requested", "data": {"source": "hello"}}, "data.title"),
        ({"type": "task.requested", "data": 3}, "data"),
        ({"type": "task.requested", "data": {"source": "", "title": "t"}}, "data.source"),
    ],
)
def test_a_wrong_field_of_a_generic_delivery_is_named(
    client: TestClient, sender: Any, payload: dict[str, Any], field: str
) -> None:
    answer = client.request("POST", **sender.generic(payload))
    assert (answer.status_code, answer.json()["field"]) == (400, field)


@pytest.mark.parametrize("age", [-400, 400])
def test_a_generic_delivery_from_another_time_is_refused(client: TestClient, sender: Any, age: int) -> None:
    answer = client.request("POST", **sender.generic({"type": "x"}, at=int(time.time()) - age))
    assert (answer.status_code, answer.json()["code"]) == (401, "timestamp-stale")


@pytest.mark.parametrize("header", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_generic_delivery_without_one_of_its_headers_is_refused(client: TestClient, sender: Any, header: str) -> None:
    request = sender.generic({"type": "x"})
    del request["headers"][header]
    answer = client.request("POST", **request)
    assert answer.status_code == 401
    assert header in answer.json()["error"]


def test_one_right_signature_among_several_is_enough(client: TestClient, sender: Any) -> None:
    request = sender.generic({"type": "x"})
    right = request["headers"]["webhook-signature"]
    request["headers"]["webhook-signature"] = f"v1 v1,@@ v2,abc v1a,{'A' * 44} v1,{'A' * 44}= {right}"
    assert client.request("POST", **request).status_code == 202
    request["headers"]["webhook-signature"] = right.replace("v1,", "v2,")
    assert client.request("POST", **request).status_code == 401


def test_a_signature_by_the_reference_library_is_accepted(
    client: TestClient, credentials: Credentials, sender: Any
) -> None:
    from datetime import UTC, datetime

    request = sender.generic({"type": "x"}, delivery="msg_1")
    at = datetime.fromtimestamp(int(request["headers"]["webhook-timestamp"]), UTC)
    library = Webhook(credentials.generic_secrets[0])
    signature = library.sign("msg_1", at, request["content"].decode())
    assert signature == request["headers"]["webhook-signature"]
    library.verify(request["content"], request["headers"])
    assert base64.b64decode(signature.removeprefix("v1,"))
    assert client.request("POST", **request).status_code == 202


def test_metrics_count_the_outcomes_of_deliveries(
    client: TestClient, sender: Any, issue: dict[str, Any], add_source: Callable[..., None], authorised: dict[str, str]
) -> None:
    add_source()
    for _ in range(2):
        client.request("POST", **sender.github(issue, delivery="d1"))
    client.request("POST", **sender.github({}, event="ping"))
    client.request("POST", **sender.github(issue, secret="wrong"))
    text = client.get("/metrics", headers=authorised).text
    for line in (
        'penstock_deliveries_total{origin="github",state="task"} 1.0',
        'penstock_deliveries_total{origin="github",state="duplicate"} 1.0',
        'penstock_deliveries_total{origin="github",state="ignored"} 1.0',
        'penstock_refused_total{code="signature-wrong",route="/webhooks/github"} 1.0',
        'penstock_tasks{state="queued"} 1.0',
        'penstock_log_end_offset{topic="penstock.tasks"} 1.0',
    ):
        assert line in text, text

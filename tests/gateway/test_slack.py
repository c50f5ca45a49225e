"""Slack's events, buttons and slash commands at the gateway."""

import dataclasses
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from starlette.testclient import TestClient

from core.credentials import Credentials
from core.payload import BadField
from core.rules import read_rules
from core.settings import Settings
from core.signatures import sign_slack
from core.tickets.slack import plain
from gateway import slack
from tests.gateway.forge_cases import Stored, but
from tests.gateway.slack_cases import BOT, CHANNEL, SECRET, TS, click, clicked, event, signed, slash

TASKS = "SELECT title, body, author, starter, starter_id, ticket_service, ticket_project, ticket_key FROM tasks"
COMMANDS = "SELECT command, author, author_id, ticket_service, ticket_project, ticket_key FROM commands ORDER BY 1"
OTHER = "another-secret"


@pytest.fixture
def credentials(credentials: Credentials) -> Credentials:
    return dataclasses.replace(credentials, slack_secrets=(OTHER, SECRET))


@pytest.fixture
def linked(client: TestClient, link: Callable[..., None]) -> TestClient:
    link("slack", CHANNEL)
    return client


def test_the_signing_secrets_are_a_setting(settings: Settings, database: Any) -> None:
    from core.credentials import load_or_make

    assert load_or_make(settings).slack_secrets == ()
    both = settings.model_copy(update={"slack_signing_secret": SecretStr(f"{OTHER}, {SECRET}")})
    assert load_or_make(both).slack_secrets == (OTHER, SECRET)


def test_the_published_example_of_a_signature() -> None:
    """https://docs.slack.dev/authentication/verifying-requests-from-slack"""
    body = (
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&"
        b"channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&"
        b"response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&"
        b"trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
    )
    expected = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
    assert sign_slack(SECRET, 1531420618, body) == expected


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"X-Slack-Signature": None}, "signature-missing"),
        ({"X-Slack-Request-Timestamp": None}, "signature-missing"),
        ({"X-Slack-Request-Timestamp": "1e9"}, "timestamp-wrong"),
        ({"X-Slack-Request-Timestamp": "5"}, "signature-wrong"),
        ({"X-Slack-Signature": "v0="}, "signature-wrong"),
        ({"X-Slack-Signature": "v0=" + "é" * 64}, "signature-wrong"),
    ],
)
def test_a_wrong_signature_is_refused(
    linked: TestClient, stored: Stored, change: dict[str, str | None], code: str
) -> None:
    request = signed(event(f"<@{BOT}> fix it"))
    headers = {name: value for name, value in (request["headers"] | change).items() if value is not None}
    answer = linked.request("POST", **{**request, "headers": {k: v.encode() for k, v in headers.items()}})
    assert (answer.status_code, answer.json()["code"]) == (401, code)
    assert stored("SELECT count(*) FROM deliveries") == [(0,)]


def test_a_signature_is_for_its_body_its_time_and_either_secret(linked: TestClient, stored: Stored) -> None:
    for seconds in (-400, 400):
        stale = linked.request("POST", **signed(event("x"), at=int(time.time()) + seconds))
        assert (stale.status_code, stale.json()["code"]) == (401, "timestamp-stale")
    other = signed(event("x")) | {"content": json.dumps(event("y")).encode()}
    assert linked.request("POST", **other).json()["code"] == "signature-wrong"
    assert linked.request("POST", **signed(event("x"), secret="a third")).json()["code"] == "signature-wrong"
    for secret in (SECRET, OTHER):
        assert linked.request("POST", **signed(event("x"), secret=secret)).status_code == 200
    assert stored("SELECT count(*) FROM deliveries") == [(2,)]


def test_without_a_secret_nothing_is_accepted(make_client: Callable[..., TestClient], credentials: Credentials) -> None:
    client = make_client()
    client.app.state.gateway.credentials = dataclasses.replace(credentials, slack_secrets=())  # type: ignore[attr-defined]
    answer = client.request("POST", **signed(event("x")))
    assert (answer.status_code, answer.json()["code"]) == (401, "secret-missing")


def test_a_new_address_is_confirmed(linked: TestClient, stored: Stored) -> None:
    challenge = {"type": "url_verification", "challenge": "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P"}
    answer = linked.request("POST", **signed(challenge))
    assert (answer.status_code, answer.json()) == (200, {"challenge": challenge["challenge"]})
    assert linked.request("POST", **signed(challenge | {"challenge": "<script>\n"})).status_code == 400
    assert linked.request("POST", **signed(challenge | {"challenge": ["x"]})).status_code == 400
    assert linked.request("POST", **signed(challenge, secret="forged")).status_code == 401
    assert stored("SELECT count(*) FROM deliveries") == [(0,)]


def test_a_mention_starts_a_task(linked: TestClient, stored: Stored) -> None:
    text = (
        f"<@{BOT}> The total is wrong\nIt is 3 &lt; 4, says <@U0BOB> in <#C0X|general>: <https://x.org/a?b=1&amp;c|log>"
    )
    answer = linked.request("POST", **signed(event(text)))
    assert (answer.status_code, answer.json()["status"]) == (200, "accepted")
    body = "The total is wrong\nIt is 3 < 4, says @U0BOB in #general: log (https://x.org/a?b=1&c)"
    assert stored(TASKS) == [("The total is wrong", body, "U0ADA", "U0ADA", "U0ADA", "slack", CHANNEL, TS)]


def test_one_mention_is_one_task(linked: TestClient, stored: Stored) -> None:
    first = event(f"<@{BOT}> fix it")
    for _ in range(3):
        request = signed(first)
        request["headers"]["X-Slack-Retry-Num"] = "1"
        assert linked.request("POST", **request).status_code == 200
    # Slack reports a mention as a message too, to apps that have subscribed to both.
    assert linked.request("POST", **signed(event(f"<@{BOT}> fix it", "message"))).json()["status"] == "duplicate"
    again = event(f"<@{BOT}> fix it, really", ts="1772359300.000100", thread_ts=TS)
    assert "still open" in linked.request("POST", **signed(again)).json()["reason"]
    assert stored("SELECT count(*) FROM tasks") == [(1,)]
    assert stored("SELECT duplicates FROM deliveries ORDER BY duplicates DESC LIMIT 1") == [(2,)]


def test_a_mention_within_a_thread_is_about_the_thread(linked: TestClient, stored: Stored) -> None:
    linked.request("POST", **signed(event(f"hey <@{BOT}>, fix it", ts="1772359300.000100", thread_ts=TS)))
    assert stored("SELECT title, ticket_key FROM tasks") == [("hey fix it", TS)]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"text": "fix it"}, "does not mention"),
        ({"text": f"&gt; <@{BOT}> fix it"}, "does not mention"),
        ({"text": f"```\n<@{BOT}> fix it\n```"}, "does not mention"),
        ({"text": f"`<@{BOT}> fix it`"}, "does not mention"),
        ({"text": "<@U0OTHER> fix it"}, "does not mention"),
        ({"text": "@penstock fix it"}, "does not mention"),
        ({"bot_id": "B0OTHER"}, "a program's own"),
        ({"subtype": "bot_message", "bot_id": "B1"}, "a program's own"),
        ({"subtype": "message_changed", "user": None}, "an edit"),
        ({"edited": {"user": "U0ADA", "ts": "1772359205.000000"}}, "an edit"),
        ({"user": None}, "nobody"),
        ({"user": BOT}, "does not mention"),
        ({"channel": "C0OTHER"}, "not a configured source"),
        ({"channel": "D0DIRECT", "channel_type": "im"}, "not a configured source"),
    ],
)
def test_what_starts_nothing_says_why(linked: TestClient, stored: Stored, change: dict[str, Any], reason: str) -> None:
    answer = linked.request("POST", **signed(event(**{"text": f"<@{BOT}> fix it", "kind": "message", **change})))
    assert (answer.status_code, answer.json()["status"]) == (200, "ignored")
    assert reason in answer.json()["reason"]
    assert stored("SELECT (SELECT count(*) FROM tasks), (SELECT count(*) FROM commands)") == [(0, 0)]


@pytest.mark.parametrize(
    ("rules", "tasks"),
    [
        (("mentioned:penstock",), 1),
        ((f"mentioned:penstock [{CHANNEL}]",), 1),
        (("mentioned:penstock [C0OTHER]",), 0),
        (("mentioned:other",), 0),
        (("labelled:bug",), 0),
        (("opened [acme/*]",), 0),
    ],
)
def test_rules_decide_about_mentions(
    make_client: Callable[..., TestClient],
    link: Callable[..., None],
    stored: Stored,
    rules: tuple[str, ...],
    tasks: int,
) -> None:
    link("slack", CHANNEL)
    answer = make_client(start_rules=rules).request("POST", **signed(event(f"<@{BOT}> fix it")))
    assert stored("SELECT count(*) FROM tasks") == [(tasks,)]
    assert tasks or "starts no task" in answer.json()["reason"]


@pytest.mark.parametrize(
    ("text", "commands"),
    [
        (f"<@{BOT}> stop", ["stop"]),
        (f"<@{BOT}>: Retry.", ["retry"]),
        (f"<@{BOT}>", ["help"]),
        ("please\n/penstock explain", ["explain"]),
        (f"<@{BOT}> approve\n<@{BOT}> explain", ["approve", "explain"]),
        (f"&gt; <@{BOT}> stop", []),
        (f"```<@{BOT}> stop```", []),
        ("stop", []),
    ],
)
def test_commands_in_threads(linked: TestClient, stored: Stored, text: str, commands: list[str]) -> None:
    for kind in ("app_mention", "message"):
        linked.request("POST", **signed(event(text, kind, ts="1772359300.000100", thread_ts=TS)))
    assert stored(COMMANDS) == [(c, "U0ADA", "U0ADA", "slack", CHANNEL, TS) for c in commands]
    assert stored("SELECT count(*) FROM tasks") == [(0,)]


@pytest.mark.parametrize(
    ("text", "title"),
    [(" stop the leak in m.py", "stop the leak in m.py"), (" benchmarks", "benchmarks"), ("\nfix it", "fix it")],
)
def test_a_request_that_is_like_a_command_is_a_request(
    linked: TestClient, stored: Stored, text: str, title: str
) -> None:
    linked.request("POST", **signed(event(f"<@{BOT}>{text}")))
    assert stored("SELECT title FROM tasks") == [(title,)]
    assert stored(COMMANDS) == []


def test_a_button_is_a_command(linked: TestClient, stored: Stored) -> None:
    payload = click("approve")
    for _ in range(2):
        assert linked.request("POST", **clicked(payload)).status_code == 200
    assert stored(COMMANDS) == [("approve", "ada", "U0ADA", "slack", CHANNEL, TS)]
    foreign = [{"type": "button", "action_id": "other", "value": "stop", "action_ts": TS}]
    assert linked.request("POST", **clicked(click("stop", actions=foreign))).json()["status"] == "ignored"
    assert linked.request("POST", **clicked(click("drop tables"))).json()["status"] == "ignored"
    elsewhere = click("stop", channel={"id": "C0OTHER"})
    assert linked.request("POST", **clicked(elsewhere)).json()["status"] == "ignored"
    assert len(stored(COMMANDS)) == 1


def test_slash_commands_name_their_thread(linked: TestClient, stored: Stored) -> None:
    def said(text: str, **fields: str) -> dict[str, Any]:
        answer = linked.request("POST", **signed(slash(text, **fields), form=True))
        assert answer.status_code == 200
        found: dict[str, Any] = answer.json()
        assert found["response_type"] == "ephemeral"
        return found

    link = f"https://acme.slack.com/archives/{CHANNEL}/p1772359300000100"
    assert "mention the app" in said("help")["text"]
    assert "mention the app" in said("")["text"]
    assert "mention the app" in said("stop")["text"]
    assert "mention the app" in said(f"stop {link.replace(CHANNEL, 'C0SECRET')}")["text"]
    assert "not linked" in said(f"stop {link.replace(CHANNEL, 'C0OTHER')}", channel_id="C0OTHER")["text"]
    assert stored(COMMANDS) == []
    assert "answers in the thread" in said(f"stop {link}?thread_ts={TS}&cid={CHANNEL}")["text"]
    assert "answers in the thread" in said(f"retry <{link}>")["text"]
    assert stored(COMMANDS) == [
        ("retry", "ada", "U0ADA", "slack", CHANNEL, "1772359300.000100"),
        ("stop", "ada", "U0ADA", "slack", CHANNEL, TS),
    ]


def test_an_odd_trigger_names_its_field_and_a_missing_one_does_not_matter(linked: TestClient) -> None:
    link = f"https://acme.slack.com/archives/{CHANNEL}/p1772359300000100"
    given = {"command": "/penstock", "text": f"stop {link}", "user_id": "U0ADA", "channel_id": CHANNEL}
    for trigger in ("\ud800", {}, 7, None):
        body = json.dumps(given | {"trigger_id": trigger}).encode()
        assert linked.request("POST", **signed(body)).status_code in (200, 400)


def test_a_backlog_refuses_nothing_that_no_sweep_could_find(
    make_client: Callable[..., TestClient], link: Callable[..., None], stored: Stored
) -> None:
    link("slack", CHANNEL)
    client = make_client(most_waiting=1)
    for second in range(3):
        said = event(f"<@{BOT}> fix it", ts=f"177235920{second}.000100")
        assert client.request("POST", **signed(said)).status_code == 200
    assert stored("SELECT count(*) FROM tasks") == [(3,)]


def test_threads_are_not_searchable(linked: TestClient, stored: Stored) -> None:
    linked.request("POST", **signed(event(f"<@{BOT}> a secret of this channel")))
    log = linked.app.state.gateway.log  # type: ignore[attr-defined]
    assert log.read("penstock.changes", {}).records == ()
    assert len(log.read("penstock.tasks", {}).records) == 1


@pytest.mark.parametrize(
    ("body", "form"),
    [
        (b"{", False),
        (b"[]", False),
        (b"\xff", False),
        (b"payload=%7B", True),
        (b"payload=[]", True),
        (b"text=no+command", True),
        (b"\xff=1", True),
        (b"&".join(b"a%d=1" % n for n in range(200)), True),
        (b"command=%2Fpenstock&text=stop", True),
        (b'{"command": "/penstock", "text": "stop", "user_id": 1, "channel_id": []}', False),
    ],
)
def test_malformed_bodies_leave_no_trace(linked: TestClient, stored: Stored, body: bytes, form: bool) -> None:
    assert linked.request("POST", **signed(body, form=form)).status_code == 400
    assert stored("SELECT count(*) FROM deliveries") == [(0,)]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("event.channel", "general"),
        ("event.channel", {"id": CHANNEL}),
        ("event.ts", "yesterday"),
        ("event.ts", "999999999999.1"),
        ("event.thread_ts", "1"),
        ("event.user", "ada; drop"),
        ("event.text", ["x"]),
    ],
)
def test_a_wrong_field_is_named(linked: TestClient, path: str, value: Any) -> None:
    answer = linked.request("POST", **signed(but(event(f"<@{BOT}> fix it"), path, value)))
    assert (answer.status_code, answer.json()["field"]) == (400, path)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
_BASES = (event(f"<@{BOT}> fix it"), event("x", "message"), click("stop"), slash("stop x"))
_PATHS = [
    (base, path)
    for base, payload in enumerate(_BASES)
    for path in (
        *payload,
        *(f"{name}.{inner}" for name, value in payload.items() if isinstance(value, dict) for inner in value),
    )
]


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(_PATHS), anything)
def test_any_value_at_any_place_gives_an_intent_or_names_a_field(where: tuple[int, str], value: Any) -> None:
    payload = but(dict(_BASES[where[0]]), where[1], value)
    slack.describe(payload).encode()
    try:
        assert slack.normalise(payload, rules=read_rules(()))
    except BadField as error:
        assert error.field


@settings(deadline=None)
@given(st.text(st.sampled_from("<>@!#|&;lgtamp U1^/:\n"), max_size=60))
def test_decoding_takes_any_text(text: str) -> None:
    assert len(plain(text, "U1")) <= 20 * len(text) + 20


def test_escapes_are_decoded_once() -> None:
    assert plain("&amp;lt; &lt;@U1&gt; <!here> <!subteam^S1|@ops> <mailto:a@b.c|a@b.c> <http://x.y|x.y> <@U2|bob>") == (
        "&lt; <@U1> @here @ops a@b.c http://x.y @bob"
    )

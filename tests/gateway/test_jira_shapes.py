"""Jira's payloads without `webhookEvent`, and its document format."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from core.payload import BadField
from core.rules import read_rules
from core.tickets.jira_document import plain_text
from gateway import jira
from tests.gateway.forge_cases import JIRA_ISSUE, Forges, Stored, changes

UNNAMED = {name: value for name, value in JIRA_ISSUE.items() if name != "webhookEvent"}
BARE = {"issue": JIRA_ISSUE["issue"]}
COMMENT = {"id": "77", "body": "Same here.", "author": {"accountId": "c3", "displayName": "Eve"}}


@pytest.mark.parametrize(
    ("payload", "kind", "action"),
    [
        (UNNAMED, "jira:issue_updated", "issue_updated issue_generic"),
        ({**UNNAMED, "webhookEvent": None}, "jira:issue_updated", "issue_updated issue_generic"),
        ({**UNNAMED, "webhookEvent": 7}, "jira:issue_updated", "issue_updated issue_generic"),
        ({**BARE, "issue_event_type_name": "issue_created"}, "jira:issue_created", "issue_created issue_created"),
        ({**BARE, "issue_event_type_name": "issue_closed"}, "jira:issue_updated", "issue_updated issue_closed"),
        ({**BARE, "changelog": JIRA_ISSUE["changelog"]}, "jira:issue_updated", "issue_updated"),
        ({**BARE, "comment": COMMENT}, "comment_created", "comment_created"),
        (
            {**BARE, "comment": COMMENT, "issue_event_type_name": "issue_comment_edited"},
            "comment_updated",
            "comment_updated issue_comment_edited",
        ),
    ],
)
def test_an_event_that_is_not_named_is_read_from_what_the_payload_holds(
    client: TestClient,
    forges: Forges,
    link: Callable[..., None],
    stored: Stored,
    payload: dict[str, Any],
    kind: str,
    action: str,
) -> None:
    link("jira", "SHOP")
    assert client.request("POST", **forges.jira(payload)).json()["status"] == "accepted"
    [change] = changes(client)
    assert (change.key, change.action, change.comment is not None) == ("SHOP-7", action, "comment" in payload)
    assert change.ticket is not None
    assert change.ticket.status == "In Progress"
    assert stored("SELECT kind, state FROM deliveries") == [(kind, "change")]


def test_deletions_that_are_not_named_are_read(client: TestClient, forges: Forges, link: Callable[..., None]) -> None:
    link("jira", "SHOP")
    client.request("POST", **forges.jira({**BARE, "issue_event_type_name": "issue_deleted"}))
    removed = {**BARE, "comment": COMMENT, "issue_event_type_name": "issue_comment_deleted"}
    client.request("POST", **forges.jira(removed))
    gone, uncommented = changes(client)
    assert gone.deleted
    assert uncommented.comment is not None
    assert (uncommented.deleted, uncommented.comment.deleted) == (False, True)


@pytest.mark.parametrize(
    ("payload", "says"),
    [
        (BARE, "no webhookEvent, issue_event_type_name, comment or changelog"),
        ({"key": "SHOP-7", "fields": {}}, "no webhookEvent, issue_event_type_name, comment or changelog"),
        ({}, "no webhookEvent, issue_event_type_name, comment or changelog"),
        ({**UNNAMED, "issue": None}, "no webhookEvent, and issue.key: is missing"),
        ({**UNNAMED, "issue": {"key": "SHOP-7"}}, "no webhookEvent, and issue.fields: is missing"),
        ({**BARE, "comment": {"body": "x"}}, "no webhookEvent, and comment.id: is missing"),
        ({**BARE, "issue_event_type_name": "issue_commented"}, "no webhookEvent, and comment: is missing"),
    ],
)
def test_a_payload_that_does_not_say_what_happened_is_recorded_with_the_reason(
    client: TestClient, forges: Forges, stored: Stored, payload: dict[str, Any], says: str
) -> None:
    answer = client.request("POST", **forges.jira(payload))
    assert answer.status_code == 202
    assert answer.json()["status"] == "ignored"
    assert says in answer.json()["reason"]
    assert stored("SELECT state FROM deliveries") == [("ignored",)]


def _doc(*content: Any) -> dict[str, Any]:
    return {"type": "doc", "version": 1, "content": list(content)}


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _paragraph(*content: Any) -> dict[str, Any]:
    return {"type": "paragraph", "content": list(content)}


@pytest.mark.parametrize(
    ("node", "text"),
    [
        (_paragraph(_text("Now "), {"type": "status", "attrs": {"text": "BLOCKED", "color": "red"}}), "Now BLOCKED"),
        ({"type": "mediaSingle", "content": [{"type": "media", "attrs": {"id": "1", "alt": "a screen"}}]}, "a screen"),
        (_paragraph({"type": "mediaInline", "attrs": {"alt": "log.txt"}}), "log.txt"),
        (
            {
                "type": "mediaSingle",
                "content": [
                    {"type": "media", "attrs": {"id": "1", "type": "file"}},
                    {"type": "caption", "content": [_text("The wrong total")]},
                ],
            },
            "The wrong total",
        ),
        (
            {"type": "expand", "attrs": {"title": "Steps"}, "content": [_paragraph(_text("Open the cart"))]},
            "Steps\nOpen the cart",
        ),
        (
            {"type": "nestedExpand", "attrs": {"title": "More"}, "content": [_paragraph(_text("Pay"))]},
            "More\nPay",
        ),
        (_paragraph({"type": "emoji", "attrs": {"shortName": ":bug:", "text": "🐛"}}), "🐛"),
        (_paragraph({"type": "emoji", "attrs": {"shortName": ":acme:"}}), ":acme:"),
        (_paragraph(_text("by "), {"type": "date", "attrs": {"timestamp": "1772359200000"}}), "by 2026-03-01"),
        (_paragraph({"type": "date", "attrs": {"timestamp": 1772359200000}}), "2026-03-01"),
        (_paragraph({"type": "inlineCard", "attrs": {"url": "https://x.example/1"}}), "https://x.example/1"),
        (
            _paragraph({"type": "inlineCard", "attrs": {"data": {"name": "Total", "url": "https://x.example/2"}}}),
            "Total https://x.example/2",
        ),
        ({"type": "blockCard", "attrs": {"url": "https://x.example/3"}}, "https://x.example/3"),
        (
            {
                "type": "decisionList",
                "content": [
                    {"type": "decisionItem", "attrs": {"state": "DECIDED"}, "content": [_text("Round up")]},
                    {"type": "decisionItem", "content": [_text("Round once")]},
                ],
            },
            "Round up\nRound once",
        ),
        (
            {
                "type": "taskList",
                "content": [
                    {"type": "taskItem", "attrs": {"state": "TODO"}, "content": [_text("fix")]},
                    {"type": "taskItem", "attrs": {"state": "DONE"}, "content": [_text("test")]},
                ],
            },
            "[ ] fix\n[x] test",
        ),
        (_paragraph({"type": "mention", "attrs": {"id": "7", "text": "@ada"}}), "@ada"),
    ],
)
def test_the_text_of_each_node_of_a_document_is_kept(node: dict[str, Any], text: str) -> None:
    assert plain_text(_doc(node)) == text
    assert plain_text(_doc(_paragraph(_text("before")), node, _paragraph(_text("after")))) == f"before\n{text}\nafter"


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(), max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
nodes = st.recursive(
    st.fixed_dictionaries({"type": st.just("text"), "text": st.text(max_size=10) | anything}),
    lambda inner: st.fixed_dictionaries(
        {
            "type": st.sampled_from(
                ["paragraph", "status", "media", "mediaSingle", "expand", "emoji", "date", "inlineCard", "taskItem"]
            )
            | anything
        },
        optional={
            "content": st.lists(inner, max_size=3) | anything,
            "attrs": st.dictionaries(
                st.sampled_from(["text", "alt", "title", "timestamp", "url", "data", "state"]), anything
            )
            | anything,
        },
    ),
    max_leaves=10,
)


@given(nodes)
def test_any_document_has_a_text(node: Any) -> None:
    assert isinstance(plain_text(_doc(node)), str)


@given(st.data())
def test_any_payload_gives_an_intent_or_names_a_field(data: st.DataObject) -> None:
    payload = copy.deepcopy(JIRA_ISSUE)
    payload["comment"] = dict(COMMENT)
    payload["issue"]["fields"]["description"] = _doc(data.draw(nodes))
    for place in data.draw(st.lists(st.sampled_from(sorted(payload)), max_size=4, unique=True)):
        if data.draw(st.booleans()):
            payload.pop(place)
        else:
            payload[place] = data.draw(
                anything | st.sampled_from(["issue_commented", "issue_deleted", "comment_deleted", "issue_x"])
            )
    jira.describe(payload).encode()
    named = isinstance(payload.get("webhookEvent"), str) and payload["webhookEvent"]
    try:
        jira.normalise(payload, rules=read_rules(()))
    except BadField as error:
        assert error.field
        assert named, "a payload that names no event is never an error"

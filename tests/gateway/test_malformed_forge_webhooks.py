"""Deliveries of forges that are forged, malformed or endless leave no trace and name what is wrong."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from core import payload as payloads
from core.rules import read_rules
from core.tickets import TicketChange
from core.tickets import bitbucket as bitbucket_tickets
from core.tickets import github as github_tickets
from core.tickets import gitlab as gitlab_tickets
from core.tickets import jira as jira_tickets
from gateway import bitbucket, gitea, github, gitlab, jira
from tests.gateway import bitbucket_cases
from tests.gateway.forge_cases import (
    DATA,
    GITEA_ISSUE,
    GITLAB_ISSUE,
    GITLAB_NOTE,
    JIRA_ISSUE,
    Forges,
    Stored,
    but,
    changes,
)


def test_the_size_of_bodies_is_limited_whatever_a_comment_holds(
    client: TestClient, forges: Forges, add_source: Callable[..., None]
) -> None:
    add_source("shop", "group/sub/shop")
    client.request("POST", **forges.gitlab(but(GITLAB_NOTE, "object_attributes.note", "\x00\ud800é" * 200_000)))
    [change] = changes(client)
    assert change.comment is not None
    assert len((change.comment.body or "").encode()) < 66_000
    assert (change.comment.body or "").startswith("\ufffd\ufffdé")


@pytest.mark.parametrize(
    ("service", "payload", "path", "value", "field"),
    [
        ("gitlab", GITLAB_ISSUE, "object_attributes.iid", "x", "object_attributes.iid"),
        ("gitlab", GITLAB_ISSUE, "object_attributes.title", None, "object_attributes.title"),
        ("gitlab", GITLAB_ISSUE, "object_attributes.updated_at", "yesterday", "object_attributes.updated_at"),
        ("gitlab", GITLAB_ISSUE, "project.path_with_namespace", "shop", "project.path_with_namespace"),
        ("gitlab", GITLAB_ISSUE, "labels", [7], "labels.0"),
        ("gitlab", GITLAB_NOTE, "object_attributes.id", -1, "object_attributes.id"),
        ("gitea", GITEA_ISSUE, "issue.number", True, "issue.number"),
        ("gitea", GITEA_ISSUE, "issue.user", 3, "issue.user"),
        ("gitea", GITEA_ISSUE, "repository", None, "repository.full_name"),
        ("jira", JIRA_ISSUE, "issue.key", "shop", "issue.key"),
        ("jira", JIRA_ISSUE, "issue.fields.description", 3, "issue.fields.description"),
    ],
)
def test_a_wrong_field_of_a_ticket_is_named(
    client: TestClient, forges: Forges, service: str, payload: dict[str, Any], path: str, value: Any, field: str
) -> None:
    answer = client.request("POST", **getattr(forges, service)(but(payload, path, value)))
    assert (answer.status_code, answer.json()["field"]) == (400, field)


@pytest.mark.parametrize("service", ["gitlab", "gitea", "jira"])
def test_unsigned_malformed_and_oversized_deliveries_leave_no_trace(
    make_client: Callable[..., TestClient], forges: Forges, stored: Stored, service: str
) -> None:
    client = make_client(max_body_bytes=2048)
    make = getattr(forges, service)
    unsigned = make({"a": 1})
    unsigned["headers"] = {"Content-Type": "application/json"}
    assert client.request("POST", **unsigned).status_code == 401
    assert client.request("POST", **make(b"{")).status_code == 400
    assert client.request("POST", **make(b'{"a": "%s"}' % (b"x" * 4096))).status_code == 413
    assert stored("SELECT count(*) FROM deliveries") == [(0,)]


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


_PATHS = [
    (base, path)
    for base, payload in (
        ("gitlab", GITLAB_ISSUE),
        ("note", GITLAB_NOTE),
        ("gitea", GITEA_ISSUE),
        ("jira", JIRA_ISSUE),
    )
    for path in (
        *payload,
        *(f"{name}.{inner}" for name, value in payload.items() if isinstance(value, dict) for inner in value),
    )
]


_NORMALISE: dict[str, Callable[[dict[str, Any]], Any]] = {
    "gitlab": lambda payload: gitlab.normalise(payload, rules=read_rules((), None)),
    "note": lambda payload: gitlab.normalise(payload, rules=read_rules((), "bug")),
    "gitea": lambda payload: gitea.normalise("issues", payload, rules=read_rules((), None)),
    "jira": lambda payload: jira.normalise(payload, rules=read_rules(())),
}


_BASES = {"gitlab": GITLAB_ISSUE, "note": GITLAB_NOTE, "gitea": GITEA_ISSUE, "jira": JIRA_ISSUE}


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(_PATHS), anything)
def test_any_value_at_any_place_gives_an_intent_or_names_a_field(where: tuple[str, str], value: Any) -> None:
    base, path = where
    payload = but(_BASES[base], path, value)
    (gitlab if base in ("gitlab", "note") else jira).describe(payload).encode()
    try:
        intent = _NORMALISE[base](payload)
    except payloads.BadField as error:
        assert error.field
        return
    if hasattr(intent, "change"):
        text = intent.change.model_dump_json()
        assert "\x00" not in text
        assert "\\u0000" not in text
        text.encode()
        assert TicketChange.model_validate_json(text) == intent.change


_SAMPLES = [
    (github, path.parent.name, json.loads(path.read_bytes()))
    for path in sorted(DATA.glob("*/*.json"))
    if path.parent.name in github_tickets.DELIVERIES or path.parent.name == "push"
]
_SAMPLES += [(bitbucket, kind, bitbucket_cases.sample(kind)) for kind in bitbucket_cases.KINDS]
_SAMPLES.append((bitbucket, "pullrequest:comment_created", bitbucket_cases.about(comment=bitbucket_cases.inline())))


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(_SAMPLES), st.data(), anything)
def test_any_value_at_any_depth_of_a_real_delivery_gives_an_intent_or_names_a_field(
    sample: tuple[Any, str, dict[str, Any]], data: st.DataObject, value: Any
) -> None:
    module, event, payload = sample
    payload = copy.deepcopy(payload)
    holder: Any = payload
    while True:
        place = data.draw(st.sampled_from(list(holder) if isinstance(holder, dict) else range(len(holder))))
        if not isinstance(holder[place], dict | list) or not holder[place] or data.draw(st.booleans()):
            break
        holder = holder[place]
    holder[place] = value
    try:
        intent = module.normalise(event, payload, rules=read_rules((), data.draw(st.sampled_from([None, "bug"]))))
    except payloads.BadField as error:
        assert error.field
        return
    if hasattr(intent, "change"):
        intent.change.model_dump_json().encode()


@settings(deadline=None, max_examples=200)
@given(
    st.sampled_from(
        [
            *(github_tickets.Ticket, github_tickets.Remark, gitlab_tickets.Ticket, gitlab_tickets.Note),
            *(jira_tickets.Issue, bitbucket_tickets.PullRequest, bitbucket_tickets.Remark),
        ]
    ),
    anything | st.fixed_dictionaries({}, optional=dict.fromkeys(("title", "id", "key", "fields", "labels"), anything)),
)
def test_any_item_of_an_api_is_read_or_its_wrong_field_is_named(model: type[payloads.Payload], item: Any) -> None:
    try:
        payloads.parse(model, item, "item")
    except payloads.BadField as error:
        assert error.field.startswith("item") and str(error) == f"{error.field}: {error.problem}"


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({}, "item.id: is missing"),
        (None, "item: is missing"),
        ({"id": None}, "item.id: is missing"),
        ({"id": True}, "item.id: must be a whole number, not a boolean"),
        ({"id": 0}, "item.id: must be a number from 1"),
        ({"id": 2**60}, "item.id: must be a number up to 9007199254740992"),
        ({"id": 1, "user": []}, "item.user: must be an object, not a list"),
        ({"id": 1, "user": {"login": 3}}, "item.user.login: must be a string, not a number"),
        ({"id": 1, "created_at": "soon"}, "item.created_at: must be a date and time in ISO 8601"),
        ({"id": 1, "created_at": 3}, "item.created_at: must be a string, not a number"),
    ],
)
def test_the_error_names_the_field_and_its_problem(value: Any, says: str) -> None:
    with pytest.raises(payloads.BadField) as caught:
        payloads.parse(github_tickets.Remark, value, "item")
    assert str(caught.value) == says

"""The shapes in which GitLab sends its events: system hooks, and merge requests and pushes of older versions."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from core.payload import BadField
from core.rules import read_rules
from core.tickets.gitlab_shapes import completed, identity_of
from gateway import gitlab
from tests.gateway.forge_cases import GITLAB_ISSUE, Forges, Stored, but, changes

PROJECT = {
    "id": 15,
    "name": "Shop",
    "path_with_namespace": "Acme/Shop",
    "web_url": "https://gitlab.example/acme/shop",
}

SYSTEM_PUSH: dict[str, Any] = {
    "event_name": "push",
    "before": "95790bf891e76fee5e1747ab589903a6a1f80f22",
    "after": "da1560886d4f094c3e6c9ef40349f7d38b5d27d7",
    "ref": "refs/heads/main",
    "checkout_sha": "da1560886d4f094c3e6c9ef40349f7d38b5d27d7",
    "user_id": 4,
    "user_name": "Ada",
    "project_id": 15,
    "project": PROJECT,
    "repository": {"name": "Shop", "homepage": "https://gitlab.example/acme/shop", "visibility_level": 0},
    "commits": [],
    "total_commits_count": 0,
}

MERGE_REQUEST: dict[str, Any] = {
    "object_kind": "merge_request",
    "event_type": "merge_request",
    "user": {"id": 1, "username": "ada"},
    "project": PROJECT,
    "repository": {"name": "Shop", "homepage": "https://gitlab.example/acme/shop"},
    "object_attributes": {
        "id": 93,
        "iid": 16,
        "target_branch": "main",
        "source_branch": "fix-total",
        "target_project_id": 15,
        "title": "Fixes the total",
        "description": "Closes #23",
        "state": "merged",
        "action": "merge",
        "author_id": 51,
        "url": "https://gitlab.example/acme/shop/-/merge_requests/16",
        "source": {"path_with_namespace": "ada/shop", "web_url": "https://gitlab.example/ada/shop"},
        "target": {
            "id": 15,
            "path_with_namespace": "acme/shop",
            "web_url": "https://gitlab.example/acme/shop",
            "http_url": "https://gitlab.example/acme/shop.git",
        },
        "updated_at": "2026-03-02 10:00:00 UTC",
    },
}


def _without(payload: dict[str, Any], *paths: str) -> dict[str, Any]:
    less = copy.deepcopy(payload)
    for path in paths:
        *parents, name = path.split(".")
        holder = less
        for parent in parents:
            holder = holder[parent]
        holder.pop(name, None)
    return less


@pytest.mark.parametrize(
    "payload",
    [
        SYSTEM_PUSH,
        _without(SYSTEM_PUSH, "project"),
        but(_without(SYSTEM_PUSH, "project"), "repository", {"git_http_url": "http://gitlab.example/acme/shop.git"}),
        {**SYSTEM_PUSH, "object_kind": "push"},
    ],
)
def test_a_push_of_a_system_hook_is_a_change_of_the_source(
    client: TestClient, forges: Forges, add_source: Callable[..., None], stored: Stored, payload: dict[str, Any]
) -> None:
    add_source("shop", "acme/shop")
    answer = client.request("POST", **forges.gitlab(payload, "d1")).json()
    assert answer == {"status": "accepted", "delivery": "gitlab:d1"}
    assert stored("SELECT kind, state FROM deliveries") == [("push", "change")]
    [record] = client.app.state.gateway.log.read("penstock.changes", {}).records  # type: ignore[attr-defined]
    assert (record.event.subject, record.event.data["after"]) == ("shop", SYSTEM_PUSH["after"])


@pytest.mark.parametrize(
    ("payload", "kind", "says"),
    [
        ({**SYSTEM_PUSH, "event_name": "tag_push", "ref": "refs/tags/v1"}, "tag_push", "it is not a branch"),
        (
            {"event_name": "repository_update", "project_id": 15, "project": PROJECT, "changes": [], "refs": []},
            "repository_update",
            "the pushes that it sums up are sent as events of their own",
        ),
        ({"event_name": "user_create", "user_id": 3}, "user_create", "user_create starts no work"),
        ({}, "unknown", "unknown starts no work"),
    ],
)
def test_other_system_hooks_are_recorded_with_the_reason(
    client: TestClient, forges: Forges, stored: Stored, payload: dict[str, Any], kind: str, says: str
) -> None:
    answer = client.request("POST", **forges.gitlab(payload)).json()
    assert answer["status"] == "ignored"
    assert says in answer["reason"]
    assert stored("SELECT kind FROM deliveries") == [(kind,)]


@pytest.mark.parametrize(
    "payload",
    [
        MERGE_REQUEST,
        _without(MERGE_REQUEST, "project"),
        {**MERGE_REQUEST, "project": None},
        {**MERGE_REQUEST, "project": {"id": 15, "name": "Shop"}},
        _without(MERGE_REQUEST, "object_kind"),
        _without(MERGE_REQUEST, "project", "object_attributes.target.path_with_namespace"),
        _without(
            MERGE_REQUEST,
            "project",
            "object_attributes.target.path_with_namespace",
            "object_attributes.target.web_url",
            "repository",
        ),
        _without(MERGE_REQUEST, "project", "object_attributes.target", "repository"),
        but(
            _without(MERGE_REQUEST, "project", "object_attributes.target", "repository"),
            "object_attributes.url",
            "http://gitlab.example/acme/shop/merge_requests/16",
        ),
    ],
)
def test_a_merge_request_is_read_wherever_its_project_is_named(
    client: TestClient, forges: Forges, add_source: Callable[..., None], payload: dict[str, Any]
) -> None:
    add_source("shop", "acme/shop")
    answer = client.request("POST", **forges.gitlab(payload))
    assert answer.status_code == 202, answer.text
    [change] = changes(client)
    assert (change.project, change.key, change.action) == ("acme/shop", "!16", "merge_request.merge")
    assert change.ticket is not None
    assert change.ticket.closes == ("#23",)


def test_a_merge_request_that_names_no_project_is_refused_with_the_field(client: TestClient, forges: Forges) -> None:
    payload = _without(MERGE_REQUEST, "project", "repository", "object_attributes.target", "object_attributes.url")
    answer = client.request("POST", **forges.gitlab(payload))
    assert (answer.status_code, answer.json()["field"]) == (400, "project.path_with_namespace")


def test_the_source_project_of_a_fork_is_not_taken_for_the_target() -> None:
    assert completed(_without(MERGE_REQUEST, "project"))["project"]["path_with_namespace"] == "acme/shop"
    found = identity_of(_without(MERGE_REQUEST, "project"))
    assert found is not None
    assert (found.host, found.number) == ("gitlab.example", 15)


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(st.characters(), max_size=20)
    | st.sampled_from(["http://[", "https://h/a/b"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
kinds = st.sampled_from(
    ["push", "tag_push", "issue", "note", "merge_request", "repository_update", "project_rename", "work_item"]
)


@given(st.sampled_from([SYSTEM_PUSH, MERGE_REQUEST, GITLAB_ISSUE]), st.data())
def test_any_payload_gives_an_intent_or_names_a_field(payload: dict[str, Any], data: st.DataObject) -> None:
    changed = copy.deepcopy(payload)
    for name in data.draw(st.lists(st.sampled_from(["object_kind", "event_name", "event_type"]), max_size=3)):
        changed[name] = data.draw(kinds | anything)
    for _ in range(data.draw(st.integers(0, 3))):
        holder: Any = changed
        if data.draw(st.booleans()):
            holder = next((value for value in changed.values() if isinstance(value, dict) and value), changed)
        place = data.draw(st.sampled_from([*holder, "path_with_namespace", "old_path_with_namespace"]))
        if data.draw(st.booleans()):
            holder[place] = data.draw(anything)
        else:
            holder.pop(place, None)
    gitlab.describe(changed).encode()
    try:
        intent = gitlab.normalise(changed, rules=read_rules((), data.draw(st.sampled_from([None, "bug"]))))
    except BadField as error:
        assert error.field
        return
    json.dumps(getattr(intent, "reason", "")).encode()

"""Properties of the normaliser: whatever JSON arrives, it answers an intent or names the wrong field."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from core.intake import ChangeIntent, NoIntent, TaskIntent
from core.payload import BadField, cut_body, cut_title
from core.rules import read_rules
from gateway import generic, github
from gateway.payload import parse_object
from gateway.problems import Refused

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
scalar = st.none() | st.booleans() | st.integers() | st.text(st.characters(), max_size=40)
maybe = anything | st.text(st.characters(), max_size=60)
payloads = st.fixed_dictionaries(
    {},
    optional={
        "action": st.sampled_from(["opened", "labeled", "closed"]) | anything,
        "issue": st.fixed_dictionaries(
            {}, optional={"title": maybe, "body": maybe, "html_url": maybe, "user": st.just({"login": "x"}) | anything}
        )
        | anything,
        "label": st.just({"name": "bug"}) | anything,
        "repository": st.just({"full_name": "A/b"}) | st.fixed_dictionaries({"full_name": maybe}) | anything,
        "ref": st.sampled_from(["refs/heads/main", "refs/tags/x"]) | anything,
        "before": st.just("0" * 40) | anything,
        "after": st.just("a" * 40) | anything,
        "deleted": anything,
    },
)
events = st.sampled_from(["issues", "push", "ping", "create", "something_new"])


@settings(deadline=None)
@given(events, payloads, st.sampled_from([None, "bug"]))
def test_any_github_payload_gives_an_intent_or_names_a_field(event: str, payload: Any, label: str | None) -> None:
    described = github.describe(event, payload)
    described.encode()
    assert "\x00" not in described
    try:
        intent = github.normalise(event, payload, rules=read_rules((), label))
    except BadField as error:
        assert error.field
        json.dumps(error.problem).encode()
        return
    texts = [getattr(intent, name) for name in ("title", "body", "url", "author", "reason") if hasattr(intent, name)]
    for text in texts:
        assert text is None or "\x00" not in text
        (text or "").encode()
    if isinstance(intent, TaskIntent):
        assert event == "issues"
        assert 1 <= len(intent.title) <= 500
        assert intent.target.repository == intent.target.repository.lower()  # type: ignore[union-attr]
    elif isinstance(intent, ChangeIntent):
        assert event == "push"
        assert set(intent.data) == {"ref", "before", "after"}
    else:
        assert isinstance(intent, NoIntent)
        assert intent.reason


@settings(deadline=None)
@given(
    st.fixed_dictionaries({"type": st.sampled_from(["task.requested", "source.changed"]) | anything, "data": anything})
)
def test_any_generic_payload_gives_an_intent_or_names_a_field(payload: Any) -> None:
    generic.describe(payload).encode()
    try:
        generic.normalise(payload)
    except BadField as error:
        assert error.field


@settings(deadline=None)
@given(st.binary(max_size=60) | anything.map(lambda value: json.dumps(value).encode()))
def test_any_body_is_an_object_or_is_refused(body: bytes) -> None:
    try:
        assert isinstance(parse_object(body), dict)
    except Refused as refused:
        assert refused.status_code == 400


@settings(deadline=None)
@given(st.text(max_size=300), st.integers(1, 100))
def test_cut_texts_keep_their_limits(text: str, limit: int) -> None:
    assert len(cut_title(text, max(limit, 10))) <= max(limit, 10)
    body = cut_body(text, limit)
    assert body == text or len(text.encode()) > limit
    assert len(body.encode()) <= max(limit + 120, len(text.encode()) if body == text else 0)

"""Sources follow their repositories by the forge's id when these are renamed or transferred."""

import copy
import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from core.database import Database
from core.events import DEFAULT_TEAM
from core.intake import RenameIntent
from core.payload import BadField
from core.rules import read_rules
from gateway import github
from tests.gateway.forge_cases import DATA, GITLAB_ISSUE, Forges, Stored, but, changes

OPENED: dict[str, Any] = json.loads((DATA / "issues" / "opened.payload.json").read_bytes())
ID = OPENED["repository"]["id"]
NEW = "Codertocat/Store"


def _issue(name: str = "Codertocat/Hello-World", number: int = 1, **repository: Any) -> dict[str, Any]:
    payload = copy.deepcopy(OPENED)
    payload["repository"] |= {"full_name": name, **repository}
    payload["issue"]["number"] = number
    return payload


def _moved(action: str, changes: dict[str, Any], name: str = NEW, **more: Any) -> dict[str, Any]:
    repository = {"id": ID, "full_name": name, "html_url": f"https://github.com/{name}", **more}
    return {"action": action, "changes": changes, "repository": repository}


RENAMED = _moved("renamed", {"repository": {"name": {"from": "Hello-World"}}})


def test_a_source_gets_the_id_of_its_repository_from_the_first_delivery_and_keeps_it(
    client: TestClient, sender: Any, add_source: Callable[..., None], stored: Stored
) -> None:
    add_source()
    asked = "SELECT forge_repository_service, forge_repository_host, forge_repository_id, repository FROM sources"
    unsigned = sender.github(_issue(id=666), secret="wrong")
    assert client.request("POST", **unsigned).status_code == 401
    client.request("POST", **sender.github(_issue(id="many", html_url=7), delivery="d0"))
    assert stored(asked) == [(None, None, None, "codertocat/hello-world")]
    client.request("POST", **sender.github(_issue(number=2), delivery="d1"))
    learnt = [("github", "github.com", ID, "codertocat/hello-world")]
    assert stored(asked) == learnt
    other = client.request("POST", **sender.github(_issue(number=3, id=99), delivery="d2"))
    assert other.json()["status"] == "accepted", "the name is what the user configured"
    assert stored(asked) == learnt


def test_a_delivery_with_an_unknown_name_and_a_known_id_takes_the_source_along(
    client: TestClient, sender: Any, add_source: Callable[..., None], stored: Stored, database: Database
) -> None:
    add_source()
    with database.team(DEFAULT_TEAM) as connection:
        connection.execute(
            "INSERT INTO ticket_projects (team_id, service, project, source) VALUES (%s, 'github', %s, 'hello')",
            (DEFAULT_TEAM, "codertocat/hello-world"),
        )
    client.request("POST", **sender.github(_issue(), delivery="d1"))
    answer = client.request("POST", **sender.github(_issue(NEW, 2), delivery="d2")).json()
    assert (answer["status"], answer["reason"]) == (
        "accepted",
        "source hello follows repository codertocat/hello-world, which is now called codertocat/store",
    )
    assert stored("SELECT repository FROM sources") == [("codertocat/store",)]
    assert stored("SELECT project FROM ticket_projects") == [("codertocat/store",)]
    assert stored("SELECT former, project, moved_at FROM renamed_projects") == [
        ("codertocat/hello-world", "codertocat/store", None)
    ]
    assert [change.project for change in changes(client)] == ["codertocat/hello-world", "codertocat/store"]
    old = client.request("POST", **sender.github(_issue(number=3), delivery="d3")).json()
    assert old["status"] == "accepted", "a late delivery with the former name"
    assert stored("SELECT repository FROM sources") == [("codertocat/store",)]


@pytest.mark.parametrize(
    ("payload", "new"),
    [
        (RENAMED, "codertocat/store"),
        (
            _moved("transferred", {"owner": {"from": {"user": {"login": "Codertocat"}}}}, "Acme/Hello-World"),
            "acme/hello-world",
        ),
        (
            _moved("transferred", {"owner": {"from": {"organization": {"login": "Codertocat"}}}}, "Acme/Hello-World"),
            "acme/hello-world",
        ),
    ],
)
@pytest.mark.parametrize("knows_id", [True, False])
def test_githubs_event_about_a_renamed_repository_is_followed(
    client: TestClient,
    sender: Any,
    add_source: Callable[..., None],
    stored: Stored,
    payload: dict[str, Any],
    new: str,
    knows_id: bool,
) -> None:
    add_source()
    if knows_id:
        client.request("POST", **sender.github(_issue(), delivery="d1"))
    answer = client.request("POST", **sender.github(payload, event="repository", delivery="r1")).json()
    assert answer["status"] == "accepted"
    assert "follows repository codertocat/hello-world" in answer["reason"]
    assert stored("SELECT repository FROM sources") == [(new,)]
    assert stored("SELECT state, reason IS NULL FROM deliveries WHERE id = 'github:r1'") == [("change", False)]
    repeated = client.request("POST", **sender.github(payload, event="repository", delivery="r2")).json()
    assert repeated["reason"] == "source hello has followed this before"


def test_a_repository_that_gets_its_former_name_back_is_followed_and_an_old_event_is_not(
    client: TestClient, sender: Any, add_source: Callable[..., None], stored: Stored
) -> None:
    add_source()
    for number, (former, name) in enumerate([("Hello-World", NEW), ("Store", "Codertocat/Hello-World")]):
        payload = _moved("renamed", {"repository": {"name": {"from": former}}}, name)
        client.request("POST", **sender.github(payload, event="repository", delivery=f"r{number}"))
    assert stored("SELECT repository FROM sources") == [("codertocat/hello-world",)]
    client.request("POST", **sender.github(_issue(), delivery="d1"))
    again = client.request("POST", **sender.github(_issue(NEW, 2), delivery="d2")).json()
    assert again["status"] == "accepted"
    assert stored("SELECT repository FROM sources") == [("codertocat/hello-world",)]
    assert stored("SELECT former, project FROM renamed_projects") == [("codertocat/store", "codertocat/hello-world")]


def test_a_name_that_belongs_to_another_source_is_left_to_it_with_the_reason(
    client: TestClient, sender: Any, add_source: Callable[..., None], stored: Stored
) -> None:
    add_source()
    client.request("POST", **sender.github(_issue(), delivery="d1"))
    add_source("store", "codertocat/store")
    answer = client.request("POST", **sender.github(RENAMED, event="repository")).json()
    assert answer["status"] == "ignored"
    assert (
        "source hello cannot follow its repository: codertocat/store already belongs to source store"
        in (answer["reason"])
    )
    assert "penstock index rename" in answer["reason"]
    assert stored("SELECT name, repository FROM sources ORDER BY name") == [
        ("hello", "codertocat/hello-world"),
        ("store", "codertocat/store"),
    ]
    client.request("POST", **sender.github(_issue(NEW, 2), delivery="d2"))
    assert stored("SELECT source FROM tasks ORDER BY created_at") == [("hello",), ("store",)]
    assert stored("SELECT count(*) FROM sources WHERE forge_repository_id IS NOT NULL") == [(1,)]


@pytest.mark.parametrize(
    "repository",
    [
        {"id": 99},
        {"id": True},
        {"id": -1},
        {"html_url": "https://other.example/Codertocat/Store"},
        {"html_url": "ftp://github.com/x"},
        {"html_url": "https://[github.com/"},
        {"html_url": None},
    ],
)
def test_another_id_or_another_forge_is_not_followed(
    client: TestClient, sender: Any, add_source: Callable[..., None], stored: Stored, repository: dict[str, Any]
) -> None:
    add_source()
    client.request("POST", **sender.github(_issue(), delivery="d1"))
    answer = client.request("POST", **sender.github(_issue(NEW, 2, **repository), delivery="d2")).json()
    assert answer["reason"] == "repository codertocat/store is not a configured source"
    assert stored("SELECT repository FROM sources") == [("codertocat/hello-world",)]


def test_the_source_of_another_team_is_out_of_reach(
    client: TestClient, sender: Any, database: Database, other_team: tuple[uuid.UUID, dict[str, str]]
) -> None:
    team, _ = other_team
    with database.team(team) as connection:
        connection.execute(
            "INSERT INTO sources (team_id, name, location, repository, forge_repository_service, "
            "forge_repository_host, forge_repository_id) VALUES (%s, 'x', '/srv/x', %s, 'github', 'github.com', %s)",
            (team, "codertocat/hello-world", ID),
        )
    for event, payload in (("repository", RENAMED), ("issues", _issue(NEW))):
        answer = client.request("POST", **sender.github(payload, event=event)).json()
        assert answer["reason"] == "repository codertocat/store is not a configured source"
    with database.team(team) as connection:
        assert connection.execute("SELECT repository FROM sources").fetchall() == [("codertocat/hello-world",)]


def test_a_name_that_no_source_may_have_is_not_followed(
    client: TestClient, sender: Any, add_source: Callable[..., None], stored: Stored
) -> None:
    add_source()
    client.request("POST", **sender.github(_issue(), delivery="d1"))
    answer = client.request("POST", **sender.github(_issue("a/\x1b[2Jb", 2), delivery="d2")).json()
    assert answer["status"] == "ignored"
    assert "is not a repository's name" in answer["reason"]
    assert stored("SELECT repository FROM sources") == [("codertocat/hello-world",)]


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(), max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["from", "user", "login"]), inner),
    max_leaves=8,
)


@given(
    st.fixed_dictionaries(
        {"action": st.sampled_from(["renamed", "transferred"])},
        optional={
            "changes": st.fixed_dictionaries({}, optional={"repository": anything, "owner": anything}) | anything,
            "repository": st.fixed_dictionaries(
                {}, optional={"full_name": st.just("a/b") | anything, "id": anything, "html_url": anything}
            )
            | anything,
        },
    )
)
def test_any_event_about_a_repository_gives_an_intent_or_names_a_field(payload: Any) -> None:
    try:
        intent = github.normalise("repository", payload, rules=read_rules((), None))
    except BadField as error:
        assert error.field
        return
    assert isinstance(intent, RenameIntent)
    (intent.former or "").encode()


def test_a_gitlab_project_is_followed_by_its_id_and_by_its_system_hook(
    client: TestClient, forges: Forges, add_source: Callable[..., None], stored: Stored
) -> None:
    add_source("shop", "group/sub/shop")
    client.request("POST", **forges.gitlab(GITLAB_ISSUE))
    renamed = but(GITLAB_ISSUE, "project.path_with_namespace", "group/store")
    client.request("POST", **forges.gitlab(but(renamed, "object_attributes.iid", 24)))
    assert stored("SELECT repository FROM sources") == [("group/store",)]
    hook = {
        "event_name": "project_transfer",
        "project_id": 1,
        "path_with_namespace": "acme/store",
        "old_path_with_namespace": "group/store",
    }
    answer = client.request("POST", **forges.gitlab(hook)).json()
    assert answer["status"] == "accepted"
    assert stored("SELECT repository FROM sources") == [("acme/store",)]


def test_a_repository_of_which_a_source_has_only_the_tickets_is_followed_by_the_event(
    client: TestClient, sender: Any, link: Callable[..., None], stored: Stored
) -> None:
    link("github", "codertocat/hello-world")
    answer = client.request("POST", **sender.github(RENAMED, event="repository")).json()
    assert answer["status"] == "accepted"
    assert stored("SELECT project FROM ticket_projects") == [("codertocat/store",)]
    client.request("POST", **sender.github(_issue(NEW), event="issues"))
    assert [change.project for change in changes(client)] == ["codertocat/store"]

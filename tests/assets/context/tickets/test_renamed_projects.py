"""Tickets of a repository that was renamed: they stay found, and later changes reach them."""

from assets.context.source.sources import rename_source
from assets.context.tickets.importing import link_project
from core.events import DEFAULT_TEAM
from core.repository_names import rename
from core.tickets import Service
from tests.assets.context.tickets.ticket_cases import Tracker, comment, issue

NEW = "acme/store"


def _rename(tracker: Tracker, name: str = NEW) -> None:
    rename_source(tracker.database, DEFAULT_TEAM, "shop", repository=name)


def _tickets(tracker: Tracker) -> list[tuple[object, ...]]:
    return tracker.rows("SELECT project, key, title FROM tickets ORDER BY project, key")


def test_tickets_get_the_new_name_and_later_changes_reach_them(tracker: Tracker) -> None:
    tracker.tell(issue(1))
    tracker.tell(comment(1, "7", "Halve the rebate."))
    tracker.index()
    assert tracker.words("rebate") == ["#1"]
    _rename(tracker)
    assert tracker.words("rebate") == ["#1"], "also before they are moved"
    tracker.tell(issue(1, title="Sum is wrong", at=5, project=NEW))
    tracker.index()
    assert _tickets(tracker) == [(NEW, "#1", "Sum is wrong")]
    assert tracker.rows("SELECT project, part FROM ticket_parts ORDER BY part") == [(NEW, "7"), (NEW, "body")]
    assert [hit.project for hit in tracker.search("rebate")] == [NEW]
    assert tracker.words("sum") == ["#1"]


def test_changes_that_still_use_the_former_name_reach_the_ticket(tracker: Tracker) -> None:
    tracker.tell(issue(1))
    tracker.index()
    tracker.tell(comment(1, "7", "Waiting since before the rename."))
    _rename(tracker)
    tracker.index()
    tracker.tell(issue(1, title="Sum is wrong", at=5))
    tracker.tell(issue(2))
    tracker.index()
    assert _tickets(tracker) == [(NEW, "#1", "Sum is wrong"), (NEW, "#2", "Total is wrong")]
    assert tracker.words("waiting") == ["#1"]


def test_tickets_follow_from_name_to_name_and_back(tracker: Tracker) -> None:
    tracker.tell(issue(1))
    tracker.index()
    _rename(tracker)
    _rename(tracker, "acme/mall")
    tracker.tell(issue(2))
    tracker.tell(issue(3, project=NEW))
    tracker.index()
    assert [(project, key) for project, key, _ in _tickets(tracker)] == [
        ("acme/mall", "#1"),
        ("acme/mall", "#2"),
        ("acme/mall", "#3"),
    ]
    _rename(tracker, "acme/shop")
    tracker.tell(issue(4, project="acme/mall"))
    tracker.index()
    assert {project for project, _, _ in _tickets(tracker)} == {"acme/shop"}
    assert len(_tickets(tracker)) == 4


def test_of_a_ticket_under_both_names_the_one_with_the_new_name_stays(tracker: Tracker) -> None:
    tracker.tell(issue(1, title="Old title"))
    tracker.tell(comment(1, "7", "Only under the former name."))
    tracker.tell(issue(1, title="New title", project=NEW))
    tracker.index()
    _rename(tracker)
    tracker.index()
    assert _tickets(tracker) == [(NEW, "#1", "New title")]
    assert tracker.words("former") == ["#1"]


def test_tickets_of_other_projects_and_of_jira_stay(tracker: Tracker) -> None:
    tracker.tell(issue(1, project="acme/docs"))
    tracker.tell(issue(7, service=Service.JIRA, project="SHOP", key="SHOP-7"))
    tracker.index()
    _rename(tracker)
    tracker.index()
    assert [(project, key) for project, key, _ in _tickets(tracker)] == [("SHOP", "SHOP-7"), ("acme/docs", "#1")]


def test_another_repository_linked_under_the_former_name_keeps_its_own_tickets(tracker: Tracker) -> None:
    tracker.tell(issue(1))
    tracker.index()
    _rename(tracker)
    tracker.index()
    link_project(tracker.database, DEFAULT_TEAM, "shop", Service.GITHUB, "acme/shop")
    tracker.tell(issue(1, title="Of the new repository"))
    tracker.index()
    assert _tickets(tracker) == [("acme/shop", "#1", "Of the new repository"), (NEW, "#1", "Total is wrong")]


def test_the_link_of_the_project_follows_with_its_progress(tracker: Tracker) -> None:
    link_project(tracker.database, DEFAULT_TEAM, "shop", Service.GITHUB, None, "https://ghe.example")
    _rename(tracker)
    assert tracker.rows("SELECT service, project, address FROM ticket_projects") == [
        ("github", NEW, "https://ghe.example")
    ]
    with tracker.database.team(DEFAULT_TEAM) as connection:
        connection.execute(
            "INSERT INTO sources (team_id, name, location) VALUES (%s, 'other', '/srv/other')", (DEFAULT_TEAM,)
        )
    link_project(tracker.database, DEFAULT_TEAM, "other", Service.GITHUB, "acme/mall")
    with tracker.database.team(DEFAULT_TEAM) as connection:
        problem = rename(connection, DEFAULT_TEAM, "shop", "acme/mall", NEW)
    assert problem == "acme/mall already belongs to source other"
    assert tracker.rows("SELECT repository FROM sources WHERE name = 'shop'") == [(NEW,)]

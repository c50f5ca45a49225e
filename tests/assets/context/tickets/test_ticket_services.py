"""Fields missing from services' events, and the order of events, do not change the stored ticket."""

from datetime import timedelta
from typing import Any

from core.tickets import TicketChange, jira
from tests.assets.context.tickets.ticket_cases import START, Tracker


def jira_issue(status: str, category: str, minute: int, **fields: Any) -> TicketChange:
    change = jira.change(
        {
            "timestamp": milliseconds(minute),
            "webhookEvent": "jira:issue_updated",
            "issue": {
                "key": "SHOP-7",
                "fields": {
                    "summary": "Total is wrong",
                    "description": "The invoice adds the discount twice.",
                    "status": {"name": status, "statusCategory": {"key": category}},
                    "updated": (START + timedelta(minutes=minute)).isoformat(),
                    **fields,
                },
            },
        }
    )
    assert change is not None
    return change


def jira_comment(status: str, category: str, minute: int, **more: Any) -> TicketChange:
    """An event as Jira Cloud sends it: the issue has only summary, type, project, assignee, priority and status."""
    when = (START + timedelta(minutes=minute)).isoformat()
    change = jira.change(
        {
            "webhookEvent": "comment_created",
            "comment": {"id": "77", "body": "memcached", "created": when, "updated": when},
            "issue": {
                "key": "SHOP-7",
                "fields": {
                    "summary": "Total is wrong",
                    "status": {"name": status, "statusCategory": {"key": category}},
                },
            },
            **more,
        }
    )
    assert change is not None
    return change


def milliseconds(minute: int) -> int:
    return int((START + timedelta(minutes=minute)).timestamp() * 1000)


def test_a_late_jira_comment_does_not_restore_the_status_of_its_time(tracker: Tracker) -> None:
    tracker.tell(jira_issue("Done", "done", minute=9))
    for late in (jira_comment("To Do", "new", 3, timestamp=milliseconds(3)), jira_comment("To Do", "new", 4)):
        tracker.tell(late)
    tracker.index()
    assert tracker.rows("SELECT state, status FROM tickets") == [("closed", "Done")]
    assert tracker.words("memcached") == ["SHOP-7"]
    tracker.tell(jira_comment("In Progress", "indeterminate", 12, timestamp=milliseconds(12)))
    tracker.index()
    assert tracker.rows("SELECT state, status FROM tickets") == [("open", "In Progress")]


def test_a_jira_comment_shows_nothing_of_an_issue_that_not_everybody_may_see(tracker: Tracker) -> None:
    tracker.tell(jira_comment("To Do", "new", 3, timestamp=milliseconds(3)))
    tracker.index()
    assert tracker.words("total wrong memcached SHOP-7") == []
    tracker.tell(jira_issue("To Do", "new", minute=4, security={"name": "Staff only"}))
    tracker.tell(jira_comment("To Do", "new", 5, timestamp=milliseconds(5)))
    tracker.index()
    assert tracker.words("total wrong memcached SHOP-7") == []
    tracker.tell(jira_issue("To Do", "new", minute=6, security=None))
    tracker.index()
    assert tracker.words("memcached") == ["SHOP-7"]

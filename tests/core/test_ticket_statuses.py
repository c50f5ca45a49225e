from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from core.settings import Settings
from core.ticket_statuses import BadStatus, Stage, TicketStatus, read_statuses, status_for


def test_the_first_entry_that_names_stage_and_project_decides() -> None:
    found = read_statuses(["started:In Progress [SHOP]", "started: Doing", "merged:Done"])
    assert found == (
        TicketStatus(Stage.STARTED, "In Progress", "SHOP"),
        TicketStatus(Stage.STARTED, "Doing"),
        TicketStatus(Stage.MERGED, "Done"),
    )
    assert status_for(found, Stage.STARTED, "shop") == "In Progress"
    assert status_for(found, Stage.STARTED, "BOOKS") == "Doing"
    assert status_for(found, Stage.PROPOSED, "SHOP") is None


@pytest.mark.parametrize("entry", ["", "begun:Doing", "started", "started:", "started:A [", "started:[X]", ":Done"])
def test_other_entries_are_refused_with_how_they_are_written(entry: str) -> None:
    with pytest.raises(BadStatus, match="write started:STATUS"):
        read_statuses([entry])


@given(st.text(max_size=80))
def test_no_text_raises_anything_else(entry: str) -> None:
    with suppress(BadStatus):
        assert read_statuses([entry])[0].status


def test_the_setting_names_itself_when_it_is_wrong() -> None:
    assert Settings(ticket_statuses="started:Doing; merged:Done [A*]").ticket_statuses == (
        "started:Doing",
        "merged:Done [A*]",
    )
    with pytest.raises(ValidationError, match="ticket_statuses"):
        Settings(ticket_statuses="doing")

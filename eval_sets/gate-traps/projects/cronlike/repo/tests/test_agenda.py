from datetime import datetime

import pytest

from cronlike import Agenda


@pytest.fixture
def agenda():
    return Agenda(datetime(2024, 5, 17, 8, 0))


class TestAgenda:
    def test_runs_what_is_due(self, agenda):
        ran = []
        agenda.add("tea", "0 9 * * *", lambda: ran.append("tea"))
        agenda.add("late", "0 22 * * *", lambda: ran.append("late"))
        assert agenda.run_due(datetime(2024, 5, 17, 9, 0)) == ["tea"]
        assert ran == ["tea"]
        assert agenda.run_due(datetime(2024, 5, 17, 9, 5)) == []

    def test_order_of_times(self, agenda):
        agenda.add("lunch", "0 12 * * *", list)
        agenda.add("break", "0 10 * * *", list)
        agenda.add("stretch", "0 9 * * *", list)
        assert agenda.run_due(datetime(2024, 5, 17, 13, 0)) == ["stretch", "break", "lunch"]

    def test_failures_are_noted(self, agenda):
        agenda.add("bad", "0 9 * * *", lambda: 1 / 0)
        agenda.add("good", "0 9 * * *", list)
        assert agenda.run_due(datetime(2024, 5, 17, 9, 0)) == ["good"]
        assert agenda.errors == [("bad", "division by zero")]

from datetime import datetime

import pytest

from cronlike import Schedule, ScheduleError, parse_field


class TestParseField:
    def test_star(self):
        assert parse_field("*/20", 0, 59) == {0, 20, 40}

    def test_list_and_range(self):
        assert parse_field("1-3,7", 0, 9) == {1, 2, 3, 7}

    def test_step_counts_from_the_start(self):
        assert parse_field("1-9/2", 0, 59) == {1, 3, 5, 7, 9}

    def test_even_steps(self):
        assert parse_field("2-6/2", 0, 59) == {2, 4, 6}

    @pytest.mark.parametrize("text", ["x", "1-", "60", "5-1", "*/0"])
    def test_refused(self, text):
        with pytest.raises(ScheduleError):
            parse_field(text, 0, 59)


class TestSchedule:
    def test_matches(self):
        schedule = Schedule.from_text("30 9 * * 1-5")
        assert schedule.matches(datetime(2024, 5, 17, 9, 30))
        assert not schedule.matches(datetime(2024, 5, 18, 9, 30))

    def test_sunday_is_also_seven(self):
        assert Schedule.from_text("0 12 * * 7").matches(datetime(2024, 5, 19, 12, 0))

    def test_next_after(self):
        assert Schedule.from_text("0 6 * * *").next_after(datetime(2024, 5, 17, 9)) == datetime(2024, 5, 18, 6)

    def test_next_after_a_matching_minute(self):
        assert Schedule.from_text("0 * * * *").next_after(datetime(2024, 5, 17, 10)) == datetime(2024, 5, 17, 11)

    def test_never(self):
        with pytest.raises(ScheduleError):
            Schedule.from_text("0 0 31 2 *").next_after(datetime(2024, 5, 17))

from datetime import datetime

from cronlike import Agenda, Schedule, ScheduleError, parse_field


def check_fields():
    assert parse_field("1-10/3", 0, 59) == {1, 4, 7, 10} and parse_field("2-11/3", 0, 59) == {2, 5, 8, 11}
    assert parse_field("*/5", 1, 12) == {1, 6, 11} and parse_field("5", 0, 9) == {5}
    for text in ("", "1-2-3", "-1", "*/x"):
        try:
            parse_field(text, 0, 59)
            raise AssertionError(text)
        except ScheduleError:
            pass


def check_schedules():
    at = datetime(2024, 5, 17, 10, 0)
    assert Schedule.from_text("*/15 * * * *").next_after(at) == datetime(2024, 5, 17, 10, 15)
    assert Schedule.from_text("0 10 * * *").next_after(at) == datetime(2024, 5, 18, 10, 0)
    assert Schedule.from_text("0 * * * *").next_after(datetime(2024, 5, 17, 10, 0, 30)) == datetime(2024, 5, 17, 11, 0)
    assert Schedule.from_text("0 0 29 2 *").next_after(datetime(2023, 3, 1)) == datetime(2024, 2, 29)
    sundays = [Schedule.from_text(f"0 0 * * {day}").matches(datetime(2024, 5, 19)) for day in "0123456"]
    assert sundays == [True] + [False] * 6 and Schedule.from_text("0 0 * * 5-7").weekdays == {5, 6, 0}


def check_agenda():
    agenda = Agenda(datetime(2024, 5, 17, 8, 0))
    for name, hour in (("a", 11), ("b", 9), ("c", 10)):
        agenda.add(name, f"0 {hour} * * *", list)
    agenda.add("d", "30 9 * * *", lambda: {}["x"])
    assert agenda.run_due(datetime(2024, 5, 17, 12, 0)) == ["b", "c", "a"]
    assert agenda.errors == [("d", "'x'")] and agenda.due["d"] == datetime(2024, 5, 18, 9, 30)


if __name__ == "__main__":
    for name, check in list(globals().items()):
        if name.startswith("check_"):
            check()
    print("held-back checks passed")

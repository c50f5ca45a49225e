from datetime import datetime

import pytest

from inklog.entries import entries
from inklog.report import by_press, ink, latest, pauses


@pytest.fixture
def journal():
    return entries(
        [
            "2024-03-01 09:15 press2 [warn] ink low: 12%",
            "2024-03-01 09:00 press1 [info] started",
            "2024-03-01 10:15 press2 [error] ink empty: 0%",
            "2024-03-01 09:40 press3 [error] jam",
            "2024-03-01 09:42 press1 [warn] ink low: 9%",
        ]
    )


def test_by_press(journal):
    assert by_press(journal) == [("press1", 2), ("press2", 2), ("press3", 1)]


def test_by_level(journal):
    assert by_press(journal, "error") == [("press2", 1), ("press3", 1)]


def test_pauses(journal):
    assert pauses(journal) == [(datetime(2024, 3, 1, 9, 42), datetime(2024, 3, 1, 10, 15))]


def test_latest(journal):
    assert latest(journal, "press1") == "ink low: 9%"


def test_latest_of_an_unknown_press(journal):
    assert latest(journal, "press9") is None


def test_ink(journal):
    assert ink(journal) == {"press1": 9, "press2": 0}

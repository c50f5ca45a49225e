from datetime import datetime

from inklog.entries import Entry, entries, parse


def test_parse():
    entry = parse("2024-03-01 09:15 press2 [warn] ink low: 12%")
    assert entry == Entry(datetime(2024, 3, 1, 9, 15), "press2", "warn", "ink low: 12%")


def test_not_an_entry():
    assert parse("Copyright 1987") is None


def test_unknown_level():
    assert parse("2024-03-01 09:15 press2 [loud] noise") is None


def test_continued():
    found = entries(["2024-03-01 09:15 p1 [info] paper", "  changed", "?", "2024-03-01 09:20 p1 [info] go"])
    assert [entry.text for entry in found] == ["paper changed", "go"]

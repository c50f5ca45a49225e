import pytest

from accesslog.entry import parse_all
from accesslog.sessions import average_seconds, bounce_rate, visits
from accesslog.summary import broken_links, by_status, error_rate, referers, searches, top_pages, traffic

from .sample import LINES


@pytest.fixture
def entries():
    return parse_all(LINES)[0]


def test_top_pages(entries):
    assert top_pages(entries) == [("/shoes", 2), ("/", 1)]
    assert top_pages(entries, 1) == [("/shoes", 2)]


def test_by_status(entries):
    assert by_status(entries) == {"2xx": 5, "5xx": 1, "4xx": 1}


def test_traffic(entries):
    assert traffic(entries) == {"2024-03-04": 2002, "2024-03-05": 730}


def test_referers(entries):
    assert referers(entries, "shop.example") == [("search.example", 1), ("blog.example", 1)]


def test_broken_links(entries):
    assert broken_links(entries) == [("/boots", "https://blog.example/post")]


def test_a_broken_link_is_listed_once(entries):
    assert len(broken_links(entries + entries)) == 1


def test_error_rate(entries):
    assert error_rate(entries) == 14.3
    assert error_rate([]) == 0.0


def test_searches(entries):
    assert searches(entries) == [("red shoes", 2)]


def test_visits(entries):
    found = visits(entries)
    assert [visit.pages for visit in found] == [["/", "/shoes"], ["/shoes"], ["/cart"], ["/boots"]]


def test_length_of_visits(entries):
    found = visits(entries)
    assert found[0].seconds == 1200
    assert average_seconds(found) == 300


def test_a_visit_past_midnight():
    lines = [
        'h - - [04/Mar/2024:23:50:00 +0100] "GET /a HTTP/1.1" 200 1 "-" "X"',
        'h - - [05/Mar/2024:00:10:00 +0100] "GET /b HTTP/1.1" 200 1 "-" "X"',
        'h - - [05/Mar/2024:00:30:00 +0100] "GET /c HTTP/1.1" 200 1 "-" "X"',
    ]
    found = visits(parse_all(lines)[0])
    assert [visit.seconds for visit in found] == [2400]


def test_bounce_rate(entries):
    assert bounce_rate(visits(entries)) == 0.75
    assert bounce_rate([]) == 0.0

from datetime import timedelta

import pytest

from accesslog.entry import BadLine, parse, parse_all
from accesslog.sessions import average_seconds, bounce_rate, visits
from accesslog.summary import broken_links, referers, top_pages

TEMPLATE = '%s - - [%s +0000] "GET %s HTTP/1.1" %d 5 "%s" "%s"'


def line(host="h", time="04/Mar/2024:10:00:00", target="/", status=200, referer="-", agent="X"):
    return TEMPLATE % (host, time, target, status, referer, agent)


@pytest.mark.parametrize("extra", [" x", ' "more"', "  ", "."])
def test_nothing_may_follow(extra):
    with pytest.raises(BadLine):
        parse(line() + extra)


def test_nothing_may_come_before():
    with pytest.raises(BadLine):
        parse("x " + line())


@pytest.mark.parametrize(
    ("path", "asset"),
    [("/a.css", True), ("/a.css.html", False), ("/a.woff2", True), ("/jpg", False), ("/x.jsp", False), ("/a.ico/", True)],
)
def test_assets(path, asset):
    assert parse(line(target=path)).is_asset is asset


def test_long_visits():
    lines = [line(time="04/Mar/2024:%02d:00:00" % hour, target="/%d" % hour) for hour in range(24)]
    found = visits(parse_all(lines)[0], timedelta(hours=1))
    assert [visit.seconds for visit in found] == [23 * 3600]
    lines.append(line(time="05/Mar/2024:00:30:00"))
    found = visits(parse_all(lines)[0], timedelta(hours=2))
    assert [visit.seconds for visit in found] == [24.5 * 3600]
    assert average_seconds(found) == 88200


def test_many_days():
    lines = [line(time="%02d/Mar/2024:12:00:00" % day) for day in (1, 2, 3)]
    found = visits(parse_all(lines)[0], timedelta(days=2))
    assert [visit.seconds for visit in found] == [2 * 86400]


def test_pause_is_inclusive():
    lines = [line(time="04/Mar/2024:10:00:00"), line(time="04/Mar/2024:10:30:00"), line(time="04/Mar/2024:11:00:01")]
    assert [len(visit.entries) for visit in visits(parse_all(lines)[0])] == [2, 1]


def test_equal_views_by_name():
    lines = [line(target=target) for target in ("/b", "/a", "/c", "/a?x=1", "/b/", "/d.css")]
    assert top_pages(parse_all(lines)[0]) == [("/a", 2), ("/b", 2), ("/c", 1)]


def test_broken_links_each_once():
    lines = [line(target="/x", status=404, referer=referer) for referer in ("https://b/", "https://a/", "https://b/", "-")]
    assert broken_links(parse_all(lines)[0]) == [("/x", "https://a/"), ("/x", "https://b/")]


def test_referers_of_the_own_host():
    lines = [line(referer=referer) for referer in ("https://www.me.org/x", "http://me.org", "https://you.org/me.org")]
    assert referers(parse_all(lines)[0], "me.org") == [("you.org", 1)]


def test_json_lines():
    text = '{"ts": "2024-03-04T10:20:00+00:00", "remote": "r", "user": "u", "method": "PUT", "uri": "/a?b=c", "status": "503"}'
    entry = parse(text)
    assert (entry.user, entry.method, entry.query, entry.failed, entry.size, entry.agent) == ("u", "PUT", {"b": "c"}, True, 0, "")
    assert not entry.is_bot


def test_bounces():
    lines = [line(host="a"), line(host="a", target="/x.css"), line(host="b"), line(host="b", target="/2")]
    assert bounce_rate(visits(parse_all(lines)[0])) == 0.5

import pytest

from accesslog.entry import BadLine, parse, parse_all

from .sample import LINES


def with_target(target, agent="Firefox"):
    return parse('1.2.3.4 - - [04/Mar/2024:10:00:00 +0100] "GET %s HTTP/1.1" 200 5 "-" "%s"' % (target, agent))


def test_fields():
    entry = parse(LINES[2])
    assert (entry.host, entry.user, entry.method, entry.status, entry.size) == ("10.0.0.1", "ada", "GET", 200, 700)
    assert entry.time.isoformat() == "2024-03-04T10:20:00+01:00"


def test_no_user_and_no_size():
    entry = parse(LINES[4])
    assert (entry.user, entry.size) == (None, 0)


@pytest.mark.parametrize(("target", "path"), [("/", "/"), ("/a/", "/a"), ("/a?x=/", "/a"), ("//", "/")])
def test_path(target, path):
    assert with_target(target).path == path


def test_query():
    assert with_target("/a?x=1&y&z=a=b").query == {"x": "1", "y": "", "z": "a=b"}


@pytest.mark.parametrize(
    ("target", "asset"), [("/style.css", True), ("/a.JPEG?v=2", True), ("/a.js/more", False), ("/news/css", False)]
)
def test_assets(target, asset):
    assert with_target(target).is_asset is asset


@pytest.mark.parametrize(("agent", "bot"), [("SearchBot/2.1", True), ("my-Crawler", True), ("Bottega browser", False)])
def test_bots(agent, bot):
    assert with_target("/", agent).is_bot is bot


def test_common_format_without_agent():
    assert parse('h - - [04/Mar/2024:10:00:00 +0100] "GET / HTTP/1.1" 304 -').agent == ""


def test_windows_line_ends():
    assert parse(LINES[0] + "\r\n").agent == "Firefox"


def test_bad_lines_are_counted():
    entries, bad = parse_all([*LINES, "", "nonsense", LINES[0] + " trailing"])
    assert (len(entries), bad) == (7, 2)


def test_a_bad_request():
    with pytest.raises(BadLine, match="request"):
        parse('h - - [04/Mar/2024:10:00:00 +0100] "\\x16" 400 -')

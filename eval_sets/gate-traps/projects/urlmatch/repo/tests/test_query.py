from urlmatch.query import build_url, parse_query


def test_parse_query():
    assert parse_query("?a=1&b=2&a=3") == {"a": ["1", "3"], "b": ["2"]}


def test_key_without_value():
    assert parse_query("debug") == {"debug": [""]}


def test_plus_is_a_blank():
    assert parse_query("q=two+words") == {"q": ["two words"]}


def test_percent():
    assert parse_query("q=50%25") == {"q": ["50%"]}


def test_build_url():
    assert build_url("/a", page=2, tag=["x", "y"]) == "/a?page=2&tag=x&tag=y"


def test_build_url_with_special_characters():
    assert build_url("/a", q="a&b=c") == "/a?q=a%26b%3Dc"


def test_build_url_without_values():
    assert build_url("/a", page=None) == "/a"

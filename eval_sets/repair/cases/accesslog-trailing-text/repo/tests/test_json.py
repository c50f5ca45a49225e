from accesslog.entry import parse, parse_all

LINE = (
    '{"ts": "2024-03-04T10:20:00+01:00", "remote": "10.0.0.1", "method": "GET", "uri": "/shoes/?q=red", "status": 200, '
    '"bytes": 700, "headers": {"referer": "https://shop.example/", "user-agent": "Firefox"}}'
)


def test_fields_of_a_json_line():
    entry = parse(LINE)
    assert (entry.host, entry.user, entry.path, entry.size, entry.agent) == ("10.0.0.1", None, "/shoes", 700, "Firefox")
    assert entry.time.hour == 10


def test_broken_json_is_a_bad_line():
    entries, bad = parse_all([LINE, LINE[:-1], "{}"])
    assert (len(entries), bad) == (1, 2)

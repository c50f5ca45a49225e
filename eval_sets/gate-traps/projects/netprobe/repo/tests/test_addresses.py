import pytest

from netprobe.addresses import private, same, split


@pytest.mark.parametrize(
    ("text", "found"),
    [("DB.local:5432", ("db.local", 5432)), ("https://x.org/a:b", ("x.org", 443)), ("x.org", ("x.org", None))],
)
def test_split(text, found):
    assert split(text) == found


def test_ipv6():
    assert split("[::1]:80") == ("::1", 80)


def test_no_host():
    with pytest.raises(ValueError):
        split(":80")


def test_same():
    assert same("http://X.org", "x.org:80")


def test_private():
    assert [private(a) for a in ("10.1.2.3", "172.16.0.1", "8.8.8.8")] == [True, True, False]

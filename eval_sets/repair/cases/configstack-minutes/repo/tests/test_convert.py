import pytest

from configstack.convert import to_bool, to_bytes, to_list, to_seconds


@pytest.mark.parametrize(("text", "value"), [("yes", True), ("ON", True), ("0", False), ("", False)])
def test_bool(text, value):
    assert to_bool(text) is value


@pytest.mark.parametrize(("text", "value"), [("512", 512), ("4k", 4000), ("4KiB", 4096), ("1.5MB", 1500000)])
def test_bytes(text, value):
    assert to_bytes(text) == value


@pytest.mark.parametrize(("text", "value"), [("90", 90), ("1m30s", 90), ("250ms", 0.25), ("1h", 3600)])
def test_seconds(text, value):
    assert to_seconds(text) == value


@pytest.mark.parametrize("text", ["soon", "1m x", "-5"])
def test_not_a_span(text):
    with pytest.raises(ValueError, match="time span"):
        to_seconds(text)


def test_list():
    assert to_list("a, b,,c") == ["a", "b", "c"]


def test_list_with_quotes():
    assert to_list("'a, b', c") == ["a, b", "c"]

import pytest

from inifold import as_bool, as_list, as_size


@pytest.mark.parametrize(("text", "value"), [("yes", True), ("Off", False), (" true ", True)])
def test_as_bool(text, value):
    assert as_bool(text) is value


def test_as_bool_refuses_others():
    with pytest.raises(ValueError):
        as_bool("maybe")


@pytest.mark.parametrize(("text", "parts"), [("a, b", ["a", "b"]), ("one", ["one"]), ("a,,b,", ["a", "b"])])
def test_as_list(text, parts):
    assert as_list(text) == parts


@pytest.mark.parametrize(("text", "size"), [("512", 512), ("2k", 2048), ("1m", 1048576)])
def test_as_size(text, size):
    assert as_size(text) == size


def test_as_size_in_capitals():
    assert as_size("10K") == 10240

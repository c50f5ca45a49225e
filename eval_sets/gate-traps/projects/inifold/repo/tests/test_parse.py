import pytest

from inifold.parse import ConfigError, parse, strip_comment


def test_keys_belong_to_their_section():
    assert parse("a = 1\n[net]\nHost = box\n") == {"": {"a": "1"}, "net": {"host": "box"}}


@pytest.mark.parametrize("line", ["novalue", "= 3"])
def test_other_lines_are_errors(line):
    with pytest.raises(ConfigError) as caught:
        parse(f"[a]\n{line}\n")
    assert caught.value.line == 2


def test_continued_value():
    assert parse("motd = hello\n  world\n")[""]["motd"] == "hello\nworld"


def test_a_section_ends_the_value_before_it():
    with pytest.raises(ConfigError, match="nothing to continue"):
        parse("a = 1\n[net]\n  more\n")


@pytest.mark.parametrize(
    ("line", "rest"),
    [("a = 1 # one", "a = 1 "), ("# all", ""), ("a = 1", "a = 1"), ('colour = "#fff"', 'colour = "#fff"')],
)
def test_strip_comment(line, rest):
    assert strip_comment(line) == rest

from inifold import ConfigError, as_bool, as_list, as_size, expand, merge, parse
from inifold.parse import strip_comment


def raises(kind, function, *arguments):
    try:
        function(*arguments)
    except kind:
        return True
    return False


def check_parse():
    assert parse('a = "x # y" # z\nb = "#1"') == {"": {"a": "x # y", "b": "#1"}}
    assert strip_comment('"a" # "b"') == '"a" ' and strip_comment('x = "#fff" # red') == 'x = "#fff" '
    assert raises(ConfigError, parse, "a=1\n[b]\n c") and raises(ConfigError, parse, " c")
    assert parse("a=1\n[b]\nc=2\n d") == {"": {"a": "1"}, "b": {"c": "2\nd"}}


def check_layers():
    one, two = {"a": {"x": "1", "y": "2"}}, {"a": {"x": "3"}, "b": {}}
    assert merge(one, two) == {"a": {"x": "3", "y": "2"}, "b": {}}
    assert one == {"a": {"x": "1", "y": "2"}} and two == {"a": {"x": "3"}, "b": {}}
    made = merge(one)
    made["a"]["x"] = "9"
    assert one["a"]["x"] == "1"
    assert expand("$$", {}) == "$"


def check_values():
    assert as_size("3M") == 3 * 1024**2 and as_size("1G") == 1024**3 and as_size(" 7 ") == 7
    assert raises(ValueError, as_size, "12x") and raises(ValueError, as_size, "")
    assert as_list(" a ; b;", ";") == ["a", "b"] and as_list("") == []
    assert as_bool("NO") is False and raises(ValueError, as_bool, "")


if __name__ == "__main__":
    for name, check in list(globals().items()):
        if name.startswith("check_"):
            check()
    print("held-back checks passed")

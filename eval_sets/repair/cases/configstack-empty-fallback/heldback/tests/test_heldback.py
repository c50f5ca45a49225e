import pytest

from configstack import ConfigError, EnvLayer, MapLayer, MissingKey, Stack
from configstack.convert import to_bytes, to_list, to_seconds


def test_order_of_three_layers():
    layers = [MapLayer({"k": str(n), f"only{n}": str(n)}, f"layer{n}") for n in range(3)]
    stack = Stack(*layers)
    assert (stack.get("k"), stack.origin("k")) == ("2", "layer2")
    assert [stack.get(f"only{n}") for n in range(3)] == ["0", "1", "2"]
    stack.push(MapLayer({"only0": "new"}, "top"))
    assert stack.get("only0") == "new"


def test_falsy_values_are_values():
    stack = Stack(MapLayer({"n": 5, "flag": True, "text": "x"}), MapLayer({"n": 0, "flag": False, "text": ""}, "over"))
    assert stack.get("n", "int") == 0
    assert stack.get("flag", "bool") is False
    assert stack.get("text") == ""
    assert stack.origin("text") == "over"


def test_falsy_defaults_are_defaults():
    assert Stack().get("x", default=None) is None
    assert Stack().get("x", default=0) == 0
    with pytest.raises(MissingKey):
        Stack().get("x")


@pytest.mark.parametrize(
    ("text", "value"), [("a-${x:}-b", "a--b"), ("${x:}", ""), ("${x: }", " "), ("${k:no}", "yes"), ("${x:a:b}", "a:b")]
)
def test_fallbacks(text, value):
    assert Stack(MapLayer({"k": "yes", "t": text})).get("t") == value


def test_a_reference_without_fallback_fails():
    with pytest.raises(ConfigError, match="refers to x"):
        Stack(MapLayer({"t": "${x}"})).get("t")


def test_empty_reference_target():
    assert Stack(MapLayer({"e": "", "t": "[${e:full}]"})).get("t") == "[]"


@pytest.mark.parametrize(
    ("text", "value"), [("1d", 86400), ("1h30m", 5400), ("2m", 120), ("1500ms", 1.5), ("1m 5s", 65), ("0.5", 0.5)]
)
def test_spans(text, value):
    assert to_seconds(text) == value


@pytest.mark.parametrize(("text", "value"), [("1g", 10**9), ("1GiB", 2**30), ("2kb", 2000), ("1Mi", 2**20), ("0.5k", 500)])
def test_sizes(text, value):
    assert to_bytes(text) == value


def test_quotes():
    assert to_list('"a,b" , \'c"d\', e') == ["a,b", 'c"d', "e"]


def test_environment_prefix():
    layer = EnvLayer({"APP_A__B_C": "1", "APPLE": "2", "app_x": "3"}, "app")
    assert list(layer.keys()) == ["a.b_c"]

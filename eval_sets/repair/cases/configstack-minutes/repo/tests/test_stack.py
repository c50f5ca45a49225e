import pytest

from configstack import ConfigError, EnvLayer, FileLayer, MapLayer, MissingKey, Stack


def test_later_layers_win(stack):
    assert stack.get("server.port", "int") == 9000
    assert stack.origin("server.port") == "environment"


def test_earlier_layers_fill_up(stack):
    assert stack.get("server.host") == "example.org"
    assert stack.get("server.debug", "bool") is False


def test_a_pushed_layer_wins(stack):
    stack.push(MapLayer({"server.port": 1}, "command line"))
    assert stack.get("server.port", "int") == 1


def test_keys_are_case_insensitive(stack):
    assert stack.get("Server.Host") == "example.org"


def test_missing_key(stack):
    with pytest.raises(MissingKey, match=r"server\.name: not set"):
        stack.get("server.name")


def test_default(stack):
    assert stack.get("server.name", default="x") == "x"


def test_references(stack):
    assert stack.get("server.url") == "http://example.org:9000/"


def test_reference_with_fallback():
    assert Stack(MapLayer({"a": "${b:7}"})).get("a", "int") == 7


def test_empty_fallback():
    assert Stack(MapLayer({"path": "${prefix:}/data"})).get("path") == "/data"


def test_reference_to_nothing():
    with pytest.raises(ConfigError, match="refers to b"):
        Stack(MapLayer({"a": "${b}"})).get("a")


def test_circle():
    with pytest.raises(ConfigError, match="circle"):
        Stack(MapLayer({"a": "${b}", "b": "${a}"})).get("a")


def test_bad_value_names_its_origin(stack):
    with pytest.raises(ConfigError, match="from environment"):
        stack.push(EnvLayer({"APP_SERVER__PORT": "many"}, "app"))
        stack.get("server.port", "int")


def test_section(stack):
    assert stack.section("limits") == {"timeout": "1m30s", "upload": "4MiB"}


def test_secrets_are_masked(stack):
    assert ("db.password", "********", "defaults") in stack.describe()


def test_a_required_file(tmp_path):
    with pytest.raises(ConfigError, match="not found"):
        FileLayer(tmp_path / "none.ini", required=True)


def test_an_optional_file(tmp_path):
    assert list(FileLayer(tmp_path / "none.ini").keys()) == []


def test_empty_values_win_too():
    stack = Stack(MapLayer({"proxy": "http://proxy"}), EnvLayer({"APP_PROXY": ""}, "APP"))
    assert stack.get("proxy") == ""

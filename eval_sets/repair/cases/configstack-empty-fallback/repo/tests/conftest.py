import pytest

from configstack import EnvLayer, FileLayer, MapLayer, Stack

INI = """
[server]
port = 8080
host = example.org
url = http://${server.host}:${server.port}/

[limits]
upload = 4MiB
timeout = 1m30s
"""


@pytest.fixture
def ini(tmp_path):
    path = tmp_path / "app.ini"
    path.write_text(INI)
    return path


@pytest.fixture
def stack(ini):
    defaults = MapLayer({"server": {"port": 80, "debug": "no"}, "db": {"password": "hunter2"}})
    environment = {"APP_SERVER__PORT": "9000", "HOME": "/root"}
    return Stack(defaults, FileLayer(ini), EnvLayer(environment, "app"))

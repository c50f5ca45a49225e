"""Small repositories whose tests fail for their environment, and others whose faults only look like that."""

# ruff: noqa: E501
from dataclasses import dataclass

from .conftest import Files

SHIP = """
def shipping(total):
    return 0 if total > 50 else 5
"""
TEST = (
    "from ship import shipping\n\n\ndef test_free():\n    assert shipping(50) == 0\n"
    "    assert [shipping(n) for n in (0, 1, 49, 49.99)] == [5] * 4\n    assert shipping(-3) == 5\n"
)
CONFIG = "[tool.pytest.ini_options]\n{}\n"


@dataclass(frozen=True)
class Lacking:
    """`named` must be in the first sentence, and `remedy` too."""

    files: Files
    named: str
    remedy: str
    test: str | None = None


def _project(body: str = "", requirements: str = "") -> str:
    return f'[project]\nname = "ship"\nversion = "1"\ndependencies = [{requirements}]\n{body}'


_INSTALL = ".venv/bin/pip install"

LACKING: dict[str, Lacking] = {
    "a declared package": Lacking(
        {"ship.py": SHIP, "pyproject.toml": _project("", '"a-package-of-the-project"'),
         "test_ship.py": "import a_package_of_the_project\n\n" + TEST},
        "`a-package-of-the-project`", _INSTALL,
    ),
    "a package that a requirements file names otherwise": Lacking(
        {"ship.py": "import magic\n" + SHIP, "requirements-dev.txt": "pytest\npython-magic>=0.4\n", "test_ship.py": TEST},
        "`python-magic`", _INSTALL,
    ),
    "a package that nothing declares": Lacking(
        {"ship.py": SHIP, "tests/test_ship.py": "import zebra_striper\n" + TEST}, "`zebra-striper`", _INSTALL,
    ),
    "a package that the program wraps in its own error": Lacking(
        {"ship.py": """
         def shipping(total):
             try:
                 import zebra_striper
             except ImportError as error:
                 raise RuntimeError("install the extra 'stripes'") from error
             return zebra_striper.cost(total)
         """, "setup.py": "from setuptools import setup\nsetup(name='ship', extras_require={'stripes': ['zebra_striper>=1']})\n",
         "test_ship.py": TEST},
        "`zebra-striper`", _INSTALL,
    ),
    "a compiled extension": Lacking(
        {"ship/__init__.py": "from ship._fast import shipping\n", "ship/_fast.pyx": "def shipping(total): return 0\n",
         "test_ship.py": TEST},
        "`ship._fast`", "`setup =",
    ),
    "a module that the build writes": Lacking(
        {"ship/__init__.py": "from ship._version import version\nfrom ship.costs import shipping\n", "ship/costs.py": SHIP,
         "pyproject.toml": _project('[tool.setuptools_scm]\nversion_file = "ship/_version.py"\n'), "test_ship.py": TEST},
        "`ship._version`", "`setup` command",
    ),
    "the project's own metadata": Lacking(
        {"ship.py": "from importlib.metadata import version\n\nVERSION = version('ship')\n" + SHIP,
         "pyproject.toml": _project(), "test_ship.py": TEST},
        "metadata of the project `ship`", _INSTALL,
    ),
    "a mark": Lacking(
        {"ship.py": SHIP, "pyproject.toml": CONFIG.format("strict_markers = true"),
         "test_ship.py": "import pytest\n\npytestmark = pytest.mark.django_db\n" + TEST},
        "the mark `django_db`", "`markers`",
    ),
    "a command-line option": Lacking(
        {"ship.py": SHIP, "test_ship.py": TEST.replace("():", "(request):\n    request.config.getoption('--run-slow')")},
        "option `--run-slow`", "`--test`",
    ),
    "an option in the given command": Lacking(
        {"ship.py": SHIP.replace(">", ">="), "test_ship.py": TEST}, "option `--snapshot-update`", "`--test`",
        test="python -m pytest --snapshot-update",
    ),
    "a setting": Lacking(
        {"ship.py": SHIP, "pyproject.toml": CONFIG.format("strict_config = true\nasyncio_mode = 'auto'"),
         "test_ship.py": TEST},
        "setting `asyncio_mode`", "Install the plugin".lower(),
    ),
    "a required plugin": Lacking(
        {"ship.py": SHIP, "pyproject.toml": CONFIG.format("required_plugins = 'pytest-zebra>=2'"), "test_ship.py": TEST},
        "plugin `pytest-zebra`", _INSTALL,
    ),
    "a plugin that the settings load": Lacking(
        {"ship.py": SHIP, "pyproject.toml": CONFIG.format("addopts = '-p pytest_zebra'"), "test_ship.py": TEST},
        "plugin `pytest_zebra`", _INSTALL,
    ),
    "a plugin that conftest.py loads": Lacking(
        {"ship.py": SHIP, "conftest.py": "pytest_plugins = ['pytest_zebra.plugin']\n", "test_ship.py": TEST},
        "plugin `pytest_zebra.plugin`", _INSTALL,
    ),
    "a fixture of a plugin": Lacking(
        {"ship.py": SHIP, "test_ship.py": TEST.replace("():", "(mocker):")}, "the fixture `mocker`", "pytest-mock",
    ),
    "a package that conftest.py imports": Lacking(
        {"ship.py": SHIP, "tests/conftest.py": "import zebra_striper\n", "tests/test_ship.py": TEST},
        "`zebra-striper`", _INSTALL,
    ),
    "what conftest.py asks for": Lacking(
        {"ship.py": SHIP, "test_ship.py": TEST, "conftest.py": """
         import pytest

         def pytest_configure(config):
             pytest.exit("set DATABASE_URL to a test database")
         """},
        "set DATABASE_URL to a test database", "Provide that".lower(),
    ),
    "a program": Lacking(
        {"ship.py": """
         import subprocess

         def shipping(total):
             return int(subprocess.run(["zebracost", str(total)], capture_output=True, check=True).stdout)
         """, "README.md": "Needs zebracost 2.\n", "test_ship.py": TEST},
        "the program `zebracost`", "install it on",
    ),
    "a program that a shell does not find": Lacking(
        {"ship.py": """
         import subprocess

         def shipping(total):
             done = subprocess.run(f"zebracost {total}", shell=True, capture_output=True, text=True)
             if done.returncode != 0:
                 raise RuntimeError(done.stderr)
             return int(done.stdout)
         """, "test_ship.py": "import subprocess\n\n\ndef test_cost():\n    assert subprocess.run('zebracost 50', shell=True).returncode == 0\n"},
        "the program `zebracost`", "install it on",
    ),
    "a program of the given command": Lacking(
        {"ship.py": SHIP.replace(">", ">="), "test_ship.py": TEST}, "the program `zebracost`", "install it on",
        test="zebracost --check && true",
    ),
    "the names of a network": Lacking(
        {"ship.py": """
         from urllib.request import urlopen

         def shipping(total):
             return int(urlopen(f"https://rates.example.com/{total}").read())
         """, "test_ship.py": TEST},
        "rates.example.com", "`--test`",
    ),
    "a network behind a number": Lacking(
        {"ship.py": """
         import socket

         def online():
             with socket.create_connection(("9.9.9.9", 53), timeout=1):
                 return True
         """, "test_ship.py": "from ship import online\n\n\ndef test_online():\n    assert online()\n"},
        "a network", "`--test`",
    ),
    "a network whose absence the program hides": Lacking(
        {"ship.py": """
         import socket

         def online():
             try:
                 socket.create_connection(("9.9.9.9", 53), timeout=1).close()
             except OSError:
                 return False
             return True
         """, "test_ship.py": "from ship import online\n\n\ndef test_online():\n    assert online()\n"},
        "a network", "`--test`",
    ),
    "a service": Lacking(
        {"ship.py": """
         import socket

         def connect():
             return socket.create_connection(("localhost", 6379), timeout=2)
         """, "test_ship.py": "from ship import connect\n\n\ndef test_connect():\n    connect().close()\n"},
        "Redis on port 6379", '`services = ["redis"]` under',
    ),
    "a git submodule": Lacking(
        {"ship.py": SHIP, ".gitmodules": '[submodule "spec"]\n\tpath = tests/spec\n\turl = ../spec\n',
         "tests/test_ship.py": """
         from pathlib import Path
         from ship import shipping

         def test_free():
             assert shipping(50) == int((Path(__file__).parent / "spec" / "free.txt").read_text())
         """},
        "submodule `tests/spec`", "Commit a copy".lower(),
    ),
    "a data file": Lacking(
        {"ship.py": "import json\n\n\ndef load(path):\n    with open(path) as handle:\n        return json.load(handle)\n",
         "tests/test_ship.py": """
         from pathlib import Path
         from ship import load

         def test_load():
             assert load(Path(__file__).parent / "data" / "huge-orders.json") == []
         """},
        "huge-orders.json", "Add it to the repository".lower(),
    ),
    "a file of the system": Lacking(
        {"ship.py": SHIP, "test_ship.py": "def test_words():\n    assert open('/usr/share/zebra/words').read()\n"},
        "/usr/share/zebra/words", "on Penstock's machine",
    ),
    "a display": Lacking(
        {"ship.py": """
         import os

         def screen():
             return os.environ["DISPLAY"]
         """, "test_ship.py": "from ship import screen\n\n\ndef test_screen():\n    assert screen()\n"},
        "a display", "xvfb-run",
    ),
    "a locale": Lacking(
        {"ship.py": """
         import locale

         def price(number):
             locale.setlocale(locale.LC_ALL, "de_DE.UTF-8")
             return locale.format_string("%.2f", number)
         """, "test_ship.py": "from ship import price\n\n\ndef test_price():\n    assert price(1.5) == '1,50'\n"},
        "`de_DE.UTF-8`", "locale-gen",
    ),
    "time zone data": Lacking(
        {"ship.py": """
         from datetime import datetime
         from zoneinfo import ZoneInfo

         def noon(zone):
             return datetime(2024, 1, 1, 12, tzinfo=ZoneInfo(zone)).utcoffset()
         """, "conftest.py": "import sys, zoneinfo\nzoneinfo.reset_tzpath(to=[])\nsys.modules['tzdata'] = None\n",
         "test_ship.py": "from ship import noon\n\n\ndef test_noon():\n    assert noon('Europe/Berlin').total_seconds() == 3600\n"},
        "time zone data", "`tzdata`",
    ),
    "a permission": Lacking(
        {"ship.py": "import os\n\n\ndef give(path):\n    os.chown(path, 0, 0)\n",
         "test_ship.py": "from ship import give\n\n\ndef test_give(tmp_path):\n    give(tmp_path)\n"},
        "privileges of root", "without privileges",
    ),
    "a place that is read-only": Lacking(
        {"ship.py": SHIP, "test_ship.py": "def test_log():\n    open('/var/log/ship.log', 'w').close()\n"},
        "/var/log/ship.log", "Penstock",
    ),
    "an environment variable": Lacking(
        {"ship.py": """
         import os

         def token():
             return os.environ["SHIP_TOKEN"]
         """, "tox.ini": "[testenv]\npassenv = SHIP_TOKEN\n",
         "test_ship.py": "from ship import token\n\n\ndef test_token():\n    assert token()\n"},
        "`SHIP_TOKEN`", "SHIP_TOKEN=VALUE",
    ),
    "another Python": Lacking(
        {"ship.py": "from typing import override\n" + SHIP, "test_ship.py": TEST,
         "pyproject.toml": _project().replace("dep", 'requires-python = ">=3.14"\ndep')},
        "Python >=3.14", "run Penstock with",
    ),
    "memory": Lacking(
        {"ship.py": SHIP, "test_ship.py": "def test_much():\n    assert len(bytearray(1 << 40)) == 1 << 40\n"},
        "more memory", "`--test`",
    ),
    "the git folder": Lacking(
        {"ship.py": """
         import subprocess

         def revision():
             return subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, check=True, text=True).stdout
         """, "test_ship.py": "from ship import revision\n\n\ndef test_revision():\n    assert len(revision()) == 41\n"},
        "`.git` folder", "`setup =",
    ),
    "a shared library": Lacking(
        {"ship.py": "import ctypes\n\nLIBRARY = ctypes.CDLL('libzebra.so.3')\n" + SHIP, "test_ship.py": TEST},
        "`libzebra.so.3`", "on Penstock's machine",
    ),
    "another time zone": Lacking(
        {"ship.py": "import time\n\n\ndef shown(seconds):\n    return time.strftime('%H:%M', time.localtime(seconds))\n",
         "test_ship.py": "from ship import shown\n\n\ndef test_shown():\n    assert shown(1715587200) == '10:00'\n"},
        "another time zone", "TZ=Europe/Berlin",
    ),
}  # fmt: skip

FAULTS: dict[str, Files] = {
    "a path that the program computes wrongly": {
        "ship.py": """
        from pathlib import Path

        def rates():
            return (Path(__file__).parent / "dta" / "rates.txt").read_text()
        """, "data/rates.txt": "5\n",
        "test_ship.py": "from ship import rates\n\n\ndef test_rates():\n    assert rates() == '5\\n'\n",
    },
    "an output file that the program should write": {
        "ship.py": "def save(text):\n    with open('report.tx', 'w') as handle:\n        handle.write(text)\n",
        "test_ship.py": "from ship import save\n\n\ndef test_save():\n    save('a')\n    assert open('report.txt').read() == 'a'\n",
    },
    "a misspelt import of the repository's module": {
        "prices.py": "RATE = 2\n", "ship.py": "from prizes import RATE\n\n\ndef shipping(total):\n    return RATE * total\n",
        "test_ship.py": "from ship import shipping\n\n\ndef test_rate():\n    assert shipping(2) == 4\n",
    },
    "a misspelt import of the standard library": {
        "ship.py": "import jsno\n\n\ndef load(text):\n    return jsno.loads(text)\n",
        "test_ship.py": "from ship import load\n\n\ndef test_load():\n    assert load('1') == 1\n",
    },
    "a name that a module of the repository lacks": {
        "prices.py": "def gross(net):\n    return 2 * net\n", "ship.py": "from prices import gros as gross\n",
        "test_ship.py": "from ship import gross\n\n\ndef test_gross():\n    assert gross(2) == 4\n",
    },
    "an attribute that a module lacks": {
        "ship.py": "import math\n\n\ndef up(x):\n    return math.cell(x)\n",
        "test_ship.py": "from ship import up\n\n\ndef test_up():\n    assert up(1.5) == 2\n",
    },
    "the wrong name of a locale": {
        "ship.py": """
        import locale

        def plain(number):
            locale.setlocale(locale.LC_ALL, "CC")
            return locale.format_string("%.2f", number)
        """, "test_ship.py": "from ship import plain\n\n\ndef test_plain():\n    assert plain(1.5) == '1.50'\n",
    },
    "a PermissionError of the program's own": {
        "ship.py": """
        def read(user, owner):
            if user == owner:
                raise PermissionError("not yours")
            return "text"
        """, "test_ship.py": "from ship import read\n\n\ndef test_read():\n    assert read('a', 'a') == 'text'\n",
    },
    "a FileNotFoundError of the program's own": {
        "ship.py": """
        def find(name, names):
            if name in names:
                raise FileNotFoundError(2, "No such file", name)
            return name
        """, "test_ship.py": "from ship import find\n\n\ndef test_find():\n    assert find('a', ['a']) == 'a'\n",
    },
    "a wrong host": {
        "ship.py": """
        import socket

        def connect(port):
            return socket.create_connection(("127.0.0.2", port), timeout=1)
        """, "test_ship.py": """
        import socket
        from ship import connect

        def test_connect():
            with socket.create_server(("127.0.0.1", 0)) as server:
                connect(server.getsockname()[1]).close()
        """,
    },
    "a misspelt host": {
        "ship.py": """
        import socket

        HOST = "locahost"

        def address():
            return socket.gethostbyname(HOST)
        """, "test_ship.py": "from ship import address\n\n\ndef test_address():\n    assert address() == '127.0.0.1'\n",
    },
    "a wrong port": {
        "ship.py": """
        import socket

        def connect(port):
            return socket.create_connection(("127.0.0.1", port + 1), timeout=1)
        """, "test_ship.py": """
        import socket
        from ship import connect

        def test_connect():
            with socket.create_server(("127.0.0.1", 0)) as server:
                connect(server.getsockname()[1]).close()
        """,
    },
    "a wrong name of a variable": {
        "ship.py": "import os\n\n\ndef token():\n    return os.environ['SHIP_TOKN']\n",
        "test_ship.py": """
        from ship import token

        def test_token(monkeypatch):
            monkeypatch.setenv("SHIP_TOKEN", "a")
            assert token() == "a"
        """,
    },
    "a wrong name of a program": {
        "ship.py": "import subprocess\n\n\ndef here():\n    return subprocess.run(['gti', '--version']).returncode\n",
        "test_ship.py": "from ship import here\n\n\ndef test_here():\n    assert here() == 0\n",
    },
    "a whole command as a program's name": {
        "ship.py": "import subprocess\n\n\ndef here():\n    return subprocess.run('echo a', capture_output=True).stdout\n",
        "test_ship.py": "from ship import here\n\n\ndef test_here():\n    assert here() == b'a\\n'\n",
    },
    "a wrong time zone": {
        "ship.py": """
        from datetime import datetime
        from zoneinfo import ZoneInfo

        ZONE = "Europe/Berln"

        def noon():
            return datetime(2024, 1, 1, 12, tzinfo=ZoneInfo(ZONE)).utcoffset().total_seconds()
        """, "test_ship.py": "from ship import noon\n\n\ndef test_noon():\n    assert noon() == 3600\n",
    },
    "a plugin that the program loads by a computed name": {
        "ship.py": """
        from importlib import import_module

        def plugin(name):
            return import_module("plugin_" + name.upper()).VALUE
        """, "plugin_a.py": "VALUE = 1\n",
        "test_ship.py": "from ship import plugin\n\n\ndef test_plugin():\n    assert plugin('a') == 1\n",
    },
    "an import that is caught, and a fault behind it": {
        "ship.py": """
        try:
            import zebra_striper
        except ImportError:
            zebra_striper = None

        def cost(n):
            if zebra_striper is None:
                return n - 2
            return zebra_striper.cost(n)
        """, "test_ship.py": "from ship import cost\n\n\ndef test_cost():\n    assert cost(2) == 4\n",
    },
    "a key that a dictionary lacks": {
        "ship.py": "RATES = {'DISPLAY': 1}\n\n\ndef rate(name):\n    return RATES[name.lower()]\n",
        "test_ship.py": "from ship import rate\n\n\ndef test_rate():\n    assert rate('DISPLAY') == 1\n",
    },
    "a local time that is wrong in every time zone": {
        "ship.py": "import time\n\n\ndef hours(a, b):\n    return (time.mktime(b) - time.mktime(a)) / 36\n",
        "test_ship.py": "import time\n\nfrom ship import hours\n\n\ndef test_hours():\n"
        "    assert hours(time.localtime(0), time.localtime(7200)) == 2\n",
    },
    "too much memory, asked for by the program": {
        "ship.py": "def zeros(n):\n    return bytes(1 << 40 + n)[:n]\n",
        "test_ship.py": "from ship import zeros\n\n\ndef test_zeros():\n    assert zeros(2) == bytes(2)\n",
    },
    "an absolute path instead of a relative one": {
        "ship.py": "def save(name):\n    with open('/' + name, 'w') as handle:\n        return handle.write('a')\n",
        "test_ship.py": "from ship import save\n\n\ndef test_save():\n    assert save('x.txt') == 1\n",
    },
}  # fmt: skip

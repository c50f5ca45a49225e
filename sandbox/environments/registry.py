"""Which package index is used: the setting, else what uv or pip is configured with on this machine, else uv's own."""

import configparser
import os
import tomllib
from contextlib import suppress
from pathlib import Path

_UV_VARIABLES = ("UV_DEFAULT_INDEX", "UV_INDEX_URL")
_PIP_FILES = ("~/.config/pip/pip.conf", "~/.pip/pip.conf", "/etc/xdg/pip/pip.conf", "/etc/pip.conf")
_UV_FILES = ("~/.config/uv/uv.toml", "/etc/xdg/uv/uv.toml", "/etc/uv/uv.toml")


def configured_index(setting: str = "") -> str:
    """The address of the index, with credentials if it has any; empty for uv's own default."""
    if setting:
        return setting
    for name in (*_UV_VARIABLES, "PIP_INDEX_URL"):
        if os.environ.get(name):
            return os.environ[name]
    return _of_uv_files() or _of_pip_files()


def _of_uv_files() -> str:
    for name in _UV_FILES:
        with suppress(OSError, tomllib.TOMLDecodeError, UnicodeDecodeError):
            content = tomllib.loads(Path(name).expanduser().read_text())
            if isinstance(content.get("index-url"), str):
                return str(content["index-url"])
            for index in content.get("index", []):
                if isinstance(index, dict) and index.get("default") is True and isinstance(index.get("url"), str):
                    return str(index["url"])
    return ""


def _of_pip_files() -> str:
    named = os.environ.get("PIP_CONFIG_FILE")
    for name in (*((named,) if named else ()), *_PIP_FILES):
        parser = configparser.RawConfigParser(strict=False)
        with suppress(OSError, configparser.Error, UnicodeDecodeError):
            parser.read(Path(name).expanduser())
            for section in ("install", "global"):
                if parser.has_option(section, "index-url"):
                    return parser.get(section, "index-url").strip()
    return ""

"""Settings in layers: defaults, files, the environment, the command line. Later layers win."""

from configstack.errors import ConfigError, MissingKey
from configstack.layers import EnvLayer, FileLayer, MapLayer
from configstack.stack import Stack

__all__ = ["ConfigError", "EnvLayer", "FileLayer", "MapLayer", "MissingKey", "Stack"]

"""Layered configuration texts."""

from inifold.layers import expand, merge
from inifold.parse import ConfigError, parse
from inifold.values import as_bool, as_list, as_size

__all__ = ["ConfigError", "as_bool", "as_list", "as_size", "expand", "merge", "parse"]

"""Services that a repository's own CI or compose files start. They are read, not run, and only mentioned to people."""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from sandbox.confined_files import read_confined

_COMPOSE = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")
_WORKFLOWS = ".github/workflows"
_MOST_FILES = 40
_MOST_BYTES = 128 << 10
_MOST_NESTED = 40
_MOST_ENTRIES = 200
_KINDS = {"postgres": "postgresql", "postgresql": "postgresql", "postgis": "postgresql", "pgvector": "postgresql",
          "redis": "redis", "valkey": "redis"}  # fmt: skip
_IMAGE = re.compile(r"(?:[\w.:${}-]+/)*([a-z]+)(?::(?:[a-z]*)(\d+)[\w.-]*|:[\w.-]+)?(?:@\S+)?")
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,62}")
_KEYS = {"POSTGRES_DB": "database", "POSTGRES_USER": "user", "POSTGRES_PASSWORD": "password"}
"""Environment variables of the image, and the keys in penstock.toml."""


@dataclass(frozen=True)
class Mentioned:
    """`name` is that of a service that can be declared, `declaration` the table that declares it as `file` does."""

    name: str
    image: str
    file: str
    declaration: str


def mentioned_services(root: Path) -> list[Mentioned]:
    """The first mention of each service, in workflows of GitHub and then in compose files. Files that cannot be read as
    YAML, and what is larger or deeper than such files are, are passed over."""
    found: dict[str, Mentioned] = {}
    for path in (*_workflows(root), *_COMPOSE):
        for image, variables in _images(_document(root, path)):
            one = _mentioned(path, image, variables)
            if one is not None:
                found.setdefault(one.name, one)
    return list(found.values())


def _workflows(root: Path) -> list[str]:
    folder = root / _WORKFLOWS
    with contextlib.suppress(OSError):
        if not folder.is_symlink() and folder.is_dir():
            names = sorted(path.name for path in folder.iterdir() if path.suffix in (".yml", ".yaml"))
            return [f"{_WORKFLOWS}/{name}" for name in names[:_MOST_FILES]]
    return []


def _document(root: Path, path: str) -> yaml.Node | None:
    """The nodes of a YAML file. Nothing is constructed from them, so aliases and merge keys cannot make it grow."""
    try:
        text = read_confined(root, path, _MOST_BYTES).decode()
        depth = 0
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > _MOST_NESTED:
                return None
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except (OSError, ValueError, yaml.YAMLError, RecursionError):
        return None


def _images(document: yaml.Node | None) -> Iterator[tuple[str, dict[str, str]]]:
    """The image of each service with its environment variables: `services.*`, and in workflows `jobs.*.services.*`."""
    top = _entries(document)
    places = [top.get("services"), *(_entries(job).get("services") for job in _entries(top.get("jobs")).values())]
    for service in (service for place in places for service in _entries(place).values()):
        keys = _entries(service)
        image = keys.get("image", service)  # GitLab and others write the image alone
        if isinstance(image, yaml.ScalarNode):
            yield image.value[:200], _variables(keys.get("env") or keys.get("environment"))


def _variables(node: yaml.Node | None) -> dict[str, str]:
    """A mapping, or a list of NAME=value."""
    if isinstance(node, yaml.SequenceNode):
        lines = [item.value for item in node.value[:_MOST_ENTRIES] if isinstance(item, yaml.ScalarNode)]
        return {name: text for name, separator, text in (line.partition("=") for line in lines) if separator}
    return {name: value.value for name, value in _entries(node).items() if isinstance(value, yaml.ScalarNode)}


def _entries(node: yaml.Node | None) -> dict[str, yaml.Node]:
    if not isinstance(node, yaml.MappingNode):
        return {}
    return {key.value: value for key, value in node.value[:_MOST_ENTRIES] if isinstance(key, yaml.ScalarNode)}


def _mentioned(file: str, image: str, variables: dict[str, str]) -> Mentioned | None:
    parsed = _IMAGE.fullmatch(image)
    if parsed is None or parsed[1] not in _KINDS:
        return None
    name = _KINDS[parsed[1]]
    keys = [f'version = "{parsed[2]}"'] if parsed[2] else []
    if name == "postgresql":
        keys += [f'{key} = "{variables[variable]}"' for variable, key in _KEYS.items()
                 if _WORD.fullmatch(variables.get(variable, ""))]  # fmt: skip
    return Mentioned(name, image, file, f"{{ {', '.join(keys)} }}" if keys else "{}")

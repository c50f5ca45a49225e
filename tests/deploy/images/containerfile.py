"""Reads a Containerfile into its stages. For files without heredocs and escape directives, as ours is."""

import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Stage:
    name: str
    base: str
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def all(self, name: str) -> list[str]:
        return [value for found, value in self.instructions if found == name]


@dataclass
class Containerfile:
    arguments: dict[str, str]
    stages: dict[str, Stage]

    def chain(self, name: str) -> list[Stage]:
        """A stage and those that it is built on, the first one last."""
        found = [self.stages[name]]
        while found[-1].base in self.stages:
            found.append(self.stages[found[-1].base])
        return found

    def last(self, name: str, instruction: str) -> str | None:
        """What holds in an image: the nearest such instruction."""
        for stage in self.chain(name):
            if values := stage.all(instruction):
                return values[-1]
        return None

    def environment(self, name: str) -> dict[str, str]:
        found: dict[str, str] = {}
        for stage in reversed(self.chain(name)):
            for value in stage.all("ENV"):
                found.update(part.partition("=")[::2] for part in shlex.split(value))
        return found


KNOWN = {"FROM", "ARG", "ENV", "WORKDIR", "RUN", "COPY", "USER", "EXPOSE", "HEALTHCHECK", "CMD", "ENTRYPOINT", "LABEL"}


def read(text: str) -> Containerfile:
    """Raises `ValueError` for an unknown instruction, or one before the first stage."""
    joined = re.sub(r"\\\n", " ", "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#")))
    found = Containerfile({}, {})
    stage: Stage | None = None
    for line in filter(None, (line.strip() for line in joined.splitlines())):
        name, _, value = line.partition(" ")
        if name not in KNOWN:
            raise ValueError(f"unknown instruction {name}")
        if name == "FROM":
            match = re.fullmatch(r"(\S+) AS (\S+)", value)
            if match is None:
                raise ValueError(f"a stage without a name: {value}")
            base = re.sub(r"\$\{(\w+)\}", lambda m: found.arguments[m[1]], match[1])
            stage = found.stages[match[2]] = Stage(match[2], base)
        elif stage is None:
            if name != "ARG":
                raise ValueError(f"{name} before the first stage")
            key, _, default = value.partition("=")
            found.arguments[key] = default
        else:
            stage.instructions.append((name, " ".join(value.split())))
    return found


def read_file(path: Path) -> Containerfile:
    return read(path.read_text())

"""Reads `contrived.toml`: small programs with a fault, right edits, and contrived edits that pass the tests too."""

import tomllib
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Edit:
    """Replaces each (old, new) text once."""

    kind: str
    right: bool
    replace: tuple[tuple[str, str], ...]

    def applied(self, source: str) -> str:
        """The edited program. Raises `ValueError` when an old text does not occur."""
        for old, new in self.replace:
            if old not in source:
                raise ValueError(f"{self.kind}: {old!r} does not occur in the program")
            source = source.replace(old, new, 1)
        return source


@dataclass(frozen=True)
class Program:
    """`source` is program.py, `tests` is test_program.py; every edit makes all these tests pass."""

    name: str
    source: str
    tests: str
    edits: tuple[Edit, ...]


def programs() -> list[Program]:
    text = Path(__file__).with_name("contrived.toml").read_text(encoding="utf-8")
    found = []
    for raw in tomllib.loads(text)["program"]:
        edits = (Edit(e["kind"], e["right"], tuple((old, new) for old, new in e["replace"])) for e in raw["edit"])
        found.append(Program(raw["name"], raw["source"], raw["tests"], tuple(edits)))
    return found

"""Environments for languages other than Python. A new language is one module, and one line in `LANGUAGES`."""

from .c import C
from .go import Go
from .java import Java
from .javascript import JavaScript
from .protocol import Language, Needs
from .rust import Rust
from .tree import SourceTree

LANGUAGES: tuple[Language, ...] = (Go(), JavaScript(), Rust(), Java(), C())


def find_languages(root: SourceTree) -> list[tuple[Language, Needs]]:
    """Every language in which the repository has tests that can be run, with what they need. Raises
    `EnvironmentRefused`."""
    return [(language, needs) for language in LANGUAGES if (needs := language.find(root)) is not None]


__all__ = ["LANGUAGES", "Language", "Needs", "SourceTree", "find_languages"]

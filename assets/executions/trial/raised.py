"""What the worker knows about a failure's exception, its causes, and what the test asked of the system.

Parsed from the worker's answer (`worker/raised.py`, `worker/watch.py`), which comes from the sandbox: every value is
checked, and texts are cut.
"""

from dataclasses import dataclass
from typing import Any

_TEXT = 1500


@dataclass(frozen=True)
class Place:
    """A line that was executed: a path (relative to the root if it belongs to the repository), and the module."""

    path: str
    line: int
    function: str
    module: str


@dataclass(frozen=True)
class Raised:
    """One exception of a chain. `place` is the innermost frame, `inside` the innermost of the repository. `name` is
    the module, key, fixture or package that was not found; `asked` the argument of a library function that failed;
    `near` are programs with names like `file`, in the sandbox."""

    type: str
    bases: tuple[str, ...] = ()
    message: str = ""
    errno: int | None = None
    name: str = ""
    file: str = ""
    place: Place | None = None
    inside: Place | None = None
    explicit: bool = True
    asked: str = ""
    command: str = ""
    exit: int | None = None
    output: str = ""
    near: tuple[str, ...] = ()
    zones: bool = False
    """Whether the sandbox has time zone data."""

    def is_a(self, *names: str) -> bool:
        """Whether its type, or a built-in type that it derives from, has one of these names."""
        return self.type.rpartition(".")[2] in names or any(name in self.bases for name in names)

    @property
    def outside(self) -> bool:
        """Whether it was raised in code that is not the repository's."""
        return self.place is not None and self.place != self.inside


@dataclass(frozen=True)
class Around:
    """What a test asked the system for: addresses, programs with their working folders, and whether the process has
    offered a service itself."""

    asked: tuple[str, ...] = ()
    programs: tuple[tuple[str, str], ...] = ()
    bound: bool = False


def raised_of(raw: Any) -> tuple[Raised, ...]:
    """The chain of a failure, outermost first."""
    links = raw if isinstance(raw, list | tuple) else ()
    return tuple(_link(link) for link in links[:6] if isinstance(link, dict))


def around_of(raw: Any) -> Around:
    fields = raw if isinstance(raw, dict) else {}
    programs = tuple((_text(p[0]), _text(p[1])) for p in _list(fields.get("programs")) if len(_list(p)) == 2)
    asked = tuple(_text(a) for a in _list(fields.get("asked")) if a)
    return Around(asked, programs, bool(fields.get("bound")))


def _link(raw: dict[str, Any]) -> Raised:
    return Raised(
        type=_text(raw.get("type")) or "Error",
        bases=tuple(_text(name) for name in _list(raw.get("bases"))),
        message=_text(raw.get("message")),
        errno=_number(raw.get("errno")),
        name=_text(raw.get("name")),
        file=_text(raw.get("file")),
        place=_place(raw.get("place")),
        inside=_place(raw.get("inside")),
        explicit=bool(raw.get("explicit")),
        asked=_text(raw.get("asked")),
        command=_text(raw.get("command")),
        exit=_number(raw.get("exit")),
        output=_text(raw.get("output")),
        near=tuple(_text(name) for name in _list(raw.get("near"))),
        zones=bool(raw.get("zones")),
    )


def _place(raw: Any) -> Place | None:
    parts = _list(raw)
    if len(parts) != 4 or not isinstance(parts[1], int):
        return None
    return Place(_text(parts[0]), parts[1], _text(parts[2]), _text(parts[3]))


def _list(raw: Any) -> list[Any]:
    return list(raw[:60]) if isinstance(raw, list | tuple) else []


def _text(raw: Any) -> str:
    return raw[:_TEXT] if isinstance(raw, str) else ""


def _number(raw: Any) -> int | None:
    return raw if isinstance(raw, int) and abs(raw) < 1 << 31 else None

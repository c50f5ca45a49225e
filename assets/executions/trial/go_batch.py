"""Many candidates of Go in one compilation: a changed function gets all its new bodies, and a variable chooses one.

Texts alone: nothing is run here. What does not fit (a change outside of a function, of two functions, of one with
labels) is left out, and the caller tries it by itself.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

CHOICE = "penstockCandidate"
VARIABLE = "PENSTOCK_CANDIDATE"
_MOST_HEADER = 30
"""Lines of a function before its body."""
_PACKAGE = re.compile(r"^package\s+(\w+)", re.MULTILINE)
_LABEL = re.compile(r"^\s*[A-Za-z_]\w*:\s*(?://.*)?$", re.MULTILINE)
_ERROR = re.compile(r"^(?:\./|\.\./)*(\S+?\.go):(\d{1,7}):\d+: ", re.MULTILINE)


@dataclass(frozen=True)
class Part:
    """A candidate's body of one function in place of that between two offsets of the unchanged file."""

    path: str
    start: int
    end: int
    body: str


@dataclass
class Batch:
    """Texts by path, with the numbers of the candidates that they hold and the lines of each."""

    files: dict[str, str] = field(default_factory=dict)
    lines: dict[int, tuple[str, int, int]] = field(default_factory=dict)


def parts_of(before: Mapping[str, str], candidates: Sequence[Mapping[str, str | None]]) -> dict[int, Part]:
    """The candidates, by number, that change one function of one file."""
    spans: dict[str, list[tuple[int, int]]] = {}
    found: dict[int, Part] = {}
    for number, files in enumerate(candidates):
        if len(files) != 1:
            continue
        ((path, after),) = files.items()
        text = before.get(path)
        if text is None or after is None or not path.endswith(".go"):
            continue
        first, last = _changed(text, after)
        if path not in spans:
            spans[path] = bodies(text)
        for start, end in spans[path]:
            if start <= first and last <= end:
                body = after[start : end + len(after) - len(text)]
                if not _LABEL.search(body.replace("default:", "")):
                    found[number] = Part(path, start, end, body)
                break
    return found


def bodies(text: str) -> list[tuple[int, int]]:
    """The offsets of the bodies of functions, without their braces, in a file that is formatted as gofmt does it."""
    found = []
    at, header, start = 0, 0, -1
    for line in text.splitlines(keepends=True):
        at += len(line)
        bare = line.rstrip()
        if line.startswith("func ") or (header and start < 0):
            header = 1 if line.startswith("func ") else header + 1
            start = at if bare.endswith("{") else -1
            if header > _MOST_HEADER or (start < 0 and bare.endswith("}")):
                header = 0
        elif start >= 0 and line.startswith("}"):
            found.append((start, at - len(line)))
            header, start = 0, -1
    return found


def _changed(old: str, new: str) -> tuple[int, int]:
    """The offsets in `old` between which the texts differ."""
    first = 0
    shorter = min(len(old), len(new))
    while first < shorter and old[first] == new[first]:
        first += 1
    last = 0
    while last < shorter - first and old[-1 - last] == new[-1 - last]:
        last += 1
    return first, len(old) - last


def compose(before: Mapping[str, str], parts: Mapping[int, Part], left_out: Collection[int] = ()) -> Batch:
    """The texts with all candidates but those left out, and for each package a file that reads which one to use."""
    batch = Batch()
    by_place: dict[tuple[str, int, int], list[int]] = {}
    for number, part in parts.items():
        if number not in left_out:
            by_place.setdefault((part.path, part.start, part.end), []).append(number)
    for path in dict.fromkeys(path for path, _, _ in by_place):
        text, made, at = before[path], "", 0
        for (_, start, _end), numbers in sorted(item for item in by_place.items() if item[0][0] == path):
            made += f"{text[at:start]}\tswitch {CHOICE} {{\n"
            for number in numbers:
                body = parts[number].body
                made += f'\tcase "{number}":\n'
                first = made.count("\n") + 1
                made += f"\t{{\n{body}{'' if body.endswith(chr(10)) else chr(10)}\t}}\n"
                batch.lines[number] = (path, first, made.count("\n"))
            made += "\t}\n"
            at = start
        batch.files[path] = made + text[at:]
        package = _PACKAGE.search(text)
        folder = path.rpartition("/")[0]
        reads = (
            f'package {package[1] if package else "main"}\n\nimport "os"\n\nvar {CHOICE} = os.Getenv("{VARIABLE}")\n'
        )
        batch.files[f"{folder}/penstock_candidate.go".lstrip("/")] = reads
    return batch


def failing(batch: Batch, said: str, module: str) -> set[int]:
    """The candidates on whose lines the compiler found an error; its paths are relative to the module's folder or to
    the package's."""
    found: set[int] = set()
    for place, line in _ERROR.findall(said)[:5_000]:
        for number, (path, first, last) in batch.lines.items():
            inside = path.removeprefix(f"{module}/") if module else path
            if first <= int(line) <= last and (inside == place or path == place or path.endswith(f"/{place}")):
                found.add(number)
    return found

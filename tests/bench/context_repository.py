"""A synthetic repository for the index's benchmark: Python files of five to eight functions each.

Words are drawn from the standard library's by Zipf's law, so that terms are common and rare as in real code. The same
seed gives the same repository. For measuring speed only, not the quality of search.
"""

import itertools
import os
import random
import re
import subprocess
import sysconfig
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

VOCABULARY = 20_000
NAMES = 8_000
TOPICS = 400
TOPIC_WORDS = 240
ON_TOPIC = 0.7
FOLDER = 12
_WORD = re.compile(r"(?<![a-z])[a-z]{3,14}(?![a-z])")
_LEFT_OUT = {"site-packages", "dist-packages", "test", "tests", "idlelib", "lib2to3", "pydoc_data"}


def vocabulary(size: int = VOCABULARY) -> list[str]:
    """The words of the standard library's sources, most frequent first: real words, which an embedding model knows."""
    counts: Counter[str] = Counter()
    for path in sorted(Path(os.__file__).parent.rglob("*.py")):
        if not _LEFT_OUT.intersection(path.parts):
            counts.update(_WORD.findall(path.read_text(encoding="utf-8", errors="replace").lower()))
    return sorted(counts, key=lambda word: (-counts[word], word))[:size]


class Author:
    """Writes files and queries in one vocabulary.

    A project has a few thousand names, of which a few make up most of the code, and a file uses about a dozen of them.
    So a chunk has about as many different terms, and as many new ones, as one of Python's larger packages. The files of
    a folder take most of their words from one topic, and a query is about one topic.
    """

    def __init__(self, seed: int = 7) -> None:
        self._random = random.Random(seed)  # noqa: S311
        self.words = vocabulary()
        self._weights = _zipf(len(self.words))
        self._names = ["_".join(self._common(2)) for _ in range(NAMES)]
        self._name_weights = _zipf(NAMES)
        self._topics = [
            (self._random.sample(self.words, TOPIC_WORDS), self._random.sample(self._names, TOPIC_WORDS // 4))
            for _ in range(TOPICS)
        ]
        self._topic_weights = _zipf(TOPIC_WORDS)
        self._topic = self._topics[0]

    def _common(self, count: int) -> list[str]:
        return self._random.choices(self.words, cum_weights=self._weights, k=count)

    def draw(self, count: int) -> list[str]:
        topical = self._random.choices(self._topic[0], cum_weights=self._topic_weights, k=count)
        return [
            one if self._random.random() < ON_TOPIC else other
            for one, other in zip(topical, self._common(count), strict=True)
        ]

    def names(self, count: int) -> list[str]:
        general = self._random.choices(self._names, cum_weights=self._name_weights, k=count)
        return [self._random.choice(self._topic[1]) if self._random.random() < ON_TOPIC else one for one in general]

    def function(self, local: list[str]) -> str:
        name = "_".join(self.draw(2))
        a, b, c, d, e = self._random.sample(local, 5)
        prose = " ".join(self.draw(self._random.randint(6, 16)))
        lines = [f"def {name}({a}, {b}=None):", f'    """{prose.capitalize()}."""', f"    {c} = {a}.{d}({b})"]
        for _ in range(self._random.randint(1, 5)):
            f, g = self._random.sample(local, 2)
            lines += [
                f"    if {f} in {c}:",
                f"        {g} = {e}({f}, key={self._random.randint(0, 99)})",
                f"        {c}.append({self.names(1)[0]}({g}, self.{f}))",
            ]
        if self._random.random() < 0.3:
            lines.append(f'        raise ValueError(f"{" ".join(self.draw(6))} {{{a}}}")')
        return "\n".join([*lines, f"    return {c}", ""])

    def file(self, number: int = 0) -> str:
        self._topic = self._topics[number // FOLDER % TOPICS]
        local = list(dict.fromkeys([*self.names(14), *self.draw(6)]))
        header = f'"""{" ".join(self.draw(8)).capitalize()}."""\n\nimport {self.draw(1)[0]}\n'
        return "\n\n".join([header, *(self.function(local) for _ in range(self._random.randint(5, 8)))])

    def files(self, count: int) -> Iterator[tuple[str, str]]:
        for number in range(count):
            yield self.path(number), self.file(number)

    def path(self, number: int) -> str:
        folder = random.Random(number // FOLDER)  # noqa: S311
        return f"{folder.choice(self.words[:40])}/{folder.choice(self.words[:400])}/module_{number:05d}.py"

    def query(self) -> str:
        """A query like an issue: a sentence of common and rare words, and a name."""
        self._topic = self._random.choice(self._topics)
        return f"{' '.join(self.draw(14)).capitalize()} when calling `{'_'.join(self.draw(2))}` with {self.draw(1)[0]}"


def _zipf(size: int) -> list[float]:
    return list(itertools.accumulate(1 / (rank + 20) for rank in range(size)))


def installed_sources() -> Iterator[tuple[str, str]]:
    """Real code: the Python files of the standard library and of the installed packages."""
    for kind in ("stdlib", "purelib"):
        folder = Path(sysconfig.get_path(kind))
        for path in sorted(folder.rglob("*.py")):
            inside = path.relative_to(folder).as_posix()
            if kind == "stdlib" and "site-packages" in path.parts:
                continue
            if 0 < path.stat().st_size < 1 << 20 and inside.isascii() and " " not in inside:
                yield f"{kind}/{inside}", path.read_text(encoding="utf-8", errors="replace")


def create(path: Path) -> None:
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", str(path)], check=True)


def commit(path: Path, files: Mapping[str, str] | Iterator[tuple[str, str]], number: int) -> None:
    """One commit on `main` that writes these files."""
    pairs = files.items() if isinstance(files, Mapping) else files
    with subprocess.Popen(
        ["git", "-C", str(path), "fast-import", "--quiet", "--force"],
        stdin=subprocess.PIPE,
    ) as process:
        stream = process.stdin
        if stream is None:
            raise RuntimeError("git fast-import has no input")
        stamp = 1_700_000_000 + number
        stream.write(b"commit refs/heads/main\ncommitter A <a@example.org> %d +0000\ndata 6\nchange\n" % stamp)
        if number:
            stream.write(b"from refs/heads/main^0\n")
        for name, text in pairs:
            raw = text.encode()
            stream.write(b"M 100644 inline %s\ndata %d\n%s\n" % (name.encode(), len(raw), raw))
    if process.returncode:
        raise RuntimeError(f"git fast-import failed with {process.returncode}")

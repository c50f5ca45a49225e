"""Research without a model: 1,000 documents of 10 kB are indexed and asked, and 100 questions come at once.

Documents are synthetic: words by Zipf's law, with a fact of its own in each. Indexing is compared with the context
index's work on the same files (cutting, terms and vectors, without its database), and the questions at once with the
same questions one after the other.
"""

import random
import statistics
import tempfile
import time
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from assets.context.chunking.chunks import language_of
from assets.context.chunking.content import make_content
from assets.context.store.memory import MemoryIndex
from assets.research.corpora.folder import FolderCorpus
from assets.research.engines.answer import answer
from core.embedding import Embedder, open_embedder

DOCUMENTS, BYTES = 1_000, 10_000
QUESTIONS, AT_ONCE, WORKERS = 30, 100, 4


def measure() -> list[dict[str, Any]]:
    embedder = open_embedder("wordllama")
    embedder.embed_query("loads the model")
    with _library() as folder:
        context = _context_index(folder, embedder)
        corpus = FolderCorpus("bench", folder, embedder)
        began = time.monotonic()
        corpus.index()
        indexed = time.monotonic() - began
        alone = [_ask(corpus, embedder, n) for n in range(QUESTIONS)]
        together, memory = _at_once(corpus, embedder)
        one_by_one = statistics.fmean(alone) * AT_ONCE
    p50 = statistics.median(alone)
    return [
        _row(f"first index of {DOCUMENTS:,} documents of 10 kB", indexed, "s", "context index in memory", context),
        _row("research question, p50", p50, "s", "the required 3 s", 3.0),
        _row(f"{AT_ONCE} questions at once, {WORKERS} workers", together, "s", "one after the other", one_by_one),
        _row(f"memory that {AT_ONCE} questions at once add", memory, "MB", "200 MB", 200.0),
    ]


def _row(name: str, value: float, unit: str, against: str, against_value: float) -> dict[str, Any]:
    ratio = round(value / against_value, 3) if against_value else 0.0
    shown = {"value": round(value, 3), "unit": unit, "against": against, "against_value": round(against_value, 3)}
    return {"name": name, **shown, "ratio": ratio}


def _ask(corpus: FolderCorpus, embedder: Embedder, number: int) -> float:
    began = time.monotonic()
    found = answer(
        f"What is the output of the turbine T{number * 7}, and when was T{number * 7} built?", [corpus], embedder
    )
    assert found.report.answered, number
    return time.monotonic() - began


def _at_once(corpus: FolderCorpus, embedder: Embedder) -> tuple[float, float]:
    """Seconds for all, and megabytes that as many questions as there are workers need."""
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    for number in range(3):
        _ask(corpus, embedder, number)
    memory = (tracemalloc.get_traced_memory()[1] - before) / 1e6 * WORKERS
    tracemalloc.stop()
    began = time.monotonic()
    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(lambda number: _ask(corpus, embedder, number), range(AT_ONCE)))
    return time.monotonic() - began, memory


def _context_index(folder: Path, embedder: Embedder) -> float:
    began = time.monotonic()
    files = [(p.name, make_content(p.read_bytes(), language_of(p.name))) for p in sorted(folder.iterdir())]
    index = MemoryIndex("bench", "1", files, [embedder])
    index.embed_all(embedder)
    index.postings(["turbine"])
    return time.monotonic() - began


@contextmanager
def _library() -> Iterator[Path]:
    chance = random.Random(1)  # noqa: S311
    words = [
        "".join(chance.choice("abcdefghijklmnoprstuvw") for _ in range(chance.randint(3, 9))) for _ in range(8_000)
    ]
    weights = [1 / (rank + 3) for rank in range(len(words))]
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as place:
        for n in range(DOCUMENTS):
            fact = f"The output of the turbine T{n} is {100 + n} kW. T{n} was built in {1900 + n % 120}."
            parts = [f"# Turbine T{n}\n\n{fact}\n"]
            size = len(parts[0])
            while size < BYTES:
                sentences = [" ".join(chance.choices(words, weights, k=14)).capitalize() + "." for _ in range(6)]
                parts.append(f"\n## {' '.join(chance.choices(words, k=3))}\n\n{' '.join(sentences)}\n")
                size += len(parts[-1])
            (Path(place) / f"{n:04d}.md").write_text("".join(parts))
        yield Path(place)

"""Ranking's shortcuts equal the straightforward way: the best of many scores, and adjacent words of a text."""

import math
import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.context.chunking import terms
from assets.context.ranking.index import Manifest
from assets.context.ranking.rank import Ranking
from assets.context.ranking.signals import phrases
from assets.context.ranking.signals.scores import Scores, some

WORDS = ["foo", "bar", "fooBar", "foo_bar_baz", "__", "_", "qux", "a", "bazQuxFoo", "zip", "zap9", "Ä", "x" * 200]


@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 40),
    st.lists(st.sampled_from([0, 1, 3, 70, 5000]), min_size=1, max_size=6).filter(any),
    st.integers(1, 4),
)
@settings(deadline=None, max_examples=60)
def test_the_best_are_those_of_sorting_all_with_ties_by_number(
    seed: int, count: int, lengths: list[int], decimals: int
) -> None:
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    documents = int(offsets[-1])
    paths = tuple(f"{number}.py" for number in range(len(lengths)))
    manifest = Manifest(paths, offsets, np.ones(documents, dtype=np.int64))
    values = np.round(np.random.default_rng(seed).random(documents), decimals)
    ranking = Ranking(manifest, {"text": 8.0})
    ranking.add("text", Scores(values, lambda document: ""))
    total = ranking.total()
    best = sorted(range(documents), key=lambda document: (-total[document], document))
    places: dict[int, int] = {}
    held: Counter[int] = Counter()
    for document in best:
        held[int(manifest.file_of[document])] += 1
        places[document] = held[int(manifest.file_of[document])]
    lowered = {document: round(total[document] - math.log2(place), 6) for document, place in places.items()}

    highest, scores, _ = ranking.best(count)
    assert highest.tolist() == best[:count]
    assert scores.tolist() == total[best[:count]].tolist()

    spread = sorted(best, key=lambda document: (-lowered[document], document))[:count]
    picked = ranking.spread(count)
    assert picked.documents.tolist() == spread
    assert picked.scores.tolist() == pytest.approx([lowered[document] for document in spread], abs=1e-9)
    assert picked.places.tolist() == [places[document] for document in spread]

    firsts = [document for document in best if places[document] == 1][:count]
    of_files = ranking.best_of_files(count)
    assert of_files.documents.tolist() == firsts
    assert of_files.scores.tolist() == total[firsts].tolist()


@given(st.dictionaries(st.integers(0, 99), st.floats(0, 1), max_size=30))
@settings(deadline=None)
def test_values_of_a_few_documents_count_as_if_all_had_one(said: dict[int, float]) -> None:
    manifest = Manifest(("a.py", "b.py", "c.py"), np.array([0, 40, 40, 100]), np.ones(100, dtype=np.int64))
    dense = np.zeros(100)
    dense[list(said)] = list(said.values())
    few, all_of_them = Ranking(manifest, {"text": 2.0}), Ranking(manifest, {"text": 2.0})
    few.add("text", some(said, lambda document: "said"))
    all_of_them.add("text", Scores(dense, lambda document: "said"))
    assert few.total().tolist() == all_of_them.total().tolist()
    for document in range(100):
        assert few.share("text", document) == pytest.approx(all_of_them.share("text", document))
        assert few.reason("text", document) == all_of_them.reason("text", document)


def plainly(wanted: set[str], text: str) -> set[tuple[str, str]]:
    pairs: set[tuple[str, str]] = set()
    before: list[tuple[int, str]] = []
    position = 0
    for word in re.findall(r"\w+", text):
        expanded = terms.expand(word)
        parts = expanded[1:] if len(expanded) > 1 else expanded
        for here, term in enumerate(parts, start=position):
            if term in wanted:
                pairs |= {(earlier, term) for place, earlier in before if here - place <= 2}
                before.append((here, term))
        position += len(parts)
    return pairs


@given(
    st.sets(st.sampled_from(["foo", "bar", "baz", "qux", "zip"]), min_size=1),
    st.lists(st.lists(st.sampled_from(WORDS), max_size=14).map(" ".join), max_size=3),
)
@settings(deadline=None, max_examples=400)
def test_adjacent_words_are_found_as_by_reading_every_word(wanted: set[str], texts: list[str]) -> None:
    reader = phrases._Reader(wanted)
    assert [reader.followers(text) for text in texts] == [plainly(wanted, text) for text in texts]

"""Which pairs of sentences are told as conflicts. The pairs are in `conflict_pairs`; some are beyond rules."""

from functools import cache

import pytest

from assets.research.engines.extractive.candidates import split_passages
from assets.research.engines.extractive.conflicts import ConflictFinder
from assets.research.records import Passage, text_hash
from core.embedding import Embedder, open_embedder
from tests.assets.research.conflict_pairs import CONFLICTS, CONSISTENT, TITLED_CONFLICTS, TITLED_CONSISTENT


@cache
def embedder() -> Embedder:
    return open_embedder("wordllama")


def passage(text: str, address: str, title: str = "") -> Passage:
    return Passage(hash=text_hash(text), text=text, address=address, title=title or address)


def found(first: str, second: str, title: str = "", other: str = "") -> list[str]:
    both = split_passages([passage(first, "1.md", title), passage(second, "2.md", other)])
    return [conflict.kind for conflict in ConflictFinder({}, embedder()).find(both)]


def test_contradictions_are_found() -> None:
    missed = [pair for pair in CONFLICTS if not found(pair[1], pair[2])]
    missed += [pair for pair in TITLED_CONFLICTS if not found(pair[2], pair[4], pair[1], pair[3])]  # type: ignore[misc]
    assert len(missed) <= 2, missed


def test_sentences_that_can_both_be_right_are_no_conflict() -> None:
    false = [pair for pair in CONSISTENT if found(*pair)]
    false += [pair for pair in TITLED_CONSISTENT if found(pair[1], pair[3], pair[0], pair[2])]  # type: ignore[misc]
    assert len(false) <= 3, false


@pytest.mark.parametrize("kind", ["number", "date", "negation", "entity"])
def test_a_conflict_is_told_with_its_kind(kind: str) -> None:
    pairs = [pair for pair in CONFLICTS if pair[0] == kind]
    right = sum(found(first, second) == [kind] for _, first, second in pairs)
    assert right >= len(pairs) - 1


def test_the_order_of_two_sources_does_not_matter() -> None:
    for _, first, second in CONFLICTS[:6]:
        assert found(first, second) == found(second, first)


def test_one_source_does_not_contradict_itself_within_a_section() -> None:
    both = [passage("The dam is 84 metres high.", "a.md"), passage("The dam is 91 metres high.", "a.md")]
    assert ConflictFinder({}, None).find(split_passages(both)) == []

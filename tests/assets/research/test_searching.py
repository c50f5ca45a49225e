"""Searching several corpora: rankings are fused, failures are told, and terms are weighed also where no corpus can."""

from collections.abc import Iterable, Mapping, Sequence

from assets.research.corpora.protocol import CorpusUnavailable, SourceGone
from assets.research.engines.extractive.analyse import analyse
from assets.research.engines.searching import search
from assets.research.records import Document, Found, Kind, Passage, SubQuestion, text_hash


class Given:
    """A corpus that gives its passages for every query, or fails."""

    documents = 3

    def __init__(self, name: str, *texts: str, fails: bool = False) -> None:
        self.name, self._texts, self._fails = name, texts, fails

    def search(self, query: str, limit: int) -> Sequence[Found]:
        if self._fails:
            raise CorpusUnavailable("it is away")
        return [Found(Passage(hash=text_hash(t), text=t, address=t[:9], corpus=self.name), 1.0) for t in self._texts]

    def fetch(self, address: str) -> Document:
        raise SourceGone(address)

    def rarity(self, terms: Iterable[str]) -> Mapping[str, float]:
        return {}


SUB = SubQuestion(number=0, text="What does a crane operator earn?", kind=Kind.FACT)


def test_what_two_corpora_have_comes_first_and_a_failure_is_told() -> None:
    found = search([Given("a", "one", "two"), Given("b", "two", "three"), Given("c", fails=True)], SUB)
    assert found.passages[0].text == "two" and len(found.passages) == 3
    assert found.corpora == ("a", "b") and found.problems == ("c could not be searched: it is away",)


def test_a_word_of_the_question_that_no_passage_has_is_missed() -> None:
    texts = (
        "A crane operator must hold a licence.",
        "The crane operator works four hours.",
        "Each crane lifts 40 tonnes.",
    )
    found = search([Given("a", *texts)], SUB)
    assert found.rarity["earn"] == 1.0 > found.rarity["operator"] > found.rarity["cran"]
    assert not analyse(found, found.rarity, None).answered

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from assets.context.chunking.chunks import Chunk, cut, language_of
from assets.context.chunking.content import TEXT_EMBEDDED, count_chunks
from assets.context.chunking.vocabulary import Vocabulary
from assets.context.store.batch import ContentBatch

WORDS = [
    "parseHTTPResponse",
    "_max_retries",
    "__",
    "_",
    "x" * 65,
    "café",
    "Σίσυφος",
    "x²",
    "٣4",
    "running",
    "a",
    "HTTPS2go",
]
words = st.one_of(st.sampled_from(WORDS), st.text(max_size=6))
texts = st.lists(words, max_size=30).map(" ".join)
chunks = st.builds(
    Chunk,
    kind=st.sampled_from(["function", "section"]),
    symbol=words,
    signature=texts,
    docstring=texts,
    start_line=st.integers(1, 9),
    end_line=st.integers(1, 9),
    text=st.one_of(texts, st.lists(words, min_size=1, max_size=4).map(lambda few: " ".join(few * 170))),
)


def as_counted(batch: ContentBatch) -> Mapping[str, object]:
    found = [(term, slots.tolist(), counts.tolist()) for term, slots, counts in batch.postings.arrays()]
    return {**vars(batch), "postings": found}


@given(st.lists(st.lists(st.lists(chunks, max_size=3), max_size=3), max_size=3))
def test_counting_many_chunks_equals_counting_each(jobs: list[list[list[Chunk]]]) -> None:
    vocabulary = Vocabulary()
    for job in jobs:
        keyed = [((f"{number:040x}", "any-1"), own) for number, own in enumerate(job)]
        plain = ContentBatch.of((key, count_chunks(own)) for key, own in keyed)
        fast = ContentBatch.counted(keyed, vocabulary)
        assert as_counted(fast) == as_counted(plain)
        assert as_counted(ContentBatch.from_plain(fast.to_plain())) == as_counted(plain)


def test_only_the_start_of_a_long_text_is_embedded_but_all_of_it_is_counted() -> None:
    text = "_" * (TEXT_EMBEDDED - 3) + "abcdef ghi"
    (chunk,) = cut(text.encode(), language_of("a.txt"))
    key = ("0" * 40, "any-1")
    fast = ContentBatch.counted([(key, [chunk])], Vocabulary())
    assert as_counted(fast) == as_counted(ContentBatch.of([(key, count_chunks([chunk]))]))

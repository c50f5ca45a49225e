import json

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assets.context.store import binary
from assets.context.store.elements import sized
from core.database import Database
from core.events import DEFAULT_TEAM

small = st.lists(st.integers(-(2**31), 2**31 - 1), max_size=20)
large = st.lists(st.integers(-(2**63), 2**63 - 1), max_size=20)
words = st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=4), max_size=5)
lengths = st.lists(st.integers(0, 3), max_size=5)
rows = st.lists(st.lists(st.floats(-1e6, 1e6, width=32), min_size=3, max_size=3), max_size=5)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(small=small, large=large, rows=rows)
def test_postgres_reads_what_was_packed(
    database: Database, small: list[int], large: list[int], rows: list[list[float]]
) -> None:
    vectors = np.array(rows, dtype=np.float32).reshape(-1, 3)
    with database.team(DEFAULT_TEAM) as connection:
        binary.register(connection)
        found = connection.execute(
            "SELECT %b::integer[], %b::bigint[], array_agg(one::text ORDER BY place), "
            "array_agg(vector_send(one) ORDER BY place) FROM unnest(%b::vector[]) WITH ORDINALITY AS u (one, place)",
            (
                binary.integers(small),
                binary.bigints(large),
                binary.vectors(vectors, connection),
            ),
        ).fetchone()
    assert found is not None
    assert (found[0], found[1]) == (small, large)
    texts, sent = found[2] or [], found[3] or []
    assert np.array_equal(np.array([json.loads(one) for one in texts], dtype=np.float32).reshape(-1, 3), vectors)
    assert np.array_equal(binary.received_vectors(sent).reshape(-1, 3), vectors)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=words, more=words, lengths=lengths)
def test_postgres_reads_packed_texts_and_rows(
    database: Database, words: list[str], more: list[str], lengths: list[int]
) -> None:
    content = bytes(range(8 * sum(lengths)))
    ends = np.cumsum(lengths, dtype=np.int64)
    with database.team(DEFAULT_TEAM) as connection:
        binary.register(connection)
        found = connection.execute(
            "SELECT %b::text[], %b::text[], %b::bytea[]",
            (
                binary.texts(words),
                binary.sized_texts(sized(words) + sized(more), len(words) + len(more)),
                binary.rows(content, ends, 8),
            ),
            binary=True,
        ).fetchone()
    assert found is not None
    assert (found[0], found[1]) == (words, words + more)
    assert found[2] == [
        content[8 * (end - length) : 8 * end] for end, length in zip(ends.tolist(), lengths, strict=True)
    ]

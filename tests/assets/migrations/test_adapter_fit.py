import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.migrations.adapter import fit as adapter_fit
from assets.migrations.adapter.fit import AdapterRefused, Pairs
from assets.migrations.adapter.split import split
from assets.migrations.adapter.trial import ADAPTER, BM25_ALONE, COVERED, OLD, WORDS, decide
from assets.migrations.gate.queries import JudgedQuery
from core.embedding import Vectors, WrongAnswer
from core.embedding.adapter import LinearMap, Use
from core.embedding.protocol import unit_rows
from core.teams import DEFAULT_TEAM


def unit(rng: np.random.Generator, rows: int, width: int) -> Vectors:
    return unit_rows(rng.standard_normal((rows, width)).astype(np.float32))


def rotation(rng: np.random.Generator, width: int) -> Vectors:
    found: Vectors = np.linalg.qr(rng.standard_normal((width, width)))[0].astype(np.float32)
    return found


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.integers(4, 40))
def test_procrustes_finds_the_rotation_that_was_made(seed: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    new, turn = unit(rng, 200, width), rotation(rng, width)
    found = adapter_fit.procrustes(Pairs(new, new @ turn), centred=False)
    assert np.allclose(found.matrix, turn, atol=1e-4)
    fresh = unit(rng, 5, width)
    assert np.allclose(found.apply(fresh), fresh @ turn, atol=1e-4)


@pytest.mark.parametrize(("new_width", "old_width"), [(48, 24), (24, 48)])
def test_spaces_of_different_width_are_mapped_without_stretching(new_width: int, old_width: int) -> None:
    rng = np.random.default_rng(1)
    hidden = unit(rng, 500, 24)
    new = hidden @ rotation(rng, new_width)[:24]
    old = hidden @ rotation(rng, old_width)[:24]
    found = adapter_fit.procrustes(Pairs(new, old), centred=False)
    assert np.allclose(np.linalg.svd(found.matrix, compute_uv=False)[:24], 1, atol=1e-3)
    assert adapter_fit.agreement(found, Pairs(new, old)) > 0.999


def test_affine_finds_a_map_of_low_rank_with_its_offset() -> None:
    rng = np.random.default_rng(2)
    new = unit(rng, 2000, 32)
    true = rng.standard_normal((32, 8)) @ rng.standard_normal((8, 40))
    old = unit_rows((new @ true + rng.standard_normal(40)).astype(np.float32))
    pairs = Pairs(new[:1500], old[:1500])
    low, right, full = adapter_fit.affine(pairs, ridge=1e-4, ranks=(0.0625, 0.25, 1.0))
    apart = Pairs(new[1500:], old[1500:])
    assert adapter_fit.agreement(right, apart) > adapter_fit.agreement(low, apart) + 0.05
    assert adapter_fit.agreement(right, apart) > adapter_fit.agreement(full, apart) - 0.01
    assert np.linalg.matrix_rank(right.matrix, tol=1e-3) == 8


def test_pairs_that_do_not_belong_together_teach_nothing() -> None:
    rng = np.random.default_rng(3)
    new = unit(rng, 1500, 32)
    pairs = Pairs(new, new @ rotation(rng, 32), 200)
    learned = adapter_fit.procrustes(pairs, centred=False)
    control = adapter_fit.procrustes(pairs.shuffled(1), centred=False)
    assert adapter_fit.agreement(learned, pairs) > 0.999
    assert abs(adapter_fit.agreement(control, pairs)) < 0.1


def test_queries_count_more_where_they_lie_elsewhere_than_documents() -> None:
    rng = np.random.default_rng(4)
    documents, asked = unit(rng, 1000, 24), unit(rng, 60, 24)
    turn, other = rotation(rng, 24), rotation(rng, 24)
    pairs = Pairs(np.concatenate([documents, asked]), np.concatenate([documents @ turn, asked @ other]), 60)
    apart_asked = unit(rng, 40, 24)
    apart = Pairs(apart_asked, apart_asked @ other, 40)
    plain = adapter_fit.procrustes(pairs, centred=False, query_weight=1.0)
    weighted = adapter_fit.procrustes(pairs, centred=False, query_weight=50.0)
    assert adapter_fit.agreement(weighted, apart) > adapter_fit.agreement(plain, apart) + 0.1
    assert {one.kind.split(",")[0] for one in adapter_fit.candidates(pairs, apart)} == {
        adapter_fit.PROCRUSTES,
        adapter_fit.AFFINE,
    }


def test_texts_without_a_known_word_are_left_out() -> None:
    rng = np.random.default_rng(5)
    new = unit(rng, 300, 16)
    old = new.copy()
    new[5], old[7], new[299] = 0, 0, 0
    kept = adapter_fit.checked(Pairs(new, old, 10))
    assert (len(kept.new), kept.queries) == (297, 9)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda new, old: (new[:80], old[:80]), "80 texts have vectors of both models, and at least 100 are needed"),
        (lambda new, old: (np.where(new > 0.3, np.nan, new), old), "not finite: embed that content again"),
        (lambda new, old: (np.repeat(new[:1], 400, axis=0), old), "the new model's vectors lie in 1 of 32 directions"),
        (lambda new, old: (new, np.repeat(old[:2], 200, axis=0)), "the old model's vectors lie in 2 of 32"),
        (lambda new, old: (new, old[:10]), "are not pairs"),
    ],
)
def test_pairs_that_teach_no_map_are_refused_with_the_reason(change: object, message: str) -> None:
    rng = np.random.default_rng(6)
    new, old = change(unit(rng, 400, 32), unit(rng, 400, 32))  # type: ignore[operator]
    with pytest.raises(AdapterRefused, match=message):
        adapter_fit.candidates(Pairs(new, old), Pairs(new, old))


def test_a_map_keeps_zeros_and_refuses_vectors_of_another_width() -> None:
    found = LinearMap("x", np.eye(4, 3, dtype=np.float32), np.ones(3, dtype=np.float32))
    assert found.apply(np.ones(4, dtype=np.float32)).shape == (3,)
    assert not found.apply(np.zeros((2, 4), dtype=np.float32)).any()
    with pytest.raises(WrongAnswer, match="takes vectors of width 4, not 5"):
        found.apply(np.ones(5, dtype=np.float32))
    with pytest.raises(ValueError, match="not finite"):
        LinearMap("x", np.full((2, 2), np.inf, dtype=np.float32), np.zeros(2, dtype=np.float32))


def judged(name: str, *paths: str) -> JudgedQuery:
    return JudgedQuery(DEFAULT_TEAM, "s", name, paths, f"{DEFAULT_TEAM}/s/{paths[0]}", "py")


def test_nothing_is_learned_from_texts_or_files_that_are_judged_with() -> None:
    asked = [judged(f"change number {n}", f"f{n}.py", f"f{n // 2}.py") for n in range(300)]
    repeats = ["  Change  number 7", "something else", "something else"]
    parts = split(asked, [*[q.text for q in asked], *repeats])
    held = {path for query in parts.held_back for path in query.relevant}
    chosen = {path for query in parts.choose for path in query.relevant}
    assert len(parts.held_back) > 120
    assert len(parts.choose) > 5
    assert not held & chosen
    judged_texts = {" ".join(query.text.lower().split()) for query in (*parts.held_back, *parts.choose)}
    assert not judged_texts & {" ".join(text.lower().split()) for text in parts.fit}
    assert parts.fit.count("something else") == 1
    assert split(list(reversed(asked)), []).held_back == tuple(reversed(parts.held_back))


def scores(rng: np.random.Generator, gain: float, queries: int = 150) -> dict[str, list[float]]:
    """nDCG by query: all alike but for noise, the adapter better by `gain` on average."""
    base = rng.beta(0.6, 0.6, queries)
    noisy = {name: np.clip(base + 0.15 * rng.standard_normal(queries), 0, 1) for name in (COVERED, WORDS, BM25_ALONE)}
    noisy[ADAPTER] = np.clip(base + gain + 0.15 * rng.standard_normal(queries), 0, 1)
    return {name: list(map(float, values)) for name, values in noisy.items()}


def labels(queries: int = 150) -> list[str]:
    return [hashlib.sha256(str(n // 2).encode()).hexdigest() for n in range(queries)]


def test_an_adapter_that_is_no_better_is_used_no_more_often_than_stated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assets.migrations.adapter.trial._DRAWS", 200)
    rng = np.random.default_rng(7)
    uses = [decide(scores(rng, 0.0), labels())[0] for _ in range(150)]
    most = 0.025 + 2 * (0.025 * 0.975 / 150) ** 0.5
    assert uses.count(Use.ADAPTER) / 150 <= most
    assert uses.count(Use.COVERED) / 150 <= most
    better = [decide(scores(rng, 0.1), labels())[0] for _ in range(20)]
    assert better.count(Use.ADAPTER) >= 18


def test_an_abstention_says_against_what_and_by_how_much() -> None:
    given_scores = scores(np.random.default_rng(18), -0.2)
    use, reason, decided = decide(given_scores, labels())
    assert use is Use.NOTHING
    assert reason.startswith("abstains: not shown to be better, nDCG -0.")
    assert "against searches with the new model over what it covers" in reason
    assert {(row["one"], row["other"]) for row in decided} >= {(ADAPTER, COVERED), (ADAPTER, WORDS), (COVERED, WORDS)}
    assert OLD not in {row["other"] for row in decided}


def test_the_new_model_answers_where_it_covers_enough_to_beat_words() -> None:
    rng = np.random.default_rng(9)
    found = scores(rng, 0.1)
    found[ADAPTER], found[COVERED] = found[COVERED], found[ADAPTER]
    use, reason, _ = decide(found, labels())
    assert use is Use.COVERED
    assert reason.startswith("abstains: not shown to be better")


def test_few_files_decide_nothing() -> None:
    use, reason, _ = decide(scores(np.random.default_rng(10), 0.5, 12), ["one", "two"] * 6)
    assert use is Use.NOTHING
    assert "too few files" in reason

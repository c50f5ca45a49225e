"""Trains and judges the adapter of an open migration: may it answer while the old model's server is away?

Document pairs are what both tables hold already; query pairs come from queries while the old model still
answers. It is judged on held-back queries, from which neither texts nor files were learned, against what else
could answer then: the new model over what it covers so far, and words alone. It abstains unless it beats both.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from assets.context.models import model_vectors, vector_pairs
from assets.migrations.adapter import fit as adapter_fit
from assets.migrations.adapter import trial as adapter_trial
from assets.migrations.adapter.fit import AdapterRefused, Pairs
from assets.migrations.adapter.split import Split, split
from assets.migrations.adapter.trial import Prepared, Vectorised
from assets.migrations.gate import queries
from assets.migrations.lifecycle import record
from assets.migrations.lifecycle.record import Migration, MigrationRefused
from assets.platform import Platform
from core.embedding import Embedder, EmbedderUnavailable, Vectors, adapter, catalogue
from core.embedding.adapter import AdapterRow, LinearMap, Use
from core.embedding.catalogue import Entry
from core.states import MigrationState

MOST_PAIRS = 12_000
MOST_QUERIES = 400
FEWEST_HELD_BACK = 30
BEFORE_CUT_OVER = (MigrationState.BUILDING, MigrationState.SHADOWING, MigrationState.JUDGED)
_FIRST_COVERED, _STEP_COVERED = 0.1, 0.2
_SHARE_OF_TIME = 0.05
_LONGEST_REST = 1.0
_SECONDS_A_QUERY = 0.5
"""What a first evaluation is expected to take; those after it know."""


@dataclass(frozen=True, slots=True)
class _Given:
    """What both models' tables and servers gave."""

    old: Entry
    new: Entry
    covered: float
    parts: Split
    pairs: Pairs
    apart: Pairs
    new_queries: Vectorised
    old_queries: Vectorised | None
    why_no_old: str


def train(
    platform: Platform,
    migration: Migration,
    *,
    most_queries: int | None = None,
    check: Callable[[], None] = lambda: None,
    tell: Callable[[str], None] = lambda text: None,
) -> AdapterRow:
    """Learns, judges, and keeps the outcome as a new version, which searches use from then on.

    An abstention is an outcome too, with its reason. Raises `MigrationRefused` unless the migration is before its
    cut over, and `EmbedderUnavailable` when the new model does not answer. `check` may stop it.
    """
    if migration.state not in BEFORE_CUT_OVER:
        raise MigrationRefused(
            f"migration {migration.id} is {migration.state}: an adapter helps between its start and its cut over"
        )
    began = time.monotonic()
    with platform.database.system() as connection:
        old, new = catalogue.by_id(connection, migration.old_model), catalogue.by_id(connection, migration.new_model)
        sources = catalogue.coverage(connection, new.id)
    covered = sum(one.covered for one in sources) / max(1, sum(one.chunks for one in sources))
    evaluation: dict[str, Any] = {"k": migration.chosen.k, "old": old.name, "new": new.name, "covered": covered}
    learned: LinearMap | None = None
    try:
        # The files of queries that are judged with are not learned from: more of them would leave too little.
        most = min(MOST_QUERIES, most_queries or migration.chosen.queries)
        found = _gather(platform, migration, old, new, covered, most, check, tell)
        tell(f"learning from {found.pairs.documents} document and {found.pairs.queries} query pairs")
        learned, use, reason = _judge(platform, migration, found, evaluation, check, tell)
    except AdapterRefused as error:
        use, reason = Use.NOTHING, f"abstains: {error}"
        evaluation["refused"] = str(error)
    seconds = time.monotonic() - began
    with platform.database.system() as connection:
        if record.get(connection, migration.id, lock=True).state not in BEFORE_CUT_OVER:
            raise MigrationRefused(f"migration {migration.id} has moved on meanwhile: the adapter is not kept")
        row = adapter.keep(
            connection,
            old.id,
            new.id,
            use,
            reason,
            found=learned,
            covered=covered,
            evaluation=evaluation,
            seconds=seconds,
        )
        record.note(connection, migration.id, "adapter", as_data(row))
    tell(f"adapter: {reason}")
    return row


def as_data(row: AdapterRow) -> dict[str, Any]:
    """A version, ready for JSON and for the timeline, from which reports tell it."""
    return {**asdict(row), "trained_at": row.trained_at.isoformat(timespec="seconds")}


def keep_current(
    platform: Platform,
    migration: Migration,
    covered: float,
    seconds: float,
    *,
    check: Callable[[], None] = lambda: None,
    tell: Callable[[str], None] = lambda text: None,
) -> AdapterRow | None:
    """Trains anew when there is much more to learn from than at the last time, in a twentieth of the time at most.

    `covered` is the share built, `seconds` how long the building has taken so far. None when nothing was due, or
    when a model did not answer: the next time comes.
    """
    with platform.database.system() as connection:
        last = adapter.newest(connection, migration.old_model, migration.new_model)
    if not is_due(last, covered, seconds, migration.chosen.queries):
        return None
    try:
        most = min(200, migration.chosen.queries)
        return train(platform, migration, most_queries=most, check=_resting(check), tell=tell)
    except (EmbedderUnavailable, MigrationRefused) as error:
        tell(f"no adapter for now: {error}")
        return None


def _resting(check: Callable[[], None]) -> Callable[[], None]:
    """Rests between queries for as long as the last one took: what runs beside live searches gives way to them."""
    last = time.monotonic()

    def rested() -> None:
        nonlocal last
        check()
        time.sleep(min(_LONGEST_REST, time.monotonic() - last))
        last = time.monotonic()

    return rested


def is_due(last: AdapterRow | None, covered: float, seconds: float, most_queries: int) -> bool:
    """Whether an evaluation is worth its time now."""
    if last is None:
        return covered >= _FIRST_COVERED and min(200, most_queries) * _SECONDS_A_QUERY <= _SHARE_OF_TIME * seconds
    grown = covered - last.covered >= _STEP_COVERED or (covered >= 1.0 > last.covered)
    return grown and last.seconds <= _SHARE_OF_TIME * seconds


def _gather(
    platform: Platform,
    migration: Migration,
    old: Entry,
    new: Entry,
    covered: float,
    most_queries: int,
    check: Callable[[], None],
    tell: Callable[[str], None],
) -> _Given:
    if old.identity == new.identity:
        raise AdapterRefused(f"{old.name} and {new.name} are one model: there is nothing to adapt")
    with platform.database.system() as connection:
        judged = queries.judged_queries(connection, platform.mirror, most_queries)
        asked = model_vectors.asked_queries(connection, most_queries)
        parts = split(judged, [text for _, _, text in asked])
        unseen = vector_pairs.contents_of(
            connection, [(q.team_id, q.source, q.relevant) for q in (*parts.choose, *parts.held_back)]
        )
        most = min(MOST_PAIRS, max(4000, 10 * max(old.dimensions, new.dimensions)))
        contents, new_documents, old_documents = vector_pairs.stored_pairs(
            connection, old.identity, new.identity, most=most, without=unseen, seed=migration.id
        )
    if not len(contents):
        raise AdapterRefused(f"no text has vectors of both {old.name} and {new.name} yet: build more first")
    tell(f"asking {new.name} {len(parts.texts)} queries")
    new_queries = _vectorised(platform.models.open(new), parts.texts, check)
    old_queries, why = None, ""
    try:
        old_queries = _vectorised(platform.models.open(old), parts.texts, check)
    except (EmbedderUnavailable, OSError) as error:
        why = str(error)
    later = contents % 10 == 0
    fit_texts = list(parts.fit) if old_queries else []
    first, apart = fit_texts[: len(fit_texts) * 4 // 5], fit_texts[len(fit_texts) * 4 // 5 :]

    def together(documents: Any, texts: Sequence[str]) -> Pairs:
        new_side, old_side = [new_documents[documents]], [old_documents[documents]]
        if texts and old_queries:
            new_side.append(new_queries.rows(texts))
            old_side.append(old_queries.rows(texts))
        return Pairs(np.concatenate(new_side), np.concatenate(old_side), len(texts))

    return _Given(
        old, new, covered, parts, together(~later, first), together(later, apart), new_queries, old_queries, why
    )


def _judge(
    platform: Platform,
    migration: Migration,
    found: _Given,
    evaluation: dict[str, Any],
    check: Callable[[], None],
    tell: Callable[[str], None],
) -> tuple[LinearMap | None, Use, str]:
    evaluation |= {
        "pairs": {"documents": found.pairs.documents, "queries": found.pairs.queries},
        "queries": {name: len(part) for name, part in found.parts.sizes.items()},
        "widths": {"old": found.old.dimensions, "new": found.new.dimensions},
        "old_answers": found.old_queries is not None,
        "old_problem": found.why_no_old,
    }
    fitted = adapter_fit.candidates(found.pairs, found.apart)
    if len(found.parts.held_back) < FEWEST_HELD_BACK:
        raise AdapterRefused(
            f"{len(found.parts.held_back)} held-back queries with known answers, at least {FEWEST_HELD_BACK} are needed"
        )
    trial = adapter_trial.Trial(platform.database, migration.chosen.k, check)
    texts = [query.text for query in (*found.parts.choose, *found.parts.held_back)]
    vectors = found.new_queries.rows(texts)

    def through(one: LinearMap) -> Prepared:
        return Prepared(found.old.identity, dict(zip(texts, one.apply(vectors), strict=True)))

    tell(f"choosing among {len(fitted)} maps with {len(found.parts.choose)} queries")
    tried = trial.ndcg_alone([through(one) for one in fitted], found.parts.choose)
    scored = list(zip(tried, fitted, strict=True))
    best_of = {
        kind: max((pair for pair in scored if pair[1].kind.startswith(kind)), key=lambda pair: pair[0])
        for kind in (adapter_fit.PROCRUSTES, adapter_fit.AFFINE)
    }
    learned = max(best_of.values(), key=lambda pair: pair[0])[1]
    evaluation |= {
        "chosen": learned.kind,
        "agreement": round(adapter_fit.agreement(learned, found.apart), 4),
        "candidates": [{"kind": one.kind, "ndcg": round(score, 4)} for score, one in scored],
    }
    alone: list[tuple[str, Embedder]] = [(f"adapter: {one.kind}", through(one)) for _, one in best_of.values()]
    new_own = Prepared(found.new.identity, found.new_queries.by_text)
    alone.insert(0, (f"{found.new.name} asked, its own vectors ({found.covered:.0%} covered)", new_own))
    old_own = Prepared(found.old.identity, found.old_queries.by_text) if found.old_queries else None
    if old_own is not None:
        alone.insert(0, (f"{found.old.name} asked, its own vectors", old_own))
    if found.old.dimensions == found.new.dimensions:
        raw = Prepared(found.old.identity, dict(zip(texts, vectors, strict=True)))
        alone.append((f"raw: {found.new.name}'s queries in {found.old.name}'s vectors", raw))
    alone.append(("shuffled pairs (control)", through(_shuffled(found, learned, migration.id))))
    tell(f"judging with {len(found.parts.held_back)} held-back queries")
    adapted = (f"adapter: {learned.kind}", through(learned))
    outcome = trial.run(found.parts.held_back, alone, adapted, new_own, old_own)
    evaluation |= outcome.as_dict()
    return learned, outcome.use, outcome.reason


def _shuffled(found: _Given, learned: LinearMap, seed: int) -> LinearMap:
    """A map of the chosen kind from pairs that do not belong together: what it finds is found by chance."""
    shuffled = found.pairs.shuffled(seed)
    if learned.kind.startswith(adapter_fit.PROCRUSTES):
        return adapter_fit.procrustes(adapter_fit.checked(shuffled), centred="centred" in learned.kind)
    return adapter_fit.affine(adapter_fit.checked(shuffled), ridge=1e-2, ranks=(0.5,))[0]


def _vectorised(embedder: Embedder, texts: Sequence[str], check: Callable[[], None]) -> Vectorised:
    made: dict[str, Vectors] = {}
    for text in texts:
        check()
        vector = embedder.embed_query(text)
        if vector.shape != (embedder.dimensions,) or not np.isfinite(vector).all():
            raise AdapterRefused(f"{embedder.identity} answered a query with {vector.shape} or no numbers")
        made[text] = vector
    return Vectorised(made)

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from assets.migrations.gate import recommend as recommending
from assets.migrations.gate.queries import JudgedQuery
from assets.migrations.gate.recommend import WORDS_ALONE, Recommendation, recommend
from assets.platform import Platform
from core.embedding import EmbedderUnavailable, open_spec
from core.embedding.spec import BuiltIn
from core.teams import DEFAULT_TEAM

WIDE = BuiltIn(name="wide", provider="hashing", dimensions=512)
NARROW = BuiltIn(name="narrow", provider="hashing", dimensions=8)


def measured(platform: Platform, *specs: BuiltIn, present: str, **options: Any) -> Recommendation:
    models = {spec.name: partial(open_spec, spec) for spec in specs}
    return recommend(platform.database, platform.mirror, models, present, **options)


@pytest.fixture
def vectors_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Searches that words cannot help, so that the models alone decide."""
    real = recommending.score

    def score(index: Any, query: Any, **given: Any) -> Any:
        return real(
            index, query, **(given if "weights" in given else {**given, "weights": {"vectors": 1.0, "role": 5.0}})
        )

    monkeypatch.setattr(recommending, "score", score)


@pytest.mark.usefixtures("vectors_only")
def test_the_model_that_finds_more_is_recommended_and_nothing_is_stored(
    platform: Platform, states: Callable[[], dict[str, str]]
) -> None:
    found = measured(platform, WIDE, NARROW, present="narrow")
    assert found.name == "wide"
    by_name = {one.name: one for one in found.measured}
    assert by_name["wide"].ndcg > by_name["narrow"].ndcg  # type: ignore[operator]
    assert by_name["wide"].low > 0  # type: ignore[operator]
    assert by_name["wide"].alone > by_name["narrow"].alone  # type: ignore[operator]
    assert (found.queries, found.chunks, found.sampled) == (120, 120, ())
    assert states() == {"hashing": "serving"}


@pytest.mark.usefixtures("vectors_only")
def test_a_worse_model_is_not_recommended(platform: Platform) -> None:
    found = measured(platform, WIDE, NARROW, present="wide")
    assert (found.name, found.because) == ("wide", "none of the others is shown to be better")


def test_searching_by_words_alone_is_measured_beside_the_models(platform: Platform) -> None:
    found = measured(platform, WIDE, present="wide")
    assert {one.name for one in found.measured} == {"wide", WORDS_ALONE}
    assert found.bm25 is not None
    assert found.bm25 > 0.5  # half of the words of each message are the file's own


def test_signals_that_know_the_past_are_left_out(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    with_history = list[Any]()
    monkeypatch.setattr("assets.context.ranking.signals.commits.score", with_history.append)
    off = list[Any]()
    real = recommending.score
    monkeypatch.setattr(
        recommending, "score", lambda *given, **named: (off.append(named.get("off")), real(*given, **named))[1]
    )
    measured(platform, WIDE, present="wide", queries=20)
    assert with_history == []
    assert {frozenset(one) for one in off if one} == {
        frozenset(("commits", "recent", "together")),
        frozenset(("commits", "recent", "together", "vectors")),
    }


def test_of_a_source_above_the_limit_the_right_files_and_a_sample_are_searched(platform: Platform) -> None:
    found = measured(platform, WIDE, present="wide", queries=20, chunks=50)
    assert found.sampled == ("demo",)
    assert found.chunks == 50
    assert found.queries == 20


def test_only_source_files_are_right_answers() -> None:
    def query(*paths: str) -> JudgedQuery:
        return JudgedQuery(DEFAULT_TEAM, "s", "text", paths, "c", "py")

    judged = [query("a/one.py", "docs/one.md", "tests/test_one.py"), query("README.md"), query("tests/test_two.py")]
    assert [one.relevant for one in recommending._about_sources(judged)] == [("a/one.py",)]


def test_a_model_that_cannot_be_opened_is_named_with_its_reason(platform: Platform) -> None:
    def gone() -> Any:
        raise EmbedderUnavailable("no server at 127.0.0.1:9")

    found = recommend(
        platform.database, platform.mirror, {"wide": partial(open_spec, WIDE), "gone": gone}, "wide", queries=20
    )
    (failed,) = [one for one in found.measured if one.name == "gone"]
    assert (failed.problem, failed.ndcg) == ("no server at 127.0.0.1:9", None)
    assert found.name == "wide"


def test_without_a_usable_commit_the_present_model_stays(platform: Platform) -> None:
    with platform.database.system() as connection:
        connection.execute("DELETE FROM source_indexes")
    found = measured(platform, WIDE, present="wide")
    assert (found.name, found.queries) == ("wide", 0)
    assert "nothing was compared" in found.because

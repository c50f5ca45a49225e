"""An inconclusive comparison is repeated with more queries, at a stricter significance level."""

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from assets.context.indexing.refresh import refresh
from assets.context.source.sources import add_source
from assets.migrations.gate import queries
from assets.migrations.lifecycle import switch
from assets.migrations.lifecycle.drive import drive
from assets.migrations.lifecycle.record import Migration, MigrationRefused
from assets.platform import Platform
from core.embedding.spec import BuiltIn
from core.git import Repository
from core.teams import DEFAULT_TEAM

GOOD = BuiltIn(name="good", provider="hashing", dimensions=512)

Begin = Callable[..., Migration]


def test_an_inconclusive_comparison_is_repeated_with_more_queries_and_the_same_margin(
    platform: Platform, begin: Begin
) -> None:
    migration = begin(GOOD, queries=10, margin=0.1)
    driven = drive(platform, migration.id)
    assert driven.migration.state == "judged"
    assert re.search(r"compare --queries \d+, cutover --accept, or cancel$", driven.waits_for), driven.waits_for
    with pytest.raises(MigrationRefused, match="5 queries are fewer than the 10"):
        switch.compare_again(platform.database, migration.id, 5)
    again = switch.compare_again(platform.database, migration.id, 110)
    assert (again.state, again.chosen.queries, again.chosen.margin) == ("shadowing", 110, 0.1)
    driven = drive(platform, migration.id)
    comparison = driven.migration.comparison or {}
    assert (comparison["queries"]["judged"], comparison["look"], comparison["level"]) == (110, 2, 0.025)
    assert comparison["verdict"] in ("better", "not worse")
    with pytest.raises(MigrationRefused, match="only a judged one can be compared again"):
        switch.compare_again(platform.database, migration.id)


def test_a_decided_comparison_is_not_repeated(platform: Platform, begin: Begin) -> None:
    migration = begin(GOOD, automatic=False)
    assert (drive(platform, migration.id).migration.comparison or {})["safe"]
    with pytest.raises(MigrationRefused, match="comparing until it says something else would prove nothing"):
        switch.compare_again(platform.database, migration.id, 500)


def test_other_sources_make_up_for_one_with_few_commits(platform: Platform, tmp_path: Path) -> None:
    own = Repository(tmp_path / "repository.git")
    third = own.log("main", limit=200)[-3].id
    own.git("branch", "small", third, purpose="making a branch of three commits")
    add_source(
        platform.database, DEFAULT_TEAM, "small", str(tmp_path / "repository.git"), branch="small",
        roots=platform.settings.roots,
    )  # fmt: skip
    refresh(
        platform.database, DEFAULT_TEAM, "small", mirrors=platform.mirrors, roots=platform.settings.roots,
        embedders=platform.models.in_use().asked,
    )  # fmt: skip
    with platform.database.system() as connection:
        found = queries.judged_queries(connection, platform.mirror, 40)
    assert Counter(query.source for query in found) == {"demo": 37, "small": 3}

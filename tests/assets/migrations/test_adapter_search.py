"""A migration whose old model is a real server process that is killed on the way."""

import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from assets.context.search import task_context
from assets.context.source.sources import add_source
from assets.migrations.adapter import training
from assets.migrations.backfill.build import Stopped, build
from assets.migrations.lifecycle import drive as driving
from assets.migrations.lifecycle import record, switch
from assets.migrations.lifecycle.record import Migration, MigrationRefused, Options
from assets.migrations.report import report
from assets.platform import Platform
from core.embedding import EmbedderUnavailable, adapter, catalogue
from core.embedding.adapter import AdapterRow, LinearMap, Use
from core.embedding.serving import Models
from core.embedding.spec import BuiltIn
from core.settings import Settings
from core.teams import DEFAULT_TEAM
from core.work import Location

FILES, QUERIES, WIDTH = 400, 100, 96
NEW = BuiltIn(name="new", provider="hashing", dimensions=192)
ROOT = Path(__file__).parents[3]
SERVER = f"""
import importlib.util, sys, time
sys.path.insert(0, {str(ROOT)!r})
spec = importlib.util.spec_from_file_location("model_server", {str(ROOT / "tests/model_server.py")!r})
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
server = module.ModelServer()
server.model = module.HashingEmbedder({WIDTH})
print(server.url, flush=True)
time.sleep(600)
"""


def path_of(number: int) -> str:
    """The order of paths, in which they are stored and built, has nothing to do with that of commits."""
    return f"src/{7919 * number % 1000:03d}.py"


def write_history(path: Path) -> None:
    """Commit i brings file i. Its message has the file's words with other endings: words find little, trigrams more."""
    rng = random.Random(5)  # noqa: S311
    syllables = [one + other for one in "bcdfghklmnprstvw" for other in "aeiou"]
    stream = b""
    for number in range(FILES):
        words = ["".join(rng.choice(syllables) for _ in range(5)) for _ in range(6)]
        body = f"def {words[0]}({words[1]}):\n    # {' '.join(words[2:5])}\n    return {words[5]}\n"
        message = " ".join(word[:-1] + rng.choice("xyz") for word in words)
        stream += (
            f"commit refs/heads/main\ncommitter A <a@example.org> {1_700_000_000 + number} +0000\n"
            f"data {len(message)}\n{message}\n"
            f"M 100644 inline {path_of(number)}\ndata {len(body)}\n{body}\n"
        ).encode()
    environment = {"PATH": "/usr/bin:/bin", "GIT_CONFIG_NOSYSTEM": "1", "HOME": "/nonexistent"}
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", path], env=environment, check=True)
    subprocess.run(["git", "-C", path, "fast-import", "--quiet"], input=stream, env=environment, check=True)


@pytest.fixture
def old_server() -> Iterator[tuple[str, Callable[[], None]]]:
    """The address of a model server in a process of its own, and what kills that."""
    process = subprocess.Popen([sys.executable, "-c", SERVER], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None

    def kill() -> None:
        process.kill()
        process.wait(timeout=600)

    yield process.stdout.readline().strip(), kill
    kill()
    process.stdout.close()


@pytest.fixture
def platform(database_url: str, tmp_path: Path, old_server: tuple[str, Any]) -> Iterator[Platform]:
    """Indexed with the served model."""
    (tmp_path / "models" / "old").mkdir(parents=True)
    (tmp_path / "models" / "old" / "model.toml").write_text(
        f'provider = "openai"\nurl = "{old_server[0]}/v1"\nmodel = "hashing"\ndimensions = {WIDTH}\n'
        "max_tokens = 256\nretries = 0\ntimeout = 5.0\n"
    )
    settings = Settings(
        home=tmp_path / "home", embedding_model="old", models=tmp_path / "models", allowed_roots=(tmp_path,)
    )
    made = Platform(settings, database_url)
    write_history(tmp_path / "repository.git")
    add_source(made.database, DEFAULT_TEAM, "demo", str(tmp_path / "repository.git"), roots=settings.roots)
    index(made)
    yield made
    made.close()


def index(platform: Platform) -> None:
    from assets.context.indexing.refresh import refresh

    used = platform.models.in_use()
    refresh(
        platform.database, DEFAULT_TEAM, "demo", mirrors=platform.mirrors, roots=platform.settings.roots,
        embedders=used.asked, building=used.building,
    )  # fmt: skip


def begin(platform: Platform, share: float) -> Migration:
    """A migration that has built this share of the new vectors."""
    new = catalogue.register(platform.database, NEW)
    with platform.database.system() as connection:
        old = catalogue.find(connection, "old")
    migration = switch.start(platform.database, old, new, Options(queries=QUERIES), {})
    done = 0

    def check() -> None:
        if done >= share * FILES:
            raise Stopped("far enough")

    def on_progress(progress: Any) -> None:
        nonlocal done
        done = progress.chunks

    with pytest.raises(Stopped):
        build(platform.database, platform.models.open(new), batch_chunks=32, check=check, on_progress=on_progress)
    return migration


def query_of(platform: Platform, covered: bool) -> tuple[str, str]:
    """The message of a commit and the file that it brought: the last of those stored, which is built first, or the
    first."""
    made = platform.mirror(DEFAULT_TEAM, "demo").log("main", limit=FILES)
    found = sorted(made, key=lambda commit: commit.paths)[-1 if covered else 0]
    return found.message, found.paths[0]


def vectors_said(found: list[Location]) -> set[str]:
    """What the reason "vectors" said, without its numbers."""
    said = [reason.detail for place in found for reason in place.why if reason.signal == "vectors"]
    return {detail.partition(", through ")[2] for detail in said if detail.startswith("cosine")}


def forget(platform: Platform) -> None:
    with platform.database.system() as connection:
        connection.execute("DELETE FROM embedding_adapters")


def test_searches_go_through_the_adapter_while_the_old_models_server_is_dead(
    platform: Platform, old_server: tuple[str, Callable[[], None]]
) -> None:
    migration = begin(platform, 0.5)
    row = training.train(platform, migration)
    assert row.use == Use.ADAPTER, row.reason
    check_table(row)
    text, path = query_of(platform, covered=False)
    asked = platform.search(DEFAULT_TEAM, "demo", text, 5)
    assert vectors_said(asked) == {""}

    old_server[1]()
    found = platform.search(DEFAULT_TEAM, "demo", text, 5)
    through = f"the adapter from new ({row.kind})"
    assert vectors_said(found) == {through}
    assert found[0].path == path
    used = platform.models.in_use()
    context = task_context(platform.database, DEFAULT_TEAM, "demo", text, embedders=used.asked, fallback=used.fallback)
    assert context.models == (f"{used.asked[0].identity} through {through}",)

    # Without it, the same search has no vectors. In another process too, it is read from the database.
    other = Models(platform.database, platform.settings).in_use()
    assert other.asked[0].embed_query(text).shape == (WIDTH,)
    forget(platform)
    assert vectors_said(platform.search(DEFAULT_TEAM, "demo", text, 5)) == set()

    # It can be learned while the old server is gone: document pairs are stored, and judging needs the new model only.
    again = training.train(platform, migration)
    assert again.use == "adapter", again.reason
    assert (again.use, again.evaluation["old_answers"], again.evaluation["pairs"]["queries"]) == ("adapter", False, 0)
    assert vectors_said(platform.search(DEFAULT_TEAM, "demo", text, 5)) == {f"the adapter from new ({again.kind})"}
    assert "old asked" not in " ".join(one["name"] for one in again.evaluation["alone"])

    # New content is embedded by the new model alone, and nothing is stored that was translated.
    with pytest.raises(EmbedderUnavailable):
        platform.models.in_use().asked[0].embed_documents(["x"])

    switch.cancel(platform.database, migration.id)
    assert vectors_said(platform.search(DEFAULT_TEAM, "demo", text, 5)) == set()
    with pytest.raises(MigrationRefused, match="cancelled: an adapter helps between its start and its cut over"):
        training.train(platform, record_of(platform, migration.id))


def check_table(row: AdapterRow) -> None:
    """Each way of asking, with intervals; pairs that do not belong together find what chance finds."""
    told = row.evaluation
    names = [one["name"] for one in told["alone"]]
    assert names[0] == "old asked, its own vectors"
    assert names[1].startswith("new asked, its own vectors (5")
    assert [name.split(":")[0] for name in names[2:]] == [
        "adapter",
        "adapter",
        "shuffled pairs (control)",
        "BM25 alone",
    ]
    shuffled = next(one for one in told["alone"] if one["name"].startswith("shuffled"))
    for measure in ("recall", "ndcg", "mrr"):
        assert shuffled[f"{measure}_low"] - 0.02 <= told["chance"][measure] <= shuffled[f"{measure}_high"] + 0.02
        assert told["chance"][measure] < 0.1
    best = max(one["ndcg"] for one in told["alone"] if one["name"].startswith("adapter"))
    assert best > shuffled["ndcg_high"]
    assert all(one["ndcg_low"] <= one["ndcg"] <= one["ndcg_high"] for one in (*told["alone"], *told["search"]))
    assert told["queries"]["held_back"] >= 30


def record_of(platform: Platform, number: int) -> Migration:
    with platform.database.system() as connection:
        return record.get(connection, number)


def test_the_new_model_answers_over_what_it_covers_where_that_was_found_better(
    platform: Platform, old_server: tuple[str, Callable[[], None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    migration = begin(platform, 0.5)
    with platform.database.system() as connection:
        adapter.keep(connection, migration.old_model, migration.new_model, Use.COVERED, "as a test has it")
    old_server[1]()
    text, path = query_of(platform, covered=True)
    found = platform.search(DEFAULT_TEAM, "demo", text, 5)
    assert vectors_said(found) == {"new over what it covers so far"}
    assert found[0].path == path
    with pytest.raises(EmbedderUnavailable, match="no adapter leads to its vectors"):
        platform.models.in_use().asked[0].embed_query(text)

    # A model that cannot even be opened is stood in for all the same.
    real = Models.open

    def broken(self: Models, entry: catalogue.Entry) -> Any:
        if entry.name == "old":
            raise EmbedderUnavailable("its files are gone")
        return real(self, entry)

    monkeypatch.setattr(Models, "open", broken)
    assert platform.models.in_use().broken == (("old", "its files are gone"),)
    assert vectors_said(platform.search(DEFAULT_TEAM, "demo", text, 5)) == {"new over what it covers so far"}
    with platform.database.system() as connection:
        adapter.keep(connection, migration.old_model, migration.new_model, Use.NOTHING, "as a test has it")
    assert platform.models.in_use().asked == ()


def test_when_the_old_server_dies_before_the_comparison_what_stands_in_is_settled_once(
    platform: Platform, old_server: tuple[str, Callable[[], None]]
) -> None:
    migration = begin(platform, 0.1)
    old_server[1]()
    for _ in range(2):
        driven = driving.drive(platform, migration.id)
        assert (driven.migration.state, driven.waits_for[:8]) == ("shadowing", "a model:")
    made = [event.body for event in timeline(platform, migration.id) if event.kind == "adapter"]
    assert [body["covered"] for body in made] == [1.0]
    assert made[0]["use"] == "covered", made[0]["reason"]
    text, path = query_of(platform, covered=False)
    found = platform.search(DEFAULT_TEAM, "demo", text, 5)
    assert vectors_said(found) == {"new over what it covers so far"}
    assert found[0].path == path
    with pytest.raises(MigrationRefused, match=r"not compared yet .*--accept"):
        switch.cut_over(platform.database, migration.id)
    assert switch.cut_over(platform.database, migration.id, accept=True).state == "observing"
    assert [embedder.dimensions for embedder in platform.models.in_use().asked] == [NEW.dimensions]
    told = [event.body.get("reason") for event in timeline(platform, migration.id) if event.kind == "judged"]
    assert told == ["a person goes on without a comparison"]
    with platform.database.system() as connection:
        found_report = report.read(connection, migration.id)
    assert "without a comparison" in report.as_markdown(*found_report)
    assert "without a comparison" in report.as_html(*found_report)
    assert driving.drive(platform, migration.id).waits_for.startswith("time: ")


def test_too_little_to_learn_from_is_an_abstention_with_its_reason(platform: Platform) -> None:
    migration = begin(platform, 0.05)
    row = training.train(platform, migration)
    assert (row.use, row.kind) == ("nothing", "")
    assert row.reason.startswith("abstains: ")
    assert "at least 100 are needed: build more first" in row.reason or "no text has vectors of both" in row.reason
    events = [event for event in timeline(platform, migration.id) if event.kind == "adapter"]
    assert events[0].body["use"] == "nothing"


def timeline(platform: Platform, number: int) -> list[record.TimelineEvent]:
    with platform.database.system() as connection:
        return record.timeline(connection, number)


def test_versions_are_kept_bounded_and_the_newest_counts(platform: Platform) -> None:
    migration = begin(platform, 0.05)
    models = migration.old_model, migration.new_model
    for number in range(8):
        found = LinearMap(f"map {number}", *map_of(number))
        with platform.database.system() as connection:
            adapter.keep(connection, *models, Use.ADAPTER, "as a test has it", found=found, covered=0.1)
    with platform.database.system() as connection:
        kept = adapter.versions(connection, *models)
        newest = adapter.read_map(connection, kept[0].id)
        assert adapter.read_map(connection, 1) is None
    assert [row.kind for row in kept] == [f"map {number}" for number in (7, 6, 5, 4, 3)]
    assert newest is not None
    assert (newest.matrix == map_of(7)[0]).all()


def map_of(number: int) -> tuple[Any, Any]:
    import numpy as np

    return np.full((192, WIDTH), number, dtype=np.float32), np.ones(WIDTH, dtype=np.float32)


def test_an_evaluation_takes_a_twentieth_of_the_time_at_most() -> None:
    import dataclasses
    from datetime import UTC, datetime

    assert not training.is_due(None, 0.05, 10_000, 100)
    assert not training.is_due(None, 0.5, 900, 100)
    assert training.is_due(None, 0.5, 1100, 100)
    row = AdapterRow(1, 1, 2, "adapter", "x", "", 0.3, {}, 20.0, datetime.now(UTC))
    assert not training.is_due(row, 0.4, 10_000, 100)
    assert not training.is_due(row, 0.6, 300, 100)
    assert training.is_due(row, 0.6, 500, 100)
    assert training.is_due(dataclasses.replace(row, covered=0.9), 1.0, 500, 100)

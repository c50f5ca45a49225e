import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql

from assets.context.indexing import refresh as refresh_module
from assets.context.indexing.refresh import RefreshReport
from assets.context.search import search, status
from assets.context.source.sources import SourceBusy, add_source, locked
from assets.context.store.memory import MemoryIndex
from assets.context.store.postgres import NotIndexed, open_index
from assets.context.store.versions import IndexConflict, make_visible
from core.database import Database
from core.embedding import Embedder
from core.events import DEFAULT_TEAM
from core.git import GitError, Repository

Refresh = Callable[..., RefreshReport]


@pytest.fixture
def refresh(database: Database, history: Any, tmp_path: Path, hashing: Embedder) -> Refresh:
    """Refreshes source `demo`, which is added at the first call."""

    def run(
        name: str = "demo", *, path: Path | None = None, branch: str | None = None, **options: Any
    ) -> RefreshReport:
        add_source(database, DEFAULT_TEAM, name, str(path or history.path), branch, roots=[tmp_path])
        options.setdefault("embedders", [hashing])
        return refresh_module.refresh(
            database, DEFAULT_TEAM, name, mirrors=tmp_path / "mirrors", roots=[tmp_path], **options
        )

    return run


def dump(database: Database, source: str, embedder: Embedder) -> dict[str, Any]:
    """Everything that a query of the visible version can see, without ids."""
    with (
        database.team(DEFAULT_TEAM) as connection,
        open_index(database, DEFAULT_TEAM, source, [embedder] if embedder else []) as index,
    ):
        manifest = index.manifest
        live = connection.execute(
            "SELECT f.path, encode(f.blob, 'hex'), f.mode, coalesce(f.skipped, c.chunker) FROM source_files f "
            "JOIN source_indexes s USING (team_id, source) LEFT JOIN contents c ON c.id = f.content_id "
            "WHERE source = %s AND since <= s.version AND (until IS NULL OR until > s.version) ORDER BY path",
            (source,),
        ).fetchall()
        terms = [row[0] for row in connection.execute("SELECT DISTINCT term FROM postings ORDER BY term").fetchall()]
        postings = {t: (d.tolist(), n.tolist()) for t, (d, n) in index.postings(terms).items()}
        return {
            "commit": index.commit,
            "models": index.models,
            "paths": manifest.paths,
            "offsets": manifest.offsets.tolist(),
            "lengths": manifest.lengths.tolist(),
            "history": index.history.commits,
            "files": live,
            "chunks": index.chunks(list(range(manifest.documents))),
            "postings": postings,
        }


def vectors_without_chunk_or_chunks_without_vector(database: Database, model: str) -> tuple[int, int]:
    with database.team(DEFAULT_TEAM) as connection:
        row = connection.execute("SELECT table_name FROM embedding_models WHERE identity = %s", (model,)).fetchone()
        assert row is not None
        statement = sql.SQL(
            "SELECT count(*) FILTER (WHERE c.content_id IS NULL), count(*) FILTER (WHERE v.content_id IS NULL) "
            "FROM {} v FULL JOIN chunks c USING (content_id, chunk)"
        ).format(sql.Identifier(row[0]))
        counted = connection.execute(statement).fetchone()
        assert counted is not None
        return int(counted[0]), int(counted[1])


SLUG = 'def slugify(title):\n    """Makes a slug."""\n    return title.lower()\n'
DATES = "def parse_date(text):\n    return text.split('-')\n\n\nclass Calendar:\n    days = 7\n"


def test_a_first_refresh_indexes_every_file(
    database: Database, history: Any, refresh: Refresh, hashing: Embedder
) -> None:
    commit = history.commit(
        {"src/slug.py": SLUG, "src/dates.py": DATES, "src/__init__.py": "", "README.md": "# Words\n"}
    )
    report = refresh()
    assert report.changed
    assert (report.commit, report.branch, report.index_version) == (commit, "main", "demo#1")
    assert (report.files, report.chunks, report.chunks_new, report.embedded) == (4, 4, 4, 4)
    found = status(database, DEFAULT_TEAM, "demo")
    assert (found.commit, found.files, found.chunks, found.models) == (commit, 4, 4, (hashing.identity,))
    assert search(database, DEFAULT_TEAM, "demo", "slugify a title", embedders=[hashing])[0].symbol == "slugify"


def test_a_refresh_without_new_commits_changes_nothing(history: Any, refresh: Refresh) -> None:
    history.commit({"a.py": SLUG})
    refresh()
    again = refresh()
    assert not again.changed
    assert (again.index_version, again.files, again.chunks_new, again.embedded) == ("demo#1", 1, 0, 0)


def test_a_commit_costs_what_it_changed(database: Database, history: Any, refresh: Refresh) -> None:
    history.commit({f"m{n}.py": f"def f{n}(): pass\n" for n in range(30)})
    refresh()
    history.commit({"m3.py": "def g(): pass\n", "m4.py": None})
    report = refresh()
    assert (report.files_changed, report.deleted, report.chunks_new, report.embedded) == (1, 1, 1, 1)
    assert (report.files, report.chunks) == (29, 29)
    with database.team(DEFAULT_TEAM) as connection:
        assert connection.execute("SELECT count(*) FROM source_files WHERE since = 2").fetchone() == (1,)


def test_a_rename_cuts_and_embeds_nothing(
    database: Database, history: Any, refresh: Refresh, hashing: Embedder
) -> None:
    history.commit({"old.py": SLUG})
    refresh()
    history.commit({"old.py": None, "new.py": SLUG})
    report = refresh()
    assert (report.chunks_new, report.chunks_reused, report.embedded, report.deleted) == (0, 1, 0, 1)
    assert [place.path for place in search(database, DEFAULT_TEAM, "demo", "slugify", embedders=[hashing])] == [
        "new.py"
    ]


def test_another_branch_or_copy_embeds_nothing_again(
    database: Database, history: Any, refresh: Refresh, tmp_path: Path
) -> None:
    history.commit({"a.py": SLUG, "b.py": DATES})
    refresh()
    history.git("branch", "side")
    history.commit({"c.py": "x = 1\n"}, branch="side")
    report = refresh("side", branch="side")
    assert (report.files, report.chunks_new, report.embedded) == (3, 1, 1)


paths = st.sampled_from(
    ["a.py", "b.py", "pkg/a.py", "pkg/c.py", "notes.md", "new\nline.txt", "node_modules/x.js", "data.bin"]
)
contents = st.sampled_from(
    [
        b"",
        SLUG.encode(),
        DATES.encode(),
        b"# caf\xe9\nx = 1\n",
        b"\x89PNG\0\1",
        b"plain words here\n" * 90,
        b"def a():\n  pass\n",
    ]
)
commits = st.lists(st.dictionaries(paths, st.none() | contents, min_size=1, max_size=4), min_size=1, max_size=5)


@settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(commits=commits, stops=st.sets(st.integers(0, 4)))
def test_any_history_refreshed_step_by_step_equals_a_fresh_index(
    database: Database,
    tmp_path: Path,
    refresh: Refresh,
    new_history: Callable[[Path], Any],
    hashing: Embedder,
    commits: list[dict[str, bytes]],
    stops: set[int],
) -> None:
    key = uuid.uuid4().hex
    history = new_history(tmp_path / "repositories" / key)
    for number, changes in enumerate(commits):
        kept = {path: content for path, content in changes.items() if content is not None or path in history.files}
        history.commit(kept or {"first.py": b"first = True\n"})
        if number in stops:
            refresh(f"step-{key}", path=history.path)
    report = refresh(f"step-{key}", path=history.path)
    fresh = refresh(f"fresh-{key}", path=history.path)
    stepwise = dump(database, f"step-{key}", hashing)
    assert stepwise == dump(database, f"fresh-{key}", hashing)
    assert (report.files, report.chunks, report.skipped) == (fresh.files, fresh.chunks, fresh.skipped)
    assert {row[0] for row in stepwise["files"]} == set(history.files)
    assert vectors_without_chunk_or_chunks_without_vector(database, hashing.identity) == (0, 0)
    memory = MemoryIndex.build(Repository(history.path), "main", [hashing])
    assert memory.manifest.paths == stepwise["paths"]
    assert memory.manifest.lengths.tolist() == stepwise["lengths"]
    assert memory.chunks(list(range(memory.manifest.documents))) == stepwise["chunks"]
    assert sorted(memory.skipped) == sorted(report.skipped)
    in_memory = memory.postings(list(stepwise["postings"]))
    assert {term: (d.tolist(), n.tolist()) for term, (d, n) in in_memory.items()} == stepwise["postings"]


def test_rewritten_history_and_a_lost_mirror_are_compared_in_full(
    database: Database, history: Any, refresh: Refresh, hashing: Embedder, tmp_path: Path
) -> None:
    history.commit({"a.py": SLUG, "b.py": DATES, "vendor/x.py": "x = 1\n"})
    refresh()
    history.git("update-ref", "-d", "refs/heads/main")
    history.files.clear()
    history.commit({"b.py": DATES, "c.py": "def c(): pass\n", "vendor/x.py": "x = 1\n"}, "rewritten")
    history.git("reflog", "expire", "--expire=now", "--all")
    history.git("gc", "--quiet", "--prune=now")
    for mirror in (tmp_path / "mirrors").glob("*/*.git"):
        mirror.rename(mirror.with_suffix(".lost"))
    report = refresh()
    assert (report.files_changed, report.deleted, report.chunks_new) == (1, 1, 1)
    refresh("fresh")
    assert dump(database, "demo", hashing) == dump(database, "fresh", hashing)


def test_a_new_chunker_version_cuts_every_file_again(
    database: Database, history: Any, refresh: Refresh, monkeypatch: pytest.MonkeyPatch
) -> None:
    history.commit({"a.py": SLUG, "b.py": DATES})
    refresh()
    monkeypatch.setattr("assets.context.chunking.terms.VERSION", 99)
    monkeypatch.setattr(refresh_module, "CONFIG", "next")
    report = refresh()
    assert (report.files_changed, report.chunks_new, report.files) == (2, 3, 2)


def test_readers_see_the_old_version_until_the_pointer_moves(
    database: Database, history: Any, refresh: Refresh, hashing: Embedder
) -> None:
    first = history.commit({"a.py": SLUG, "b.py": DATES})
    refresh()
    second = history.commit({"a.py": "def renamed_slug(): pass\n", "b.py": None, "c.py": DATES})
    before = dump(database, "demo", hashing)
    seen: list[str] = []

    def look(step: str) -> None:
        seen.append(step)
        if step != "visible":
            assert dump(database, "demo", hashing) | {"postings": 0} == before | {"postings": 0}
            assert status(database, DEFAULT_TEAM, "demo").commit == first

    with open_index(database, DEFAULT_TEAM, "demo", [hashing]) as reader:
        refresh(on_step=look)
        assert reader.commit == first
        assert set(reader.postings(["slugify"])) == {"slugify"}
        assert reader.postings(["renamed_slug"]) == {}
    assert {"stored", "staged", "visible"} <= set(seen)
    assert dump(database, "demo", hashing)["commit"] == second


def test_concurrent_refreshes_run_one_after_the_other(
    database: Database, history: Any, refresh: Refresh, hashing: Embedder
) -> None:
    history.commit({f"m{n}.py": f"def f{n}(): pass\n" for n in range(20)})
    add_source(database, DEFAULT_TEAM, "demo", str(history.path), roots=[history.path.parent])
    reports: list[RefreshReport] = []
    steps: list[tuple[int, str]] = []

    def run(number: int) -> None:
        reports.append(refresh(on_step=lambda step: steps.append((number, step))))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(report.changed for report in reports) == [False, False, True]
    order = [number for number, _ in steps]
    assert order == sorted(order, key=order.index), "their steps are mixed"
    assert {report.index_version for report in reports} == {"demo#1"}


def test_a_refresh_that_waits_too_long_for_another_reports_it_and_is_not_a_failure(
    database: Database, history: Any, refresh: Refresh, monkeypatch: pytest.MonkeyPatch
) -> None:
    history.commit({"a.py": "x = 1\n"})
    refresh()
    monkeypatch.setattr("assets.context.source.sources._LOCK_WAIT", "100ms")
    with locked(database, DEFAULT_TEAM, "demo"), pytest.raises(SourceBusy, match="another process"):
        refresh()
    assert status(database, DEFAULT_TEAM, "demo").state == "fresh"
    assert not refresh().changed


def test_sources_with_the_same_files_can_be_refreshed_concurrently(
    database: Database, history: Any, refresh: Refresh
) -> None:
    history.commit({f"m{n}.py": f"def f{n}():\n    return {n}\n" for n in range(60)})
    failed: list[BaseException] = []

    def run(name: str) -> None:
        try:
            refresh(name)
        except BaseException as error:  # the thread's error is the test's
            failed.append(error)

    threads = [threading.Thread(target=run, args=(f"s{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    with database.team(DEFAULT_TEAM) as connection:
        assert connection.execute("SELECT count(*), count(DISTINCT blob) FROM contents").fetchone() == (60, 60)
        assert connection.execute("SELECT count(*) FROM chunks").fetchone() == (60,)


class Stop(Exception):
    pass


def test_what_an_abandoned_refresh_staged_is_discarded(
    database: Database, history: Any, refresh: Refresh, hashing: Embedder
) -> None:
    history.commit({"keep.py": SLUG, "drop.py": DATES})
    refresh()
    history.commit({"drop.py": None, "keep.py": "def other(): pass\n", "new.py": "x = 1\n"})

    def stop(step: str) -> None:
        if step == "staged":
            raise Stop

    with pytest.raises(Stop):
        refresh(on_step=stop)
    history.commit({"drop.py": DATES, "keep.py": SLUG, "new.py": None, "last.py": "y = 2\n"})
    refresh()
    refresh("fresh")
    assert dump(database, "demo", hashing) == dump(database, "fresh", hashing)
    with database.team(DEFAULT_TEAM) as connection:
        closed = connection.execute("SELECT path FROM source_files WHERE source = 'demo' AND until IS NOT NULL")
        assert closed.fetchall() == []


def test_the_pointer_moves_only_from_the_previous_version(database: Database, history: Any, refresh: Refresh) -> None:
    history.commit({"a.py": SLUG})
    refresh()
    for version in (1, 3):
        with pytest.raises(IndexConflict, match="refresh it again"), database.team(DEFAULT_TEAM) as connection:
            make_visible(connection, DEFAULT_TEAM, "demo", version)
    assert status(database, DEFAULT_TEAM, "demo").index_version == "demo#1"


def test_hostile_and_odd_files_are_skipped_with_reasons(
    database: Database, history: Any, refresh: Refresh, hashing: Embedder
) -> None:
    history.commit({"ok.py": SLUG, "latin.py": b"# caf\xe9\ndef caf(): pass\n", "odd\nname.py": DATES})
    long = "/".join(uuid.uuid4().hex for _ in range(110)) + ".py"  # longer than an index entry may be
    history.commit({"bad\udcff.py": "x = 1\n", long: "x = 1\n"})
    history.commit({"image.png": b"\x89PNG\0", "big.txt": b"words\n" * 200_000, "vendor/lib.py": "x = 1\n"})
    history.commit({"link": "../../etc/passwd"}, mode="120000")
    history.git("update-ref", "refs/heads/work", "main")
    tree = history.git("ls-tree", "main") + f"\n160000 commit {'1' * 40}\tmodule\n"
    made = history.git("mktree", "--missing", data=tree.encode())
    commit = history.git("-c", "user.name=a", "-c", "user.email=a@b", "commit-tree", "-p", "main", "-m", "m", made)
    history.git("update-ref", "refs/heads/main", commit)
    report = refresh()
    reasons = dict(report.skipped)
    shortened = next(path for path in reasons if path.startswith(long[:400]))
    assert reasons.pop(shortened).startswith("its path is longer")
    assert reasons == {
        "bad\\xff.py": "its path is not UTF-8",
        "big.txt": "larger than 1 MiB (1200000 bytes)",
        "image.png": "binary",
        "link": "symlink",
        "module": "submodule",
        "vendor/lib.py": "vendored (below vendor/)",
    }
    with open_index(database, DEFAULT_TEAM, "demo", [hashing]) as index:
        assert index.manifest.paths == ("latin.py", "odd\nname.py", "ok.py")
    assert not refresh().changed


def test_a_change_of_penstockignore_is_a_change_of_every_file_it_matches(
    database: Database, history: Any, refresh: Refresh, hashing: Embedder
) -> None:
    history.commit({"a.py": SLUG, "docs/b.py": DATES})
    refresh()
    history.commit({".penstockignore": "docs/\n"})
    report = refresh()
    assert report.skipped == (("docs/b.py", ".penstockignore (docs/)"),)
    history.commit({"docs/c.py": DATES, "d.py": DATES})
    report = refresh()
    assert (report.files_changed, report.skipped_count, report.embedded) == (2, 2, 0)
    assert not refresh().changed
    history.commit({".penstockignore": None})
    report = refresh()
    assert (report.files, report.skipped_count, report.embedded) == (4, 0, 0)
    refresh("fresh")
    assert dump(database, "demo", hashing) == dump(database, "fresh", hashing)


def test_renaming_an_ignore_file_makes_files_appear_and_disappear_in_the_next_version(
    database: Database, history: Any, refresh: Refresh, hashing: Embedder
) -> None:
    def paths() -> tuple[str, ...]:
        refresh()
        with open_index(database, DEFAULT_TEAM, "demo", [hashing]) as index:
            return tuple(path for path in index.manifest.paths if path.endswith(".py"))

    history.commit({"a/one.py": SLUG, "b/two.py": DATES, "a/.penstockignore": "*.py\n"})
    assert paths() == ("b/two.py",)
    history.commit({"a/.penstockignore": None, "b/.penstockignore": "*.py\n"})
    assert paths() == ("a/one.py",)
    history.commit({"b/.penstockignore": None, "b/rules.txt": "*.py\n"})
    assert paths() == ("a/one.py", "b/two.py")


def test_a_source_that_cannot_be_read_leaves_the_index_unchanged(
    database: Database, history: Any, refresh: Refresh, hashing: Embedder
) -> None:
    with pytest.raises(GitError, match="no commits yet"):
        refresh()
    with pytest.raises(NotIndexed, match="not indexed yet"):
        search(database, DEFAULT_TEAM, "demo", "x", embedders=[hashing])
    assert status(database, DEFAULT_TEAM, "demo").index_version is None
    history.commit({"a.py": SLUG})
    refresh()
    gone = history.path.rename(history.path.with_name("gone"))
    with pytest.raises(GitError, match="is not a git repository"):
        refresh_module.refresh(
            database, DEFAULT_TEAM, "demo", mirrors=gone.parent, roots=[gone.parent], embedders=[hashing]
        )
    assert len(search(database, DEFAULT_TEAM, "demo", "slugify", embedders=[hashing])) == 1


def test_a_commit_without_files_is_an_empty_index(
    database: Database, history: Any, refresh: Refresh, hashing: Embedder
) -> None:
    history.commit({"a.py": SLUG})
    history.commit({"a.py": None})
    assert refresh().files == 0
    assert search(database, DEFAULT_TEAM, "demo", "slugify", embedders=[hashing]) == []
    history.commit({"a.py": SLUG})
    assert refresh().files == 1


def test_old_versions_are_pruned(
    database: Database, history: Any, refresh: Refresh, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("assets.context.store.versions.KEPT_VERSIONS", 2)
    for number in range(6):
        history.commit({"a.py": f"def f{number}(): pass\n"})
        refresh()
    with database.team(DEFAULT_TEAM) as connection:
        assert connection.execute("SELECT array_agg(version ORDER BY version) FROM index_versions").fetchone() == (
            [5, 6],
        )
        assert connection.execute("SELECT array_agg(since ORDER BY since) FROM source_files").fetchone() == ([4, 5, 6],)


def test_another_team_sees_nothing_of_the_index(
    database: Database, history: Any, refresh: Refresh, hashing: Embedder
) -> None:
    history.commit({"a.py": SLUG})
    refresh()
    other = uuid.uuid4()
    with database.system() as connection:
        connection.execute("INSERT INTO teams (id, name) VALUES (%s, 'other')", (other,))
    tables = (
        "contents",
        "chunks",
        "postings",
        "source_files",
        "index_versions",
        "source_indexes",
        "vectors_1",
    )
    with database.team(other) as connection:
        for table in tables:
            counted = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))).fetchone()
            assert counted == (0,), table
    with pytest.raises(NotIndexed):
        search(database, other, "demo", "slugify", embedders=[hashing])


def test_stored_vectors_are_those_of_the_model(
    database: Database, history: Any, refresh: Refresh, hashing: Embedder
) -> None:
    history.commit({"a.py": SLUG, "b.py": DATES, "copy/a.py": SLUG, "copy/b.py": DATES})
    refresh()
    memory = MemoryIndex.build(Repository(history.path), "main", [hashing])
    with open_index(database, DEFAULT_TEAM, "demo", [hashing]) as index:
        for text in ("make a slug of a title", "calendar days", "parse date"):
            stored, built = index.nearest(hashing.identity, text, 10), memory.nearest(hashing.identity, text, 10)
            assert stored[0].tolist() == built[0].tolist()
            assert np.allclose(stored[1], built[1], atol=2e-5)

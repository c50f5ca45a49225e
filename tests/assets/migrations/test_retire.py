"""A retired model can be restored unchanged; nothing is dropped before restoring was verified."""

import json
import os
import resource
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from assets.migrations.lifecycle.upkeep import keep_models
from assets.migrations.retirement import archive, retire
from assets.migrations.retirement.archive import ArchiveFailed
from assets.migrations.retirement.retire import restore_model, retire_model
from assets.platform import Platform
from core.database import Database
from core.embedding import catalogue
from core.embedding.catalogue import ModelConflict
from core.embedding.spec import BuiltIn
from core.states import ModelState

SECOND = BuiltIn(name="second", provider="hashing", dimensions=96)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "retired"


@pytest.fixture
def ready(platform: Platform, entry: Callable[[str], Any]) -> int:
    """The id of a draining model that nothing needs: another one covers everything."""
    catalogue.register(platform.database, SECOND)
    with platform.database.system() as connection:
        catalogue.move(connection, entry("second").id, ModelState.SERVING)
    keep_models(platform)
    with platform.database.system() as connection:
        catalogue.move(connection, entry("hashing").id, ModelState.DRAINING)
    return int(entry("hashing").id)


def test_a_retired_model_is_restored_with_every_vector_unchanged(
    platform: Platform, ready: int, folder: Path, vectors: Any, states: Any
) -> None:
    before = vectors("hashing")
    made = retire_model(platform.database, ready, folder)
    assert made is not None
    assert (made.rows, states()["hashing"]) == (120, "retired")
    assert sorted(path.suffix for path in folder.iterdir()) == [".gz", ".json"]
    assert (folder.stat().st_mode & 0o777) == 0o700
    restored = restore_model(platform.database, "hashing", folder)
    assert (restored.rows, restored.written, restored.entry.state) == (120, 120, "registered")
    assert vectors("hashing") == before
    with platform.database.system() as connection:
        again = catalogue.find(connection, "hashing")
    assert platform.models.open(again).embed_query("it can be used").shape == (256,)
    assert restore_model(platform.database, "hashing", folder).written == 120  # again: nothing more


def test_vectors_of_contents_removed_meanwhile_are_not_restored(platform: Platform, ready: int, folder: Path) -> None:
    retire_model(platform.database, ready, folder)
    with platform.database.system() as connection:
        connection.execute("UPDATE contents SET chunker = 'another' WHERE id = (SELECT min(id) FROM contents)")
    restored = restore_model(platform.database, "hashing", folder)
    assert (restored.rows, restored.written) == (120, 119)


def test_a_model_that_something_needs_is_neither_archived_nor_dropped(
    platform: Platform, entry: Any, folder: Path
) -> None:
    with pytest.raises(ModelConflict, match="hashing is serving: it must be draining"):
        retire_model(platform.database, entry("hashing").id, folder)
    catalogue.register(platform.database, SECOND)
    with platform.database.system() as connection:
        catalogue.move(connection, entry("second").id, ModelState.SERVING)
        catalogue.move(connection, entry("hashing").id, ModelState.DRAINING)
    with pytest.raises(ModelConflict, match="no other serving model covers demo"):
        retire_model(platform.database, entry("hashing").id, folder)
    assert not folder.exists()


def test_a_model_without_vectors_leaves_no_archive(platform: Platform, folder: Path, states: Any) -> None:
    made = catalogue.register(platform.database, SECOND)
    assert retire_model(platform.database, made.id, folder) is None
    assert states()["second"] == "retired"
    assert retire_model(platform.database, made.id, folder) is None


def test_a_vector_that_is_archived_wrongly_stops_the_retirement(
    platform: Platform, ready: int, folder: Path, monkeypatch: pytest.MonkeyPatch, vectors: Any, states: Any
) -> None:
    pack = archive._packed

    def spoilt(block: archive.Block) -> bytes:
        block.vectors[7, 3] += 1e-6
        return pack(block)

    monkeypatch.setattr(archive, "_packed", spoilt)
    with pytest.raises(ArchiveFailed, match="120 of 120 rows, 1 of them different from the table; nothing was dropped"):
        retire_model(platform.database, ready, folder)
    assert states()["hashing"] == "draining"
    assert len(vectors("hashing")) == 120


def test_vectors_added_meanwhile_stop_the_retirement(
    platform: Platform, ready: int, folder: Path, monkeypatch: pytest.MonkeyPatch, states: Any
) -> None:
    monkeypatch.setattr(retire, "rehearse", lambda *_: 119)
    with pytest.raises(ArchiveFailed, match="were added while they were archived"):
        retire_model(platform.database, ready, folder)
    assert states()["hashing"] == "draining"


def test_a_damaged_archive_is_not_restored(platform: Platform, ready: int, folder: Path, states: Any) -> None:
    made = retire_model(platform.database, ready, folder)
    assert made is not None
    raw = bytearray((folder / made.file).read_bytes())
    raw[len(raw) // 2] ^= 1
    (folder / made.file).write_bytes(raw)
    with pytest.raises(ArchiveFailed, match="is damaged: its checksum"):
        restore_model(platform.database, "hashing", folder)
    with pytest.raises(ArchiveFailed, match=r"there is no archive of a model 'absent' in .*; archived models: hashing"):
        restore_model(platform.database, "absent", folder)
    assert states()["hashing"] == "retired"


def test_a_model_whose_name_is_now_anothers_is_not_restored(platform: Platform, ready: int, folder: Path) -> None:
    retire_model(platform.database, ready, folder)
    catalogue.register(platform.database, BuiltIn(name="hashing", provider="hashing", dimensions=32))
    with pytest.raises(ModelConflict, match="the name hashing now belongs to hashing-32@"):
        restore_model(platform.database, "hashing", folder)
    with pytest.raises(ArchiveFailed, match="there is no archive of a model"):
        restore_model(platform.database, "second", folder)


def test_a_full_disk_leaves_no_half_archive_and_drops_nothing(
    platform: Platform, ready: int, folder: Path, states: Any, vectors: Any, tmp_path: Path
) -> None:
    told = tmp_path / "told"

    def work() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        try:
            retire_model(Database(platform.database.url), ready, folder)
        except ArchiveFailed as error:
            told.write_text(str(error))

    assert in_child(work) == 0
    assert "File too large; nothing was dropped: make room there and try again" in told.read_text()
    assert list(folder.iterdir()) == []
    assert states()["hashing"] == "draining"
    assert len(vectors("hashing")) == 120


def test_too_little_disk_space_is_detected_before_anything_is_written(
    platform: Platform, ready: int, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "SPARE_BYTES", 1 << 60)
    with pytest.raises(ArchiveFailed, match="MB are free; nothing was dropped"):
        retire_model(platform.database, ready, folder)
    assert list(folder.iterdir()) == []


def test_killed_anywhere_it_is_draining_or_retired_with_a_whole_archive(
    platform: Platform, ready: int, folder: Path, states: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "BLOCK_ROWS", 40)
    for steps in range(1, 60):

        def work(steps: int = steps) -> None:
            die_at(steps)
            retire_model(Database(platform.database.url), ready, folder)

        ended = in_child(work)
        if states()["hashing"] == "retired":
            (made,) = [one for one in archive.listed(folder) if one.rows == 120][:1]
            archive.check(folder, made)
        if ended == 0:
            break
    assert steps > 10
    assert states()["hashing"] == "retired"
    restored = restore_model(platform.database, "hashing", folder)
    assert restored.written == 120


def test_old_archives_are_removed_but_never_the_newest(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir()
    for number in range(6):
        base = f"model-{number}-2026"
        (folder / f"{base}.vectors.gz").write_bytes(b"")
        one = archive.Archive(
            f"m{number}", "i", 8, None, None, 0, 100, "", f"2026-01-0{number + 1}", f"{base}.vectors.gz"
        )
        (folder / f"{base}.json").write_text(json.dumps({f: getattr(one, f) for f in one.__slots__}))
    (folder / "model-9-2026.vectors.gz.part").write_bytes(b"half")
    (folder / "model-8-2026.vectors.gz").write_bytes(b"no description")
    (folder / "model-7-2026.json").write_text("{broken")
    archive.clear_away(folder)
    monkeypatch.setattr(archive, "KEPT", 3)
    assert archive.prune(folder) == ["m2", "m1", "m0"]
    monkeypatch.setattr(archive, "KEPT_BYTES", 10)
    archive.prune(folder)
    assert [made.name for made in archive.listed(folder)] == ["m5"]
    assert sorted(path.name for path in folder.iterdir()) == [
        "model-5-2026.json", "model-5-2026.vectors.gz", "model-7-2026.json",
    ]  # fmt: skip


def in_child(work: Callable[[], None]) -> int:
    """Runs `work` in a forked process and returns its exit status: 0, or minus the signal's number."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def die_at(steps: int) -> None:
    """Kills this process at the nth transaction opened, or file synchronised or renamed."""
    left = [steps]

    def count() -> None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def wrap(method: Any) -> Any:
        def counted(*arguments: Any, **named: Any) -> Any:
            count()
            return method(*arguments, **named)

        return counted

    Database.system = wrap(Database.system)  # type: ignore[method-assign]
    os.fsync = wrap(os.fsync)
    Path.replace = wrap(Path.replace)  # type: ignore[method-assign]

"""Source archives from a registry: fetched through a real pip, never built, held to their hash, unpacked in bounds."""

import tarfile
import zipfile
from pathlib import Path

import pytest

from assets.evals.harvest import releases
from assets.evals.harvest.releases import ReleaseUnavailable, fetch_archive, release_versions, unpack
from tests.assets.evals.released_sdists import BEFORE, Registry, link


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    monkeypatch.setenv("HOME", str(tmp_path))
    return Registry(tmp_path / "registry", monkeypatch)


def test_an_archive_is_fetched_without_running_its_build_script(registry: Registry, tmp_path: Path) -> None:
    sha256 = registry.put("1.0", BEFORE)
    archive = fetch_archive("parcels", "1.0", sha256, tmp_path / "cache")
    root = unpack(archive, tmp_path / "unpacked")
    assert (root / "parcels/weights.py").read_text() == BEFORE["parcels/weights.py"]
    assert not (tmp_path / "was-built").exists()


def test_versions_are_told_oldest_first_without_trial_releases(registry: Registry) -> None:
    for version in ("1.10", "1.9", "1.11rc1", "1.2"):
        registry.put(version, BEFORE)
    assert release_versions("parcels") == ["1.2", "1.9", "1.10"]


def test_a_fetched_archive_needs_no_registry_any_more(registry: Registry, tmp_path: Path) -> None:
    sha256 = registry.put("1.0", BEFORE)
    fetch_archive("parcels", "1.0", sha256, tmp_path / "cache")
    next(registry.folder.iterdir()).unlink()
    assert fetch_archive("parcels", "1.0", sha256, tmp_path / "cache").is_file()


def test_an_archive_of_another_content_is_refused(registry: Registry, tmp_path: Path) -> None:
    registry.put("1.0", BEFORE)
    with pytest.raises(ReleaseUnavailable, match=r"SHA-256.*not 0000"):
        fetch_archive("parcels", "1.0", "0" * 64, tmp_path / "cache")
    assert not (tmp_path / "cache/archives/parcels-1.0").exists()


def test_an_archive_that_was_damaged_in_the_cache_is_fetched_again(registry: Registry, tmp_path: Path) -> None:
    sha256 = registry.put("1.0", BEFORE)
    archive = fetch_archive("parcels", "1.0", sha256, tmp_path / "cache")
    archive.write_bytes(b"damaged")
    assert releases.archive_hash(fetch_archive("parcels", "1.0", sha256, tmp_path / "cache")) == sha256


def test_a_release_that_is_not_there_is_named(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(ReleaseUnavailable, match=r"parcels 7\.0 could not be fetched"):
        fetch_archive("parcels", "7.0", None, tmp_path / "cache")


def test_an_archive_that_is_too_large_is_not_kept(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.put("1.0", {"noise": bytes(range(256)) * 40})
    monkeypatch.setattr(releases, "MAX_ARCHIVE", 100)
    with pytest.raises(ReleaseUnavailable, match="could not be fetched"):
        fetch_archive("parcels", "1.0", None, tmp_path / "cache")


HOSTILE = {
    "a path out of it": [link("p/x", "y"), (tarfile.TarInfo("../../out"), b"")],
    "an absolute link": [link("p/out", "/etc/passwd")],
    "a link out of it": [link("p/out", "../../../out")],
    "a hard link out of it": [link("p/out", "../../out", tarfile.LNKTYPE)],
    "a device": [link("p/null", "", tarfile.CHRTYPE)],
}


@pytest.mark.parametrize("what", sorted(HOSTILE))
def test_an_archive_with_what_no_release_holds_leaves_nothing(what: str, registry: Registry, tmp_path: Path) -> None:
    registry.put_raw("1.0", HOSTILE[what])
    [archive] = registry.folder.iterdir()
    with pytest.raises(ReleaseUnavailable, match=r"parcels-1\.0\.tar\.gz"):
        unpack(archive, tmp_path / "a/b/unpacked")
    assert [path for path in (tmp_path / "a").rglob("*") if path.name != "b"] == []


def test_a_bomb_is_refused_at_its_first_entry_too_many(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.put("1.0", {"a": b"\0" * 5_000, "b": b"\0" * 5_000, "c": b"\0" * 5_000})
    monkeypatch.setattr(releases, "MAX_BYTES", 6_000)
    [archive] = registry.folder.iterdir()
    with pytest.raises(ReleaseUnavailable, match="2 files and 10,000 bytes"):
        unpack(archive, tmp_path / "unpacked")
    assert not (tmp_path / "unpacked").exists()


def test_a_zip_that_leads_out_of_its_folder_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "p-1.zip", "w") as archive:
        archive.writestr("p/../../out", "x")
    with pytest.raises(ReleaseUnavailable, match="leads out"):
        unpack(tmp_path / "p-1.zip", tmp_path / "a/unpacked")
    assert not list(tmp_path.rglob("out"))


@pytest.mark.parametrize("name", ["p-1.tar.gz", "p-1.zip"])
def test_what_is_no_archive_is_told(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"\x1f\x8bnot much of an archive")
    with pytest.raises(ReleaseUnavailable, match=name):
        unpack(tmp_path / name, tmp_path / "unpacked")
    assert not (tmp_path / "unpacked").exists()

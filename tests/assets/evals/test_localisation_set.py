"""The localisation set, how rankings are scored on it, and the releases it refers to."""

import io
import tarfile
from pathlib import Path

import pytest

from assets.evals.harvest import releases
from assets.evals.harvest.releases import ReleaseUnavailable, fetch_release
from assets.evals.sets.localisation import load_localisation, score_ranking


def test_the_set_holds_its_cases() -> None:
    cases = load_localisation()
    assert len(cases) == 313
    assert len({case.id for case in cases}) == 313
    assert {case.package for case in cases} == {"anyio", "click", "httpx", "marshmallow", "networkx", "rich"}
    assert all(case.files and case.query.strip() for case in cases)


def test_recall_is_the_share_of_the_wanted_and_the_rank_that_of_the_first() -> None:
    scored = score_ranking(["a", "x", "b", "y"], frozenset({"x", "y"}))
    assert scored.recall == (0.0, 1.0, 1.0, 1.0)
    assert scored.reciprocal_rank == 0.5
    assert score_ranking(["a"], frozenset({"b"})).reciprocal_rank == 0.0
    assert score_ranking([str(n) for n in range(20)], frozenset({"0", "7", "19"})).recall == (1 / 3, 1 / 3, 2 / 3, 1)


def test_a_ranking_that_names_something_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="ranked twice"):
        score_ranking(["a", "a"], frozenset({"a"}))


def archive_of(folder: Path, name: str, members: dict[str, bytes | None]) -> Path:
    """A gzipped tar; a member without content is a symbolic link out of the archive."""
    path = folder / name
    with tarfile.open(path, "w:gz") as opened:
        for member, content in members.items():
            info = tarfile.TarInfo(member)
            if content is None:
                info.type, info.linkname = tarfile.SYMTYPE, "../../../../etc/passwd"
                opened.addfile(info)
            else:
                info.size = len(content)
                opened.addfile(info, io.BytesIO(content))
    return path


def test_a_release_is_fetched_once_and_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched = []

    def download(package: str, version: str, scratch: Path) -> Path:
        fetched.append((package, version))
        return archive_of(scratch, f"{package}-{version}.tar.gz", {f"{package}-{version}/setup.py": b"x"})

    monkeypatch.setattr(releases, "_download", download)
    for _ in range(2):
        folder = fetch_release("parcel", "1.0", tmp_path)
        assert (folder / "setup.py").read_bytes() == b"x"
    assert fetched == [("parcel", "1.0")]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["parcel-1.0"]


def test_an_archive_with_paths_outside_its_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hostile: list[dict[str, bytes | None]] = [{"p-1/a": None}, {"../../out": b"x"}]
    for members in hostile:

        def download(package: str, version: str, scratch: Path, held: dict[str, bytes | None] = members) -> Path:
            return archive_of(scratch, "p-1.tar.gz", held)

        monkeypatch.setattr(releases, "_download", download)
        with pytest.raises(ReleaseUnavailable, match=r"p-1\.tar\.gz"):
            fetch_release("p", "1", tmp_path / "cache")
    assert not (tmp_path / "out").exists()
    assert list((tmp_path / "cache").iterdir()) == []


def test_an_archive_that_would_unpack_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(releases, "MAX_BYTES", 10)
    monkeypatch.setattr(
        releases, "_download", lambda package, version, scratch: archive_of(scratch, "p.tar.gz", {"p/a": b"x" * 11})
    )
    with pytest.raises(ReleaseUnavailable, match="11 bytes"):
        fetch_release("p", "1", tmp_path)


@pytest.mark.parametrize(
    ("package", "version"), [("../x", "1"), ("x", "../1"), ("-r", "1"), ("x", "1 --pre"), ("", "1")]
)
def test_an_invalid_name_or_version_never_reaches_pip(package: str, version: str, tmp_path: Path) -> None:
    with pytest.raises(ReleaseUnavailable, match="not a valid package name"):
        fetch_release(package, version, tmp_path)

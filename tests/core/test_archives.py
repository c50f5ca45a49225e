"""Untrusted archives: whatever they hold, they are unpacked unchanged inside of their folder, or leave nothing."""

import io
import struct
import tarfile
import tempfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from core.archives import ArchiveRefused, unpack_archive

Member = tuple[str, bytes, str]
"""Name, type in a tar, and the content of a file or the target of a link."""

NAMES = st.lists(st.sampled_from(["a", "b", "c", "..", ".", "", "/"]), min_size=1, max_size=5).map("/".join)
KINDS = st.sampled_from([tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])


def tar(path: Path, members: list[Member], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, kind, content in members:
            info = tarfile.TarInfo(name)
            info.type = kind
            raw = b""
            if kind == tarfile.REGTYPE:
                raw = content.encode()
                info.size = len(raw)
            else:
                info.linkname = content
            archive.addfile(info, io.BytesIO(raw))
    return path


def unpack(archive: Path, folder: Path, files: int = 100, size: int = 10_000) -> None:
    unpack_archive(archive, folder, max_files=files, max_bytes=size)


# Climbing by way of a link: its text alone seems to stay inside.
@example([("a/b/c", tarfile.SYMTYPE, "../.."), ("a/b/d", tarfile.SYMTYPE, "c/../..")])
@example([("a", tarfile.SYMTYPE, ".."), ("a/b", tarfile.REGTYPE, "x")])
@example([("a", tarfile.REGTYPE, "x"), ("b", tarfile.SYMTYPE, "a"), ("b", tarfile.REGTYPE, "y")])
@given(st.lists(st.tuples(NAMES, KINDS, NAMES), max_size=6))
@settings(deadline=None, max_examples=300, suppress_health_check=list(HealthCheck))
def test_nothing_is_made_outside_and_no_link_leads_out(members: list[Member]) -> None:
    with tempfile.TemporaryDirectory() as place:
        around = Path(place).resolve()
        archive = tar(around / "p.tar.gz", members)
        folder = around / "inside" / "folder"
        try:
            unpack(archive, folder)
        except ArchiveRefused:
            assert not folder.exists()
        assert {path.name for path in around.iterdir()} <= {"p.tar.gz", "inside"}
        assert {path.name for path in (around / "inside").iterdir()} <= {"folder"}
        for path in folder.rglob("*"):
            assert path.is_symlink() or path.is_file() or path.is_dir()
            assert path.resolve().is_relative_to(folder)


FILES = st.dictionaries(
    st.lists(st.text("abé _-", min_size=1, max_size=8), min_size=1, max_size=3).map("/".join),
    st.binary(max_size=200),
    max_size=5,
).filter(lambda files: not any(a != b and f"{b}/".startswith(f"{a}/") for a in files for b in files))


@given(FILES, st.sampled_from(["w", "w:gz", "w:bz2", "w:xz", "zip"]))
@settings(deadline=None, max_examples=100, suppress_health_check=list(HealthCheck))
def test_files_come_out_as_they_went_in(files: dict[str, bytes], kind: str) -> None:
    with tempfile.TemporaryDirectory() as place:
        archive = Path(place) / ("p.zip" if kind == "zip" else "p.tar")
        if kind == "zip":
            with zipfile.ZipFile(archive, "w") as made:
                for name, content in files.items():
                    made.writestr(name, content)
        else:
            with tarfile.open(archive, kind) as packed:  # type: ignore[call-overload]
                for name, content in files.items():
                    info = tarfile.TarInfo(name)
                    info.size = len(content)
                    packed.addfile(info, io.BytesIO(content))
        unpack(archive, Path(place) / "out")
        out = Path(place) / "out"
        assert {str(p.relative_to(out)): p.read_bytes() for p in out.rglob("*") if p.is_file()} == files


def test_links_inside_and_executable_files_are_kept(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "p.tar", "w") as archive:
        for name, mode in (("p/run", 0o4711), ("p/read", 0o600)):
            info = tarfile.TarInfo(name)
            info.mode, info.size = mode, 1
            archive.addfile(info, io.BytesIO(b"x"))
        for name, kind, goal in (("p/soft", tarfile.SYMTYPE, "run"), ("hard", tarfile.LNKTYPE, "p/read")):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, goal
            archive.addfile(info)
    unpack(tmp_path / "p.tar", tmp_path / "out")
    modes = {path.name: path.stat().st_mode & 0o7777 for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert modes == {"run": 0o755, "soft": 0o755, "read": 0o644, "hard": 0o644}
    assert (tmp_path / "out/p/soft").readlink() == Path("run")
    assert (tmp_path / "out/hard").stat().st_nlink == 1


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_more_files_or_bytes_than_allowed_are_refused(kind: str, tmp_path: Path) -> None:
    archive = tmp_path / f"p.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(archive, "w") as made:
            for name in "abc":
                made.writestr(name, "x" * 100)
    else:
        tar(archive, [(name, tarfile.REGTYPE, "x" * 100) for name in "abc"])
    unpack(archive, tmp_path / "fits", files=3, size=300)
    with pytest.raises(ArchiveRefused, match="3 files and 300 bytes"):
        unpack(archive, tmp_path / "files", files=2)
    with pytest.raises(ArchiveRefused, match="3 files and 300 bytes"):
        unpack(archive, tmp_path / "bytes", size=299)
    assert {path.name for path in tmp_path.iterdir()} == {archive.name, "fits"}


def test_hard_links_cannot_multiply_a_file_beyond_the_bound(tmp_path: Path) -> None:
    links: list[Member] = [(f"l{number}", tarfile.LNKTYPE, "a") for number in range(20)]
    archive = tar(tmp_path / "p.tar", [("a", tarfile.REGTYPE, "x" * 1000), *links])
    with pytest.raises(ArchiveRefused, match="unpacks to at least"):
        unpack(archive, tmp_path / "out", size=10_000)


def test_a_header_that_claims_to_be_long_is_refused_unread(tmp_path: Path) -> None:
    header = bytearray(tarfile.TarInfo("x").tobuf())
    header[156:157] = b"x"
    header[124:136] = b"77777777777\0"
    header[148:156] = b" " * 8
    header[148:156] = struct.pack("8s", b"%06o\0 " % sum(header))
    (tmp_path / "p.tar").write_bytes(bytes(header) + b"\0" * 1024)
    with pytest.raises(ArchiveRefused, match="a header of 8,589,93"):
        unpack(tmp_path / "p.tar", tmp_path / "out")

from pathlib import Path
from typing import Any

import pytest

from assets.context.search import status
from assets.context.source.sources import SourceError, add_source, find_source, list_sources
from core.database import Database
from core.events import DEFAULT_TEAM


def test_a_source_is_added_and_found_by_name_and_repository(database: Database, history: Any, tmp_path: Path) -> None:
    made = add_source(database, DEFAULT_TEAM, "My.Shop", str(history.path), "main", "Owner/Shop", roots=[tmp_path])
    assert (made.name, made.branch, made.repository) == ("my.shop", "main", "owner/shop")
    assert made.location == str(history.path.resolve())
    assert find_source(database, DEFAULT_TEAM, "MY.shop") == made
    assert list_sources(database, DEFAULT_TEAM) == [made]


def test_adding_the_same_again_changes_nothing_and_another_of_the_name_is_refused(database: Database) -> None:
    url = "https://example.org/a.git"
    assert add_source(database, DEFAULT_TEAM, "a", url) == add_source(database, DEFAULT_TEAM, "a", url)
    with pytest.raises(SourceError, match="source a exists already"):
        add_source(database, DEFAULT_TEAM, "a", "https://example.org/b.git")
    with pytest.raises(SourceError, match="branch the default one, repository none"):
        add_source(database, DEFAULT_TEAM, "a", url, branch="dev", repository="p/q")
    named = add_source(database, DEFAULT_TEAM, "a", url, repository="p/q")
    assert (named.branch, named.repository) == (None, "p/q")
    assert add_source(database, DEFAULT_TEAM, "a", url) == named, "which was not said again"
    with pytest.raises(SourceError, match="repository p/q: choose"):
        add_source(database, DEFAULT_TEAM, "a", url, repository="p/r")
    add_source(database, DEFAULT_TEAM, "b", url, repository="x/y")
    with pytest.raises(SourceError, match="repository x/y already has a source"):
        add_source(database, DEFAULT_TEAM, "c", url, repository="X/Y")


@pytest.mark.parametrize("name", ["", "-a", "a/b", "../a", "a b", "é", "a" * 65, ".hidden"])
def test_a_name_that_could_be_a_path_or_option_is_refused(database: Database, name: str) -> None:
    with pytest.raises(SourceError, match="is not a valid source name"):
        add_source(database, DEFAULT_TEAM, name, "https://example.org/a")


@pytest.mark.parametrize(
    "location", ["file:///etc", "http://h/x", "git://h/x", "ext::sh -c x", "-u@h:x", "user@-h:x", "https://-h/x"]
)
def test_a_location_of_another_kind_is_refused(database: Database, tmp_path: Path, location: str) -> None:
    with pytest.raises(SourceError):
        add_source(database, DEFAULT_TEAM, "a", location, roots=[tmp_path])
    assert list_sources(database, DEFAULT_TEAM) == []


def test_a_path_must_be_a_repository_within_the_roots(database: Database, history: Any, tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    with pytest.raises(SourceError, match="is not a git repository"):
        add_source(database, DEFAULT_TEAM, "a", str(inside), roots=[inside])
    with pytest.raises(SourceError, match="outside the allowed roots"):
        add_source(database, DEFAULT_TEAM, "a", str(history.path), roots=[inside])
    (inside / "link").symlink_to(history.path)
    with pytest.raises(SourceError, match="outside the allowed roots"):
        add_source(database, DEFAULT_TEAM, "a", str(inside / "link"), roots=[inside])


@pytest.mark.parametrize(
    "location", ["a\0b", "\udcff", "https://example.org/" + "a" * 2000, "/" + "a" * 5000], ids=lambda given: given[:12]
)
def test_a_location_that_cannot_be_stored_is_refused(database: Database, tmp_path: Path, location: str) -> None:
    with pytest.raises(SourceError, match="an address must have at most"):
        add_source(database, DEFAULT_TEAM, "a", location, roots=[tmp_path])


@pytest.mark.parametrize(
    ("branch", "repository"),
    [
        ("-x", None),
        ("a b", None),
        ("a..b", None),
        ("a@{1}", None),
        ("\udcff", None),
        ("n" * 3000, None),
        (None, "noslash"),
        (None, "a/b c"),
    ],
)
def test_a_branch_or_repository_that_cannot_be_one_is_refused(
    database: Database, branch: str | None, repository: str | None
) -> None:
    with pytest.raises(SourceError, match=r"is not a (repository's name|valid branch name)"):
        add_source(database, DEFAULT_TEAM, "a", "https://example.org/a", branch, repository)


def test_a_credential_in_a_location_is_stored_but_not_shown(database: Database) -> None:
    made = add_source(database, DEFAULT_TEAM, "a", "https://user:s3cret@example.org/a.git")
    assert made.shown == "https://***@example.org/a.git"
    assert "s3cret" not in str(status(database, DEFAULT_TEAM, "a"))
    with pytest.raises(SourceError) as raised:
        add_source(database, DEFAULT_TEAM, "a", "https://user:t0ken@example.org/b.git")
    assert "s3cret" not in str(raised.value) + str(raised.value.__cause__)
    assert "s3cret" not in repr(made)


@pytest.mark.parametrize(
    "location",
    [
        "https://user:pa/s3cret@example.org/a.git",
        "https://user:pa s3cret@example.org/a.git",
        "https://user:pa's3cret@example.org:x/a.git",
        "https://example.org/a.git?private_token=s3cret",
        "https://example.org/a.git#s3cret",
        "ssh://user:s3cret@example.org/a.git",
        "http://user:pa/s3cret@example.org/a.git",
        "user:s3cret@example.org:a.git",
    ],
)
def test_a_malformed_credential_is_refused_and_neither_shown_nor_stored(database: Database, location: str) -> None:
    with pytest.raises(SourceError) as raised:
        add_source(database, DEFAULT_TEAM, "a", location)
    assert "s3cret" not in str(raised.value) + str(raised.value.__cause__)
    assert list_sources(database, DEFAULT_TEAM) == []


def test_an_unknown_source_says_how_to_add_one(database: Database) -> None:
    with pytest.raises(SourceError, match="penstock index add"):
        find_source(database, DEFAULT_TEAM, "nothing")

"""`penstock index rename` as a person uses it, with what a person gets wrong."""

import json
import shutil
from pathlib import Path

import pytest

from core.database import Database
from core.events import DEFAULT_TEAM
from tests.dagster_project.test_index_command import Shell, shell

__all__ = ["shell"]


def _sources(database: Database) -> list[tuple[object, ...]]:
    with database.team(DEFAULT_TEAM) as connection:
        return connection.execute("SELECT name, repository, forge_repository_id FROM sources ORDER BY name").fetchall()


def test_a_renamed_repository_is_told_to_its_source(shell: Shell, database: Database) -> None:
    shell.run("index", "add", "shop", str(shell.folder), "--repository", "acme/shop", "--no-refresh")
    with database.team(DEFAULT_TEAM) as connection:
        connection.execute(
            "UPDATE sources SET (forge_repository_service, forge_repository_host, forge_repository_id) "
            "= ('github', 'github.com', 7)"
        )
    shell.run("index", "add", "shop", str(shell.folder), "--repository", "acme/store", "--no-refresh", code=1)
    assert "penstock index rename shop" in shell.said
    said = json.loads(shell.run("index", "rename", "Shop", "--repository", "Acme/Store", "--json"))
    assert said == {
        "source": "shop",
        "repository": "acme/store",
        "location": str(shell.folder),
        "former_repository": "acme/shop",
        "former_location": str(shell.folder),
    }
    assert _sources(database) == [("shop", "acme/store", None)]
    assert "repository acme/store" in shell.run("index", "rename", "shop", "--repository", "acme/store")


def test_a_repository_that_moved_is_indexed_from_its_new_place_without_reading_it_all_again(
    shell: Shell, tmp_path: Path
) -> None:
    shell.run("index", "add", "shop", str(shell.folder))
    mirrors = list((tmp_path / "home" / "mirrors").glob("*/shop-*.git"))
    assert len(mirrors) == 1
    moved = tmp_path / "moved"
    shutil.move(shell.folder, moved)
    shell.run("index", "refresh", "shop", code=1)
    shell.folder = moved
    shell.commit("tax.py", "def tax(total):\n    return total * 0.2\n")
    assert str(moved) in shell.run("index", "rename", "shop", "--location", str(moved))
    assert "penstock index refresh shop" in shell.said
    assert not mirrors[0].exists()
    report = json.loads(shell.run("index", "refresh", "shop", "--json"))
    assert (report["files"], report["chunks_new"]) == (2, 1)


def test_a_credential_goes_along_to_a_new_path_of_the_same_host_and_to_no_other(shell: Shell, tmp_path: Path) -> None:
    kept = tmp_path / "home" / "secrets" / "git-credentials"
    shell.run("index", "add", "far", "https://user:t0k3n@127.0.0.1:9/x.git", "--no-refresh")
    shell.run("index", "rename", "far", "--location", "https://127.0.0.1:9/y.git")
    assert kept.read_text() == "https://user:t0k3n@127.0.0.1:9/y.git\n"
    shell.run("index", "rename", "far", "--location", "https://127.0.0.2:9/y.git")
    assert kept.read_text() == ""
    shown = shell.run("index", "rename", "far", "--location", "https://user:n3w@127.0.0.2:9/z.git", "--json")
    assert kept.read_text() == "https://user:n3w@127.0.0.2:9/z.git\n"
    assert "n3w" not in shown + shell.said


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["shop"], 1, "pass --repository OWNER/NAME, --location DIR_OR_URL, or both"),
        (["shop", "--repository", "nobody"], 1, "write owner/name"),
        (["shop", "--repository", "acme/other"], 1, "acme/other already belongs to source other"),
        (["shop", "--location", "/"], 1, "outside the allowed roots"),
        (["shop", "--location", "ext::sh -c id"], 1, "https or ssh URL"),
        (["nobody", "--repository", "acme/x"], 1, "no source 'nobody'"),
        ([], 2, "Missing argument"),
    ],
)
def test_what_cannot_be_renamed_is_refused_and_changes_nothing(
    shell: Shell, database: Database, arguments: list[str], code: int, said: str
) -> None:
    shell.run("index", "add", "shop", str(shell.folder), "--repository", "acme/shop", "--no-refresh")
    shell.run("index", "add", "other", str(shell.folder), "--repository", "acme/other", "--no-refresh")
    shell.run("index", "rename", *arguments, code=code)
    assert said in shell.said
    assert _sources(database) == [("other", "acme/other", None), ("shop", "acme/shop", None)]


def test_the_help_says_what_stays(shell: Shell) -> None:
    said = " ".join(shell.run("index", "rename", "--help").split())
    assert "Its index and tickets stay" in said
    assert "OWNER/NAME" in said

"""A pull request from a fork, whose branch anybody can name as they like, is not taken for our own."""

from pathlib import Path
from typing import Any

import pytest

from tests.forge_arena import FakeArena

BRANCH = "penstock/a"


def _gitlab(source: int) -> dict[str, Any]:
    return {"iid": 1, "web_url": "https://x/1", "state": "opened", "source_project_id": source, "target_project_id": 1}


def _gitea(source: int) -> dict[str, Any]:
    head, base = {"label": BRANCH, "ref": BRANCH, "repo_id": source}, {"label": "main", "ref": "main", "repo_id": 1}
    return {"number": 1, "html_url": "https://x/1", "state": "open", "head": head, "base": base}


def _bitbucket(source: int | None) -> dict[str, Any]:
    """Without a source, its fork was deleted."""
    links, branch = {"html": {"href": "https://x/1"}}, {"name": BRANCH}
    head = {"branch": branch, "repository": {"uuid": f"{{{source}}}"} if source else None}
    return {"id": 1, "state": "OPEN", "links": links, "source": head, "destination": {"repository": {"uuid": "{1}"}}}


@pytest.mark.parametrize(
    ("dialect", "item", "found"),
    [
        ("gitlab", _gitlab(1), 1),
        ("gitlab", _gitlab(2), 0),
        ("gitea", _gitea(1), 1),
        ("gitea", _gitea(2), 0),
        ("bitbucket", _bitbucket(1), 1),
        ("bitbucket", _bitbucket(2), 0),
        ("bitbucket", _bitbucket(None), 0),
    ],
)
def test_only_those_of_the_repository_itself_are_found(
    tmp_path: Path, dialect: str, item: dict[str, Any], found: int
) -> None:
    arena = FakeArena(tmp_path, dialect)
    try:
        body: Any = {"values": [item]} if dialect == "bitbucket" else [item]
        arena.forge.add_fault("status", method="GET", path="pulls|merge_requests|pullrequests", status=200, body=body)
        assert len(arena.host().pulls_of(BRANCH)) == found
    finally:
        arena.stop()

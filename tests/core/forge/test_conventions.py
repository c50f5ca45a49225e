"""Authors, sign-offs and templates of published work."""

import subprocess
from pathlib import Path

import pytest

from core.commit_author import parse_identity
from core.forge.conventions import MOST_TEMPLATE, Conventions, find_template
from core.git import Repository
from tests.forge_arena import git, seed

SIGNED = Conventions(("Robot", "robot@example.org"), sign_off=True)


@pytest.mark.parametrize(
    ("message", "found"),
    [
        ("Fix: it\n", "Fix: it\n\nSigned-off-by: Robot <robot@example.org>\n"),
        (
            "Fix: it\n\n- a test: failed -> passed\n\nPenstock-Task: 1\nPenstock-Attempt: 1\n",
            "Fix: it\n\n- a test: failed -> passed\n\nPenstock-Task: 1\nPenstock-Attempt: 1\n"
            "Signed-off-by: Robot <robot@example.org>\n",
        ),
        ("Fix: it\n\nSome text.\n", "Fix: it\n\nSome text.\n\nSigned-off-by: Robot <robot@example.org>\n"),
    ],
)
def test_a_sign_off_joins_the_trailers_and_is_added_once(message: str, found: str) -> None:
    assert SIGNED.message(message) == found
    assert SIGNED.message(found) == found
    assert Conventions().message(message) == message
    shown = subprocess.run(
        ["git", "interpret-trailers", "--parse"], input=found, capture_output=True, text=True, check=True, timeout=60
    ).stdout
    assert "Signed-off-by: Robot <robot@example.org>" in shown.splitlines()


def test_commits_under_the_default_author_are_own_after_it_was_changed() -> None:
    before, now = "Penstock <penstock@localhost>", "Robot <robot@example.org>"
    assert SIGNED.is_own((before, before))
    assert SIGNED.is_own((now, now))
    assert not SIGNED.is_own((now, "Ada <ada@example.org>"))
    assert not SIGNED.is_own(("Ada <ada@example.org>", now))


@pytest.mark.parametrize("text", ["", "Robot", "<a@b>", "Robot <a b>", "A\nB <a@b>", "Robot <a@b> x"])
def test_an_odd_author_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="name and an address"):
        parse_identity(text)


def test_an_author_is_a_name_and_an_address() -> None:
    assert parse_identity("  The Robot  <robot@example.org> ") == ("The Robot", "robot@example.org")


def test_the_template_is_the_services_first_one(tmp_path: Path) -> None:
    folder = seed(tmp_path / "repository")
    repository = Repository(folder)
    assert find_template(repository, repository.resolve("main"), "github") == ""
    (folder / "docs").mkdir()
    (folder / "docs" / "pull_request_template.md").write_text("Second.\n")
    (folder / ".github").mkdir()
    (folder / ".github" / "PULL_REQUEST_TEMPLATE.md").write_text("- [ ] Tested\n" + "x" * MOST_TEMPLATE)
    (folder / ".gitlab" / "merge_request_templates").mkdir(parents=True)
    (folder / ".gitlab" / "merge_request_templates" / "Default.md").symlink_to("/etc/passwd")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "Templates")
    commit = repository.resolve("main")
    found = find_template(repository, commit, "github")
    assert found.startswith("- [ ] Tested\nxxx")
    assert len(found) <= MOST_TEMPLATE
    assert find_template(repository, commit, "gitlab") == ""
    assert find_template(repository, commit, "gitea").startswith("- [ ] Tested")

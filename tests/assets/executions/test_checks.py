"""What checkers say about changes, beside what they say about the unchanged files."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from assets.executions.attempt.checks import Checking
from sandbox.checks import Check
from sandbox.checks.diagnostics import lines
from sandbox.protocol import Environment, Limits, Sandbox

AWK = '/BAD/ {print FILENAME ":" NR ": error: " $0}'


def test_only_what_the_changes_brought_is_new_and_the_session_is_left_as_it_was(
    tmp_path: Path, bubblewrap: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.x").write_text("BAD one\nBAD two\n")
    check = Check("words", ("awk", AWK, "a.x"), lines)
    monkeypatch.setattr("assets.executions.attempt.checks.checks_for", lambda language, root, changed: [check])
    with bubblewrap.open(Environment(tmp_path)) as session:
        worker = SimpleNamespace(session=session, limits=Limits())
        checking = Checking(tmp_path, "python", lambda: worker, lambda: 100.0)  # type: ignore[arg-type, return-value]
        checked = checking({"a.x": "moved by a line\nBAD one\nBAD three\nBAD three\n", "new.x": "BAD"})
        assert [(one.line, one.message) for one in checked.new] == [(3, "BAD three"), (4, "BAD three")]
        assert checked.gone == 1
        assert checked.ran == ("words",)
        assert session.read("a.x") == b"BAD one\nBAD two\n"
        with pytest.raises(FileNotFoundError):
            session.read("new.x")

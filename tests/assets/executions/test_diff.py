"""`git apply` reproduces the new text byte for byte from our diffs."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assets.executions.judging.diff import apply_diff, changed_lines, changed_paths, new_paths, unified_diff

lines = st.lists(st.sampled_from(["a", "b", "", "  c", "é", "x\r", "-- y", "++ z"]), max_size=12)
texts = st.builds(lambda parts, end: "\n".join(parts) + end, lines, st.sampled_from(["", "\n"]))


@given(before=texts, after=texts)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_git_makes_the_new_text_of_the_old_one(tmp_path: Path, before: str, after: str) -> None:
    if before == after:
        return
    (tmp_path / "a.py").write_bytes(before.encode())
    diff = unified_diff({"a.py": before}, {"a.py": after})
    assert apply_diff(tmp_path, diff) is None
    assert (tmp_path / "a.py").read_bytes() == after.encode()


@pytest.mark.parametrize("name", ["a b.py", "é.py", 'q"uote.py', "folder/deep/x.py", "tab\t.py"])
def test_unusual_names_survive(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text("a = 1\n")
    diff = unified_diff({name: "a = 1\n"}, {name: "a = 2\n"})
    assert apply_diff(tmp_path, diff) is None
    assert (tmp_path / name).read_text() == "a = 2\n"
    assert changed_paths(diff) == (name,)
    assert changed_lines(diff) == 2


def test_a_diff_that_does_not_apply_is_refused_with_gits_message(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("other\n")
    problem = apply_diff(tmp_path, unified_diff({"a.py": "a = 1\n"}, {"a.py": "a = 2\n"}))
    assert problem is not None and "does not apply" in problem
    assert (tmp_path / "a.py").read_text() == "other\n"


def test_unchanged_files_make_no_diff() -> None:
    assert unified_diff({"a.py": "x\n"}, {"a.py": "x\n"}) == ""


@pytest.mark.parametrize("text", ["", "a\n", "no end", "\n"])
@pytest.mark.parametrize("name", ["a.txt", "new folder/é.txt", "deep/er/x"])
def test_files_are_added_and_deleted_byte_for_byte(tmp_path: Path, name: str, text: str) -> None:
    made = unified_diff({name: None}, {name: text})
    assert (changed_paths(made), new_paths(made)) == ((name,), (name,))
    assert apply_diff(tmp_path, made) is None
    assert (tmp_path / name).read_text() == text
    gone = unified_diff({name: text}, {name: None})
    assert (changed_paths(gone), new_paths(gone)) == ((name,), ())
    assert apply_diff(tmp_path, gone) is None
    assert not (tmp_path / name).exists()


def test_a_file_that_exists_is_not_added_again(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("mine\n")
    assert "already exists" in (apply_diff(tmp_path, unified_diff({"a.txt": None}, {"a.txt": "theirs\n"})) or "")


def test_text_that_looks_like_a_header_makes_no_new_path() -> None:
    diff = unified_diff({"a": "x\n"}, {"a": "diff --git a/b b/b\nnew file mode 100644\n"})
    assert (changed_paths(diff), new_paths(diff)) == (("a",), ())

"""Minimal patches: every edit and hunk that is left is needed."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from assets.executions.attempt.minimise import minimal_subset, minimise
from assets.executions.engines.protocol import Candidate, FileChange
from assets.executions.engines.search.source import Edit, SourceFile

TEXT = 'VERSION = "2"\n\n\ndef low(x):\n    return x - 1\n\n\ndef high(x):\n    return x - 1\n'


def _candidate(*edits: Edit, whole: tuple[FileChange, ...] = (), parents: tuple[Candidate, ...] = ()) -> Candidate:
    return Candidate(edits, "a+b", 1.0, 1.0, "m.py", 5, parents, whole)


def _sources() -> dict[str, SourceFile]:
    return {"m.py": SourceFile("m.py", TEXT.encode())}


def _edit(old: str, new: str) -> Edit:
    at = TEXT.index(old)
    return Edit("m.py", at, at + len(old), new)


@given(st.integers(1, 12), st.data())
def test_exactly_the_needed_parts_are_left(count: int, data: st.DataObject) -> None:
    needed = data.draw(st.sets(st.integers(0, count - 1), min_size=1))
    found, _, minimal = minimal_subset(range(count), lambda subset: needed <= set(subset), 1000)
    assert (set(found), minimal) == (needed, True)


@given(st.integers(2, 10), st.randoms(use_true_random=False))
def test_no_part_of_the_result_can_be_left_out_whatever_the_test(count: int, random: object) -> None:
    known: dict[tuple[int, ...], bool] = {}

    def passes(subset: Sequence[int]) -> bool:
        return known.setdefault(tuple(subset), random.random() < 0.4)  # type: ignore[attr-defined]

    found, _, minimal = minimal_subset(range(count), passes, 10_000)
    assert minimal
    if len(found) > 1:
        assert not any(passes([n for n in found if n != left]) for left in found)


def test_calls_are_bounded_and_the_best_so_far_is_returned() -> None:
    tried: list[Sequence[int]] = []

    def passes(subset: Sequence[int]) -> bool:
        tried.append(subset)
        return False

    found, used, minimal = minimal_subset(range(64), passes, 5)
    assert (len(found), used, len(tried), minimal) == (64, 5, 5, False)


def test_an_edit_that_is_not_needed_is_left_out() -> None:
    fix, version = _edit("x - 1", "x + 1"), _edit('"2"', '"3"')
    seen: list[str] = []

    def passes(candidate: Candidate) -> bool:
        seen.append(str(candidate.files(_sources())["m.py"]))
        return "x + 1" in seen[-1]

    result = minimise(_candidate(version, fix), _sources(), passes)
    assert result.candidate.edits == (fix,)
    assert (result.parts, result.kept, result.minimal) == (2, 1, True)
    assert TEXT.replace('"2"', '"3"').replace("x - 1", "x + 1", 1) not in seen


def test_the_parent_that_suffices_is_returned() -> None:
    fix, other = _edit("x - 1", "x + 1"), _edit('"2"', '"3"')
    parent = Candidate((fix,), "a", 0.5, 0.5, "m.py", 5)
    result = minimise(_candidate(fix, other, parents=(parent,)), _sources(), lambda c: fix in c.edits)
    assert result.candidate is parent


def test_hunks_of_a_whole_file_are_left_out() -> None:
    after = TEXT.replace('"2"', '"3"').replace("x - 1", "x + 1")
    new = FileChange("new.py", None, "pass\n")
    given_ = _candidate(whole=(FileChange("m.py", TEXT, after), new))

    def passes(candidate: Candidate) -> bool:
        text = candidate.files({}).get("m.py") or ""
        return text.endswith("def high(x):\n    return x + 1\n")

    result = minimise(given_, {}, passes)
    (change,) = result.candidate.whole
    assert change.after == TEXT[: TEXT.rindex("x - 1")] + "x + 1\n"
    assert (result.parts, result.kept) == (4, 1)


def test_what_does_not_parse_is_not_tried() -> None:
    tried: list[Candidate] = []

    def passes(candidate: Candidate) -> bool:
        tried.append(candidate)
        return True

    result = minimise(_candidate(whole=(FileChange("m.py", "x,\ny\nz\n", "(x,\ny\n)\n"),)), {}, passes)
    assert (tried, result.kept, result.calls) == ([], 2, 0)


def test_one_edit_needs_no_trial() -> None:
    result = minimise(_candidate(_edit("x - 1", "x + 1")), _sources(), lambda c: False)
    assert (result.calls, result.minimal, result.kept) == (0, True, 1)

"""Parts of the engine `hybrid`: which changes are the same, which places exist, what samples stand for."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from assets.executions.engines.hybrid.learnt import MOST_CLOSE, Learnt
from assets.executions.engines.hybrid.normal import normal_form
from assets.executions.engines.hybrid.places import MOST, MOST_LINES, Place, Places, lines_of
from assets.executions.engines.hybrid.samples import Proposal, Replacement, grouped
from assets.executions.engines.protocol import Candidate, FileChange, Observation
from assets.executions.engines.search.source import Edit, SourceFile

SHOP = """class Shop:
    def total(self, lines):
        return sum(lines)

    def cheapest(self, lines):
        return max(lines)


def total(lines):
    return 0
"""
SOURCES = {"shop.py": SourceFile("shop.py", SHOP.encode())}


def change(old: str, new: str, path: str = "shop.py") -> Candidate:
    start = SHOP.index(old)
    return Candidate((Edit(path, start, start + len(old), new),), "model", 1.0, 1.0, path, 6, deliberate=True)


def test_formatting_comments_and_line_ends_do_not_make_another_change() -> None:
    plain = change("return max(lines)", "return min(lines)")
    same = [
        change("return max(lines)", "return (min( lines ))  # the least"),
        change("return max(lines)\n", "# why not\n        return min(\n            lines,\n        )\n"),
    ]
    assert {normal_form(one, SOURCES) for one in same} == {normal_form(plain, SOURCES)}
    others = [
        change("return max(lines)", "return min(lines, default=0)"),
        change("return sum(lines)", "return min(lines)"),
        Candidate((), "model", 1.0, 1.0, "a.txt", 1, whole=(FileChange("a.txt", None, "x"),)),
        Candidate((), "model", 1.0, 1.0, "a.txt", 1, whole=(FileChange("a.txt", "x", None),)),
        Candidate((), "model", 1.0, 1.0, "a.txt", 1, whole=(FileChange("a.txt", None, "not there"),)),
    ]
    assert len({normal_form(one, SOURCES) for one in [plain, *others]}) == 6


def test_a_change_that_does_not_parse_or_overlaps_has_a_form_too() -> None:
    one, other = change("return max(lines)", "return ((("), change("return max(lines)", "return (( (")
    assert normal_form(one, SOURCES) != normal_form(other, SOURCES)
    both = Candidate((*one.edits, *other.edits), "model", 1.0, 1.0, "shop.py", 6)
    assert len(normal_form(both, SOURCES)) == 64


def places(*named: dict[str, Any], known: bool = True) -> tuple[dict[str, set[int]], list[str]]:
    return lines_of(Places(known=known, places=tuple(Place(**one) for one in named)), SOURCES)


def test_a_function_and_a_line_are_places() -> None:
    assert places({"path": "shop.py", "function": "Shop.cheapest"}) == ({"shop.py": {5, 6}}, [])
    assert places({"path": "shop.py", "function": "cheapest()"})[0] == {"shop.py": {5, 6}}
    assert places({"path": "shop.py", "function": "total"})[0] == {"shop.py": {2, 3, 9, 10}}
    assert places({"path": "shop.py", "function": "total", "line": 10})[0] == {"shop.py": {9, 10}}
    assert places({"path": "shop.py", "line": 6})[0] == {"shop.py": {3, 4, 5, 6, 7, 8, 9}}


def test_places_that_do_not_exist_are_dropped() -> None:
    lies = [
        {"path": "gone.py", "line": 1},
        {"path": "../shop.py", "line": 1},
        {"path": "shop.py", "function": "Shop.dearest"},
        {"path": "shop.py", "function": "Till.total"},
        {"path": "shop.py", "line": 99},
        {"path": "shop.py"},
        {"path": "", "function": "cheapest"},
    ]
    found, unknown = places(*lies, {"path": "shop.py", "function": "cheapest"})
    assert found == {"shop.py": {5, 6}} and len(unknown) == len(lies)


def test_a_model_that_does_not_know_names_no_place() -> None:
    assert places({"path": "shop.py", "function": "cheapest"}, known=False) == ({}, [])


def test_only_the_first_places_count() -> None:
    text = "".join(f"def f{n}():\n    return {n}\n" for n in range(30))
    sources = {"a.py": SourceFile("a.py", text.encode())}
    named = tuple(Place(path="a.py", function=f"f{n}") for n in range(30))
    found, _ = lines_of(Places(known=True, places=named), sources)
    assert found == {"a.py": set(range(1, 2 * MOST + 1))}
    long = "def f():\n" + "".join(f"    x = {n}\n" for n in range(900))
    found, _ = lines_of(
        Places(known=True, places=(Place(path="b.py", function="f"),)), {"b.py": SourceFile("b.py", long.encode())}
    )
    assert len(found["b.py"]) == MOST_LINES + 1


def problem(tmp_path: Path) -> Any:
    (tmp_path / "shop.py").write_text(SHOP)
    return SimpleNamespace(sources=SOURCES, root=tmp_path, refusal=lambda path: "no", suffixes=(".py",))


def proposal(
    new: str, *, known: bool = True, old: str = "        return max(lines)", path: str = "shop.py"
) -> Proposal:
    return Proposal(known=known, edits=(Replacement(path=path, old=old, new=new),))


def test_equal_answers_are_one_candidate_and_the_most_frequent_comes_first(tmp_path: Path) -> None:
    answers = [
        proposal("        return lines[0]"),
        proposal("        return min(lines)"),
        proposal("        return min( lines )  # least"),
        None,
        proposal("        return min(lines", path="shop.py"),
        proposal("x", old="not there"),
        proposal("x", path="/etc/passwd"),
        proposal("        return max(lines)  "),
        Proposal(known=True),
        proposal("", known=False),
    ]
    found = grouped(answers, problem(tmp_path))
    assert [group.answers for group in found.groups] == [2, 1] and found.abstained == 1
    assert "min(lines)" in str(found.groups[0].candidate.files(SOURCES)["shop.py"])
    assert all(group.candidate.deliberate for group in found.groups)
    assert len(found.unusable) == 6 and not found.guesses, found.unusable


def test_answers_are_guesses_when_most_say_that_they_do_not_know(tmp_path: Path) -> None:
    unknown, known = proposal("", known=False), proposal("        return min(lines)")
    assert grouped([unknown, unknown, known], problem(tmp_path)).guesses
    assert not grouped([unknown, known], problem(tmp_path)).guesses
    assert not grouped([], problem(tmp_path)).guesses


def test_what_came_close_and_what_was_refuted_is_told_and_bounded() -> None:
    learnt = Learnt(SOURCES)
    assert learnt.text == "Nothing was tried yet."
    tried = change("return max(lines)", "return min(lines)")
    many = [Observation(tried, "fail", passed=(0,)) for _ in range(1000)]
    learnt.add([*many, Observation(tried, "regress", broken="tests/test_till.py::test_x", message="m" * 9000)])
    learnt.add([Observation(tried, "rejected", broken="the suite is worse\nby far")])
    text = learnt.text
    assert "1001 small edits were tried" in text and "shop.py Shop.cheapest: 1001" in text
    assert "'return max(lines)' -> 'return min(lines)'" in text
    assert "it was rejected: 'the suite is worse by far'" in text and "tests/test_till.py::test_x" in text
    assert text.count("->") == MOST_CLOSE and len(text) < 4000

"""What is learned from edit histories: which edits count, what makes them, and what the engine makes of it."""

import ast
import json
import random
from pathlib import Path

import pytest

from assets.executions.engines.search.likelihood import Likelihood, features, learned
from assets.executions.engines.search.operators.index import ProjectIndex
from tests.bench.edit_priors.__main__ import corrects, packages
from tests.bench.edit_priors.examples import example
from tests.bench.edit_priors.history import SmallEdit, small_edits
from tests.bench.edit_priors.learn import columns, cross_validated, fit, places, table

SETS = Path(__file__).parents[3] / "eval_sets"
BEFORE = '''
def cut(text, size: int = 3):
    """Cuts."""
    if size < 0:
        raise ValueError("size is too small")
    return text[:size]


def other(a):
    return a
'''


def edits(after: str) -> list[SmallEdit]:
    return list(small_edits("p", "1.0.1", {"p/m.py": BEFORE.encode()}, {"p/m.py": after.encode()}))


def test_an_edit_is_found_with_the_statement_that_differs() -> None:
    (found,) = edits(BEFORE.replace("size < 0", "size < 1"))
    assert (found.name, found.lines) == ("cut", 1)
    assert any(isinstance(site, ast.If) for site in found.sites)


@pytest.mark.parametrize(
    "after",
    [
        BEFORE.replace("Cuts.", "Cuts a text."),
        BEFORE.replace("size: int = 3", "size=3"),
        BEFORE.replace("size is too small", "no such size"),
        BEFORE.replace('    if size < 0:\n        raise ValueError("size is too small")\n', ""),
        BEFORE.replace("    return text", "    a = 1\n    b = 2\n    c = 3\n    d = 4\n    return text"),
        BEFORE.replace("def cut", "def shorten"),
    ],
    ids=["docstring", "annotation", "message", "only removed", "too long", "renamed"],
)
def test_what_is_no_small_correction_is_left_out(after: str) -> None:
    assert after != BEFORE and edits(after) == []


def test_a_proposal_that_makes_the_edit_is_told_from_the_others() -> None:
    (edit,) = edits(BEFORE.replace("size < 0", "size <= 0"))
    found = example(edit, ProjectIndex([edit.source]))
    assert {made[0] for made in found.made} == {"compare:operator"}
    assert found.place is not None and 1 <= found.place <= found.proposed
    assert found.others and not {tuple(one) for one in found.others} & {tuple(one) for one in found.made}
    (strange,) = edits(BEFORE.replace("text[:size]", "text.partition(str(size))[2].join('xyz')"))
    assert example(strange, ProjectIndex([strange.source])).made == []


def rows(count: int) -> list[dict[str, object]]:
    """Examples in which `good:one` always makes the edit, whatever its weight."""
    chosen = random.Random(0)  # noqa: S311
    kinds = ("bad:one", "bad:two", "worse:one")
    return [
        {
            "package": f"p{number % 10}", "proposed": 200,
            "made": [["good:one", 0.2, "Assign", "a", "b"]],
            "others": [[chosen.choice(kinds), chosen.random(), "Assign", "a", "c"] for _ in range(40)],
        }
        for number in range(count)
    ]  # fmt: skip


def test_what_makes_the_edits_comes_first_afterwards() -> None:
    some = rows(30)
    found = cross_validated(some)
    assert found["weights"]["median place"] > 50
    assert found["learned alone"]["median place"] < 5
    data = table(some, columns(some))
    assert max(places(data, fit(data))) < 10


def test_strength_says_how_far_histories_count() -> None:
    coefficients = {"operators": {"a:b": 2.0}, "zero": 1.0}
    assert Likelihood(strength=0.0, **coefficients).weigh("a:b", 0.5, "If", "", "") == 0.5
    half = Likelihood(strength=0.5, **coefficients)
    assert half.weigh("a:b", 0.5, "If", "", "") > 0.5 > half.weigh("c:d", 0.5, "If", "", "")
    assert half.weigh("a:b", 0.0, "If", "", "") == 0.0


def test_the_engine_has_coefficients_and_they_are_moderate() -> None:
    held = learned()
    assert held.strength > 0 and held.operators and set(held.features) == set(features("", ""))
    factor = held.weigh("compare:operator", 0.4, "If", "<", "<=") / 0.4
    assert 0.2 < factor < 5


def test_nothing_that_is_measured_is_learned_on() -> None:
    measured = {
        json.loads(path.read_text())["package"].lower() for path in SETS.glob("released-fixes/cases/*/case.json")
    }
    lines = (SETS / "localisation" / "cases.jsonl").read_text().splitlines()
    measured |= {json.loads(line)["input"]["package"].lower() for line in lines}
    assert len(measured) > 20 and not measured & {name.lower() for name in packages()}


@pytest.mark.parametrize(
    ("version", "wanted"), [("1.2.3", True), ("1.2.0", False), ("1.3", False), ("2.0.1.post1", True)]
)
def test_a_release_that_corrects_faults_is_known_by_its_number(version: str, wanted: bool) -> None:
    assert corrects(version) is wanted

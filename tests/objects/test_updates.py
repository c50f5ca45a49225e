"""New versions of a type: canary, promotion, going back by command and by itself, states that move along or stay."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.database import Database
from core.events import DEFAULT_TEAM
from objects import canary
from objects.canary import Counts, Move, decide, fisher
from objects.catalogue import read_type
from objects.gate import Check, Evidence, code_hash, judge
from objects.handlers import share
from objects.model import Reply
from objects.node import ThreadedNode
from tests.objects.code_cases import ACCOUNT, MANIFEST

pytestmark = pytest.mark.services

CallIt = Callable[..., Reply]

NEWER = ACCOUNT.replace('state["total"]', 'state["sum"]').replace(
    '{"total": total}, {"total": total}', '{"sum": total}, {"total": total}'
)
NEWER += """
def migrate(state, version):
    return {"sum": state["total"]}
"""
BACK = (
    NEWER
    + """
def downgrade(state, version):
    return {"total": state["sum"]}
"""
)
NEWER_MANIFEST = {**MANIFEST, "initial": {"sum": 0}}


def _keys(version: int, percent: int) -> tuple[str, str]:
    """A key of the canary's share, and one that is not."""
    keys = [f"k{n}" for n in range(200)]
    inside = next(key for key in keys if share("account", version, key) < percent)
    return inside, next(key for key in keys if share("account", version, key) >= percent)


def _fresh(node: ThreadedNode) -> None:
    node.node.handlers.forget(DEFAULT_TEAM, "account")


def test_a_canary_serves_its_share_and_the_state_moves_along(
    code_node: ThreadedNode, call: CallIt, let_in: Callable[..., int], database: Database
) -> None:
    let_in(ACCOUNT)
    inside, outside = _keys(2, 20)
    for key in (inside, outside):
        call(code_node, f"account/{key}", "add", '{"amount": 5}')
    assert let_in(NEWER, manifest=NEWER_MANIFEST, canary=20) == 2
    _fresh(code_node)
    for key in (inside, outside):
        assert json.loads(call(code_node, f"account/{key}", "add", '{"amount": 1}').body) == {"total": 6}
    with database.system() as connection:
        found = dict(connection.execute("SELECT key, code_version FROM objects").fetchall())
    assert found == {inside: 2, outside: 1}


@pytest.mark.parametrize(("source", "after"), [(BACK, 7), (NEWER, 5)], ids=["downgrade", "history"])
def test_going_back_gives_the_state_back(
    code_node: ThreadedNode, call: CallIt, let_in: Callable[..., int], database: Database, source: str, after: int
) -> None:
    let_in(ACCOUNT)
    call(code_node, "account/a", "add", '{"amount": 5}')
    let_in(source, manifest=NEWER_MANIFEST)
    _fresh(code_node)
    assert json.loads(call(code_node, "account/a", "add", '{"amount": 2}').body) == {"total": 7}
    with database.team(DEFAULT_TEAM) as connection:
        assert canary.go_back(connection, DEFAULT_TEAM, "account", "test") == 1
    _fresh(code_node)
    assert json.loads(call(code_node, "account/a", "total").body) == {"total": after}


def test_an_object_whose_state_cannot_move_stays_with_its_version_and_serves(
    code_node: ThreadedNode, call: CallIt, let_in: Callable[..., int], database: Database
) -> None:
    let_in(ACCOUNT)
    call(code_node, "account/a", "add", '{"amount": 5}')
    for migrate in ("raise ValueError('no')", "while True: pass", "return {'x': 'y' * (2 << 20)}"):
        let_in(f"{ACCOUNT}\ndef migrate(state, version):\n    {migrate}\n")
        _fresh(code_node)
        for _ in range(2):  # it is tried once while the object is held, not at each call
            assert json.loads(call(code_node, "account/a", "add", '{"amount": 1}').body)["total"] > 5
    with database.system() as connection:
        assert connection.execute("SELECT code_version, state FROM objects").fetchall() == [(1, '{"total":11}')]
        faults = connection.execute("SELECT count(*) FROM object_faults WHERE what = 'migrate'").fetchone()
    assert faults == (3,)


def test_a_version_that_fails_on_every_second_state_is_withdrawn_by_itself(
    code_node: ThreadedNode, call: CallIt, let_in: Callable[..., int], database: Database
) -> None:
    let_in(ACCOUNT)
    for n in range(30):
        call(code_node, f"account/k{n % 3}", "add", '{"amount": 1}')
    broken = ACCOUNT.replace("    amount =", "    assert state['total'] % 2 == 0\n    amount =", 1)
    let_in(broken, canary=100)
    _fresh(code_node)
    for n in range(12):
        call(code_node, f"account/k{n % 3}", "add", '{"amount": 1}')
    moved = canary.Watch().move(database)
    with database.team(DEFAULT_TEAM) as connection:
        row = read_type(connection, "account")
    assert row is not None
    if not moved:  # the node's own look has been there before
        assert row.canary_version is None
    assert (row.active_version, row.canary_version) == (1, None)
    assert row.reason and row.reason.startswith("went back: errors rose")
    _fresh(code_node)
    assert call(code_node, "account/k0", "add", '{"amount": 1}').ok


def test_a_canary_that_does_no_worse_takes_over(
    code_node: ThreadedNode, call: CallIt, let_in: Callable[..., int], database: Database
) -> None:
    let_in(ACCOUNT)
    let_in(ACCOUNT + "\n# faster\n", canary=100)
    _fresh(code_node)
    for n in range(20):
        call(code_node, f"account/k{n % 3}", "add", '{"amount": 1}')
    canary.Watch().move(database)
    with database.team(DEFAULT_TEAM) as connection:
        row = read_type(connection, "account")
    assert row and (row.active_version, row.previous_version, row.canary_version) == (2, 1, None)


def test_each_step_is_counted_once_however_often_a_version_is_looked_at(
    node: ThreadedNode, call: CallIt, database: Database
) -> None:
    watch, since = canary.Watch(), datetime(2020, 1, 1, tzinfo=UTC)

    def counted() -> Counts:
        with database.system() as connection:
            return watch.counts(connection, DEFAULT_TEAM, "register", 1, since)

    call(node, "register/a", "add", '{"amount": 1}')
    with database.system() as connection:
        connection.execute("UPDATE object_calls SET at = at - interval '1 minute'")
    assert counted() == counted() == Counts(1, 0)
    with database.system() as connection:
        connection.execute("DELETE FROM object_calls")
    call(node, "register/a", "add", '{"amount": 1}')
    assert counted() == counted() == Counts(2, 0)


def test_a_verdict_is_bound_to_the_code(database: Database) -> None:
    good = tuple(Check(kind, "x", True) for kind in ("load", "answer", "repeat", "restart", "hostile"))
    sha256 = code_hash("a", {"methods": {}})
    assert judge(sha256, Evidence(sha256, "gvisor", good, 0)).passed
    other = judge(code_hash("b", {"methods": {}}), Evidence(sha256, "gvisor", good, 0))
    assert (other.passed, other.reasons) == (False, ("the evidence is about other code",))
    for missing in range(len(good)):
        assert not judge(sha256, Evidence(sha256, "gvisor", good[:missing] + good[missing + 1 :], 0)).passed
    assert code_hash("a", {"x": 1}) != code_hash("a", {"x": 2}) != code_hash("a1", {"x": 2})


@pytest.mark.parametrize(
    ("new", "old", "move"),
    [
        ((20, 0), (100, 0), Move.PROMOTE),
        ((19, 0), (100, 0), Move.NONE),
        ((20, 2), (100, 0), Move.PROMOTE),
        ((5, 3), (100, 0), Move.BACK),
        ((20, 5), (100, 25), Move.PROMOTE),
        ((0, 3), (0, 0), Move.BACK),
        ((60, 40), (1000, 10), Move.BACK),
    ],
)
def test_the_decision_is_one_of_counts(new: Any, old: Any, move: Move) -> None:
    assert decide(Counts(*new), Counts(*old), canary=True)[0] == move
    assert decide(Counts(*new), Counts(*old), canary=False)[0] in (move, Move.NONE)


@given(*(st.integers(0, 40) for _ in range(4)))
def test_the_exact_test_agrees_with_scipys(a: int, b: int, c: int, d: int) -> None:
    from scipy.stats import fisher_exact

    assert fisher(a, b, c, d) == pytest.approx(fisher_exact([[a, b], [c, d]], "greater").pvalue, abs=1e-9)

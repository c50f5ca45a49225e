"""An attempt that is killed anywhere goes on at the action that it had come to, and ends as if nothing had happened."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from assets.executions.attempt import covering, outcomes
from assets.executions.attempt.execute import execute
from assets.executions.attempt.journal import BEGIN, REMARKS, RESUME, Journal
from assets.executions.attempt.state import AttemptInput, Callbacks
from assets.executions.engines.model import answers
from assets.executions.engines.model.answers import Answered
from assets.executions.engines.model.engine import ModelEngine
from assets.executions.engines.model.options import ModelOptions
from assets.executions.engines.protocol import Candidate, Coverage, FileChange, Problem
from assets.executions.engines.search.native.engine import NativeCandidate
from assets.executions.engines.search.source import Edit
from assets.executions.repository.checkout import Checkout
from assets.plans.planner import make_plan
from core.chat import open_chat_spec
from core.chat.protocol import (
    ChatUnavailable,
    Completion,
    FinishReason,
    MalformedAnswer,
    OverBudget,
    Refused,
    ToolCall,
    Usage,
)
from core.remarks import Remark
from core.trajectory import Entry
from core.work import Budget, Execution, Plan, TaskContext, TaskText
from sandbox.protocol import Sandbox

from .conftest import Files
from .scripted_engine import ScriptedEngine, replacing

SHOP = {
    "shop.py": """
        def price(items):
            total = 0
            for item in items:
                total += item
            return total


        def reduced(total, percent):
            if percent > 100:
                raise ValueError("more than everything")
            return total - total * percent / 100


        def bill(items, percent=0):
            return reduced(price(items[1:]), percent)
    """,
    "test_shop.py": """
        import pytest

        from shop import bill, price, reduced

        def test_bill():
            assert bill([2, 3, 5], 10) == 9

        def test_price():
            assert price([2, 3, 4]) == 9

        def test_reduced():
            assert reduced(200, 10) == 180

        def test_not_below_nothing():
            with pytest.raises(ValueError):
                reduced(1, 101)
    """,
}
ISSUE = "The bill is too low\n\ntest_bill fails: `bill` leaves out the first item."


def _script(problem: Problem) -> Iterator[Candidate]:
    yield replacing(problem, "shop.py", "total = 0", "total = 1")
    yield replacing(problem, "shop.py", "percent / 100", "percent / 10")
    yield replacing(problem, "shop.py", "items[1:]", "items")
    yield replacing(problem, "shop.py", "total += item", "total -= item")


class Killed(BaseException):
    """The process ends here: no handler of an error may see it."""


@dataclass
class MemoryStore:
    """A store that ends the process at the call of number `dies_at`, before or after it is written."""

    kept: list[Entry] = field(default_factory=list)
    bodies: dict[int, dict[str, Any]] = field(default_factory=dict)
    dies_at: int | None = None
    after: bool = False
    calls: int = 0
    said: list[Remark] = field(default_factory=list)
    """What people say: read once only."""
    silent_until: int = 0
    """Nobody says anything before so many entries are there."""

    def entries(self) -> list[Entry]:
        return list(self.kept)

    def append(self, kind: str, body: dict[str, Any], elapsed: float, digest: str | None = None) -> int:
        self._maybe_die(False)
        seq = len(self.kept) + 1
        self.kept.append(Entry(seq, kind, elapsed, body if kind in (RESUME, REMARKS) else {}, digest))
        self.bodies[seq] = body
        self._maybe_die(True)
        return seq

    def finish(self, seq: int, outcome: bytes, elapsed: float, ended: int) -> None:
        self._maybe_die(False)
        self.kept[seq - 1] = replace(self.kept[seq - 1], outcome=outcome, elapsed=elapsed, ended=ended)
        self._maybe_die(True)

    def remarks(self) -> list[Remark]:
        return self.said if len(self.kept) >= self.silent_until else []

    def heard(self, seq: int, remarks: Sequence[Remark]) -> None:
        self._maybe_die(False)
        assert self.kept[seq - 1].kind == REMARKS
        self.said = [one for one in self.said if one not in remarks]
        self._maybe_die(True)

    def _maybe_die(self, after: bool) -> None:
        self.calls += not after
        if self.dies_at == self.calls and self.after == after:
            raise Killed

    @property
    def kinds(self) -> list[str]:
        return [entry.kind for entry in self.kept]


@pytest.fixture
def attempt(checkout: Callable[[Files], Checkout], bubblewrap: Sandbox) -> Callable[..., Execution]:
    """Runs the attempt at the shop's problem with a store."""
    made = checkout(SHOP)
    title, _, body = ISSUE.partition("\n")
    context = TaskContext(source="test", commit=made.commit, index_version="1", models=(), locations=())

    def run(store: MemoryStore, revise: Callable[[Plan], None] = lambda plan: None, seconds: float = 600) -> Execution:
        plan = make_plan(title, context, Budget(seconds=seconds))
        given = AttemptInput(TaskText(title=title, body=body), context, plan, made)
        return execute(given, ScriptedEngine(_script), bubblewrap, Callbacks(revise=revise, store=store))

    return run


def without_times(execution: Execution) -> dict[str, Any]:
    """What an execution says, without what depends on the clock."""
    found = execution.model_dump()
    found.pop("seconds")
    evidence = found["evidence"]
    evidence.pop("timings")
    for run in ("before", "after"):
        if evidence[run]:
            for name in ("seconds", "took", "output_tail"):
                evidence[run].pop(name)
    evidence["suspicious"] = [(s["path"], s["start_line"]) for s in evidence["suspicious"]]
    return found


@dataclass(frozen=True)
class Course:
    """An undisturbed attempt."""

    store: MemoryStore
    execution: Execution
    plans: dict[int, Plan]


def _killed_and_resumed(attempt: Callable[..., Execution], expected: Course, call: int, after: bool) -> None:
    """Ends the process at one call of the store, runs the attempt again, and compares it with the undisturbed one."""
    store = MemoryStore(dies_at=call, after=after)
    plans: dict[int, Plan] = {}
    with pytest.raises(Killed):
        attempt(store, revise=lambda plan: plans.update({plan.revision: plan}))
    store.dies_at = None
    done = [entry.seq for entry in store.kept if entry.outcome is not None]
    again = attempt(store, revise=lambda plan: plans.update({plan.revision: plan}))
    assert without_times(again) == without_times(expected.execution), call
    acted = [entry.kind for entry in store.kept if entry.digest is not None]
    assert acted == [entry.kind for entry in expected.store.kept if entry.digest is not None], call
    assert sorted(plans) == sorted(expected.plans), call
    if done:
        assert [entry.kind for entry in store.kept].count(RESUME) == 1


def _undisturbed(attempt: Callable[..., Execution]) -> Course:
    store, plans = MemoryStore(), {}
    execution = attempt(store, revise=lambda plan: plans.update({plan.revision: plan}))
    assert execution.patch is not None
    assert {"try", "judge"} <= set(store.kinds)
    return Course(store, execution, plans)


def test_killed_on_its_way_it_ends_the_same(attempt: Callable[..., Execution]) -> None:
    expected = _undisturbed(attempt)
    judged = expected.store.kinds.index("judge")
    written = expected.store.calls
    for call in (expected.store.kinds.index("try") + 1, judged + 1, written - 2):
        _killed_and_resumed(attempt, expected, call, after=call % 2 == 0)


@pytest.mark.services
def test_killed_at_each_boundary_it_ends_the_same(attempt: Callable[..., Execution]) -> None:
    expected = _undisturbed(attempt)
    for call in range(1, expected.store.calls + 1):
        _killed_and_resumed(attempt, expected, call, after=call % 2 == 1)


def test_outcomes_are_not_worked_for_twice(attempt: Callable[..., Execution]) -> None:
    store = MemoryStore()
    expected = attempt(store)
    finished = [entry for entry in store.kept if entry.outcome is not None]
    before = list(store.kept)
    again = attempt(store)
    assert without_times(again) == without_times(expected)
    assert [e.kind for e in store.kept] == [e.kind for e in before]
    assert [e for e in store.kept if e.outcome is not None] == finished


def test_used_time_is_not_given_back(attempt: Callable[..., Execution]) -> None:
    store = MemoryStore()
    attempt(store)
    first_try = store.kinds.index("try")
    store.kept = store.kept[: first_try + 1]
    store.kept[first_try] = replace(store.kept[first_try], elapsed=599.0)
    ended = attempt(store)
    assert ended.patch is None
    assert "the budget of 600 s is spent" in ended.summary


def test_another_course_is_taken_up_where_it_begins(attempt: Callable[..., Execution]) -> None:
    store = MemoryStore()
    attempt(store)
    first_try = store.kinds.index("try")
    store.kept[first_try] = replace(store.kept[first_try], digest="of something else")
    ended = attempt(store)
    assert ended.patch is not None
    resumed = store.kinds.index(RESUME)
    body = store.kept[resumed].body
    assert body["after"] == first_try
    assert "another `try`" in body["why"]
    # A third run follows the second one, not the first.
    third = attempt(store)
    assert without_times(third) == without_times(ended)
    assert store.kinds.count(RESUME) == 1


def _begun(store: MemoryStore) -> Journal:
    journal = Journal(store)
    journal.record(BEGIN, {})
    return journal


def _perform(journal: Journal, key: object, run: Callable[[], Any], decode: Callable[[Any], Any] = lambda x: x) -> Any:
    return journal.perform("act", {}, key, run, encode=lambda x: x, decode=decode)


def _not_run() -> Any:
    raise AssertionError("it was carried out again")


def test_an_unreadable_outcome_is_worked_for_again() -> None:
    store = MemoryStore()
    assert _perform(_begun(store), 1, lambda: {"n": 1}) == {"n": 1}
    assert _perform(_begun(store), 1, _not_run) == {"n": 1}
    for broken in (b"", b"no", store.kept[1].outcome[:-3] if store.kept[1].outcome else b""):
        store.kept[1] = replace(store.kept[1], outcome=broken)
        assert _perform(_begun(store), 1, lambda: {"n": 2}) == {"n": 2}
    assert len([entry for entry in store.kept if entry.kind == "act"]) == 1

    def refuses(raw: Any) -> Any:
        raise KeyError("n")

    assert _perform(_begun(store), 1, lambda: {"n": 3}, refuses) == {"n": 3}


def test_entries_of_earlier_stages_are_not_followed() -> None:
    store = MemoryStore()
    for kind in ("retrieve", "observed"):
        store.append(kind, {}, 0.0)
    journal = Journal(store)
    assert not journal.following
    assert journal.record(BEGIN, {}) == 3
    assert _perform(journal, 1, lambda: 1) == 1
    assert store.kinds == ["retrieve", "observed", BEGIN, "act"]
    again = Journal(store)
    assert again.record(BEGIN, {}) == 3
    assert _perform(again, 1, _not_run) == 1


def test_another_action_leaves_what_was_to_follow() -> None:
    store = MemoryStore()
    journal = _begun(store)
    for key in (1, 2):
        _perform(journal, key, lambda: "first course")
    second = _begun(store)
    assert _perform(second, 9, lambda: "second course") == "second course"
    assert not second.following
    assert store.kinds == [BEGIN, "act", "act", RESUME, "act"]
    assert store.kept[3].body["after"] == 1
    assert _perform(_begun(store), 9, _not_run) == "second course"


def test_entries_inside_of_an_action_go_with_it() -> None:
    store = MemoryStore()
    journal = _begun(store)

    def outer() -> int:
        journal.record("observed", {})
        return _perform(journal, "inner", lambda: 1) + 1

    assert _perform(journal, "outer", outer) == 2
    journal.record("end", {})
    again = _begun(store)
    assert _perform(again, "outer", _not_run) == 2
    assert again.record("end", {}) == 5
    assert not again.following
    assert again.taken_over == 1


def test_the_clock_stands_while_the_journal_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    at = 100.0
    monkeypatch.setattr("assets.executions.attempt.journal.time.monotonic", lambda: at)
    store = MemoryStore()
    journal = _begun(store)
    at += 5
    _perform(journal, 1, lambda: 1)
    at += 5
    with journal.paused():
        at += 50
    assert journal.now() == 10
    journal.record("observed", {})
    again = _begun(store)
    at += 1000
    assert again.now() == 0
    _perform(again, 1, _not_run)
    assert again.now() == 5
    at += 1000
    again.record("observed", {})
    assert again.now() == 10
    at += 3
    assert again.now() == 13


BILL = {"path": "shop.py", "old": "price(items[1:])", "new": "price(items)"}


@pytest.fixture
def with_model(
    checkout: Callable[[Files], Checkout], bubblewrap: Sandbox, chat_server: Any
) -> Callable[..., Execution]:
    """Runs the attempt with a model that is wrong first, then cut off, and then right."""
    made = checkout(SHOP)
    title, _, body = ISSUE.partition("\n")
    context = TaskContext(source="test", commit=made.commit, index_version="1", models=(), locations=())
    said_in_turn: list[Any] = [
        [("read", {"path": "shop.py"})],
        [("edit", {**BILL, "new": "price(items[2:])"}), ("run_tests", {})],
        "I think that it is the slice.",
        [("edit", {**BILL, "old": "price(items[2:])"}), ("run_tests", {})],
    ]

    def script(request: Any) -> Any:
        said = said_in_turn[request.answers] if request.answers < len(said_in_turn) else [("give_up", {})]
        return chat_server.reply(said) if isinstance(said, str) else chat_server.reply(calls=tuple(said))

    chat_server.script = script

    def run(store: MemoryStore) -> Execution:
        plan = make_plan(title, context, Budget(seconds=600))
        given = AttemptInput(TaskText(title=title, body=body), context, plan, made)
        engine = ModelEngine(open_chat_spec(chat_server.spec(prompt_price=1.0)), ModelOptions())
        return execute(given, engine, bubblewrap, Callbacks(store=store))

    return run


def test_answers_of_a_model_are_paid_once(with_model: Callable[..., Execution], chat_server: Any) -> None:
    undisturbed = MemoryStore()
    expected = with_model(undisturbed)
    assert expected.patch is not None
    asked = len(chat_server.requests)
    assert asked == undisturbed.kinds.count("ask") == 4
    third = [number for number, kind in enumerate(undisturbed.kinds) if kind == "ask"][2]
    calls = third + 1 + sum(entry.outcome is not None for entry in undisturbed.kept[:third])
    for call, after, again in ((calls, True, 4 - 2), (calls + 1, False, 4 - 2), (calls + 1, True, 4 - 3)):
        store = MemoryStore(dies_at=call, after=after)
        with pytest.raises(Killed):
            with_model(store)
        store.dies_at = None
        before = len(chat_server.requests)
        ended = with_model(store)
        assert len(chat_server.requests) - before == again, (call, after)
        assert ended.patch == expected.patch
        assert ended.model is not None
        assert expected.model is not None
        kept = {"steps", "prompt_tokens", "completion_tokens", "money", "actions"}
        assert ended.model.model_dump(include=kept) == expected.model.model_dump(include=kept)


@pytest.mark.parametrize(
    "found", [Coverage(({"a.go": frozenset({1, 3})},), ({}, {"b.go": frozenset()})), "not measured"]
)
def test_coverage_comes_back_as_it_was(found: Coverage | str) -> None:
    assert covering._decode(json.loads(json.dumps(covering._encode(found)))) == found


@pytest.mark.parametrize("pieces", [(), (Edit("a.js", 1, 2, "x"),)])
def test_candidates_come_back_as_they_were(pieces: tuple[Edit, ...]) -> None:
    parent = Candidate((Edit("a.py", 3, 4, "\ud800"),), "guard:none", 0.5, 0.25, "a.py", 2)
    whole = (FileChange("b.txt", None, "x"),)
    kind, more = (NativeCandidate, {"pieces": pieces}) if pieces else (Candidate, {})
    candidate = kind(parent.edits, "model", 1.0, 1.0, "a.py", 2, (parent,), whole, deliberate=True, **more)
    text = json.dumps(outcomes.encode_candidate(candidate)).encode()
    assert outcomes.decode_candidate(json.loads(text)) == candidate


@pytest.mark.parametrize(
    "answered",
    [
        Answered(Completion("x", (ToolCall("1", "read", {"path": "a"}, ""),), FinishReason.LENGTH, Usage(1, 2, 3, 4))),
        Answered(mistake=Refused("too long", Usage(1))),
        Answered(mistake=MalformedAnswer("no JSON", Usage(1, money=0.5))),
        Answered(mistake=ChatUnavailable("gone", Usage(retries=2)), late=True),
        Answered(mistake=OverBudget("too much", "money")),
    ],
)
def test_answers_come_back_as_they_were(answered: Answered) -> None:
    back = answers.decode(json.loads(json.dumps(answers.encode(answered))))
    assert back.completion == answered.completion
    assert back.usage == answered.usage
    assert type(back.mistake) is type(answered.mistake)
    assert back.late == answered.late
    assert getattr(back.mistake, "bound", "") == getattr(answered.mistake, "bound", "")
    assert str(back.mistake) == str(answered.mistake)
